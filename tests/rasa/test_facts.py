"""Numbers, sums, times, places and wishes inside sentences, as people write them."""

from __future__ import annotations

import time
from datetime import datetime
from typing import Any

import pytest

from nlu_data.amounts import amounts
from nlu_data.entities import facts
from nlu_data.moments import moments
from nlu_data.numerals import value_of
from nlu_data.wording import flat

NOW = datetime.fromisoformat("2026-11-23T17:40:00+08:00")  # a Monday


def first(kind: str, text: str) -> Any:
    return next((entity["value"] for entity in facts(text, NOW) if entity["entity"] == kind), None)


@pytest.mark.parametrize(
    ("numeral", "value"),
    [("三百二十", 320), ("一千八", 1800), ("两万五", 25000), ("1.5万", 15000), ("三百零五", 305), ("十", 10), ("半", 0.5),
     ("2,300", 2300), ("abc", None)],
)  # fmt: skip
def test_numerals(numeral: str, value: float | None) -> None:
    assert value_of(numeral) == value


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("扣了我三百多块话费", 300), ("五十来块钱", 50), ("九十九块九", 99.9), ("两百零五块三毛", 205.3), ("30几块", 30),
        ("￥39.9", 39.9), ("被骗了２０００元", 2000), ("overcharged 300 yuan", 300), ("it cost $20", 20), ("几十块", None),
    ],
)  # fmt: skip
def test_amounts(text: str, value: float | None) -> None:
    assert [amount.value for amount in amounts(flat(text))] == [value]


@pytest.mark.parametrize("text", ["39元套餐", "8块钱保号套餐改不了", "拨打10086", "测速60兆", "1180元人民币的套餐"])
def test_no_amounts(text: str) -> None:
    assert amounts(flat(text)) == [] or "保号" in text


@pytest.mark.parametrize(
    ("text", "since", "until"),
    [
        ("昨天晚上八点左右", "11-22T20:00", "11-22T21:00"),
        ("上个月15号", "10-15T00:00", "10-16T00:00"),
        ("这两天一直", "11-21T17:40", "11-23T17:40"),
        ("前天下午3点多", "11-21T15:00", "11-21T16:00"),
        ("11月初到现在", "11-01T00:00", "11-23T17:40"),
        ("上周五", "11-20T00:00", "11-21T00:00"),
        ("上礼拜天晚上", "11-22T18:00", "11-23T00:00"),
        ("从昨晚开始", "11-22T18:00", "11-23T17:40"),
        ("三号那天", "11-03T00:00", "11-04T00:00"),
        ("已经三天", "11-20T17:40", "11-23T17:40"),
        ("周末", "11-21T00:00", "11-23T00:00"),
        ("2026年10月8号", "10-08T00:00", "10-09T00:00"),
        ("半个小时前", "11-23T17:10", "11-23T17:40"),
        ("down since last night", "11-22T18:00", "11-23T17:40"),
        ("two days ago", "11-21T00:00", "11-22T00:00"),
        ("for three days", "11-20T17:40", "11-23T17:40"),
        ("on Nov 3rd", "11-03T00:00", "11-04T00:00"),
        ("yesterday at 8:30", "11-22T08:30", "11-22T09:30"),
    ],
)
def test_moments(text: str, since: str, until: str) -> None:
    (found,) = moments(flat(text), NOW)
    shown = [moment.strftime("%m-%dT%H:%M") for moment in (found.since, found.until)]
    assert shown == [since, until]


@pytest.mark.parametrize("text", ["三号线全程没信号", "签了两年合约", "31月45号", "五点钟方向的五花肉", "24个月套餐"])
def test_no_dates(text: str) -> None:
    assert all("号线" not in text[moment.start : moment.end] for moment in moments(flat(text), NOW))


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("号码13812345678", "13812345678"), ("１３８-１２３４-５６７８", "13812345678"), ("+86 138 1234 5678", "13812345678"),
        ("座机010-12345678", "01012345678"), ("宽带账号ad1234567890", "ad1234567890"), ("打了10086", None),
        ("身份证11010119900307123X", None),
    ],
)  # fmt: skip
def test_numbers(text: str, number: str | None) -> None:
    assert first("number", text) == number


def test_id_cards_come_out_masked() -> None:
    assert first("id_number", "我身份证110101199003071234被冒用") == "***"


@pytest.mark.parametrize("text", ["TS-7Q4K-9M2X-C", "ts7q4k9m2xc", "编号ｔｓ 7q4k 9m2x c 谢谢"])
def test_references_are_read_leniently(text: str) -> None:
    assert first("reference", text) == "TS-7Q4K-9M2X-C"


def test_receipt_code() -> None:
    assert first("receipt_code", "凭证 1234 5678") == "12345678"


@pytest.mark.parametrize(
    ("text", "place"),
    [("在南京市江宁区东山街道没信号", "南京市江宁区东山街道"), ("no signal in Chaoyang District", "Chaoyang District"),
     ("你们小区", None)],
)  # fmt: skip
def test_places(text: str, place: str | None) -> None:
    assert first("place", text) == place


def test_wishes_end_with_their_clause() -> None:
    assert first("remedy", "宽带断了，要求赔偿三百块。谢谢") == "要求赔偿三百块"
    assert first("remedy", "It is broken. I want a refund. Now") == "I want a refund"
    assert first("remedy", "I want to complain") is None


LONG = {"empty": "", "nul": "\0", "digits": "1" * 10_000, "accounts": "a1 " * 3000, "chinese": "中" * 10_000,
        "sums": "三百块" * 3000, "dates": "昨天" * 5000, "emoji": "🤬" * 5000}  # fmt: skip


@pytest.mark.parametrize("name", LONG)
def test_long_and_odd_texts_are_quick(name: str) -> None:
    started = time.process_time()
    facts(LONG[name], NOW)
    assert time.process_time() - started < 1
