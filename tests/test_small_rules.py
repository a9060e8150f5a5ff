"""Small rules without a database: wishes, languages, references, hours, masking, texts, settings."""

import re
import string
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot import facts, language, masking, reference, texts, wishes
from bot import settings as settings_file
from bot.errors import SettingsWrong
from bot.hours import Calendar
from bot.sealing import Seal
from bot.texts import Texts

ROOT = Path(__file__).parent.parent
SHANGHAI = ZoneInfo("Asia/Shanghai")


@pytest.mark.parametrize(
    "words",
    [
        "人工", "转人工", "真人", "human", "HUMAN!", "我要转人工客服", "有没有活人", "你们有没有活人", "别跟我说机器话",
        "叫你们领导来", "转接人工服务", "转 人 工", "轉人工", "ｈｕｍａｎ", "帮我转人工，宽带断了两天了", "talk to a person",
        "can I speak to someone", "I want a real person now", "agent please", "connect me to an agent", "人工！！！",
    ],
)  # fmt: skip
def test_a_wish_for_a_person_is_heard(words: str) -> None:
    assert wishes.asks_for_person(words)


@pytest.mark.parametrize(
    "words",
    [
        "人工费怎么收", "客服态度差", "人工智能", "打了四十分钟全是机器人，就是转不到人工", "", "   ", "宽带断了",
        "I can never get through to a human agent", "the agent was rude", "我的投诉怎么样了", "person", "机器人",
    ],
)  # fmt: skip
def test_no_wish_where_there_is_none(words: str) -> None:
    assert wishes.asks_for_person(words) is (words == "person")


def test_huge_texts_do_not_slow_the_rule() -> None:
    assert not wishes.asks_for_person("人" * 200_000)
    assert wishes.asks_for_person("宽带坏了。" * 2_000 + "帮我转人工")


@pytest.mark.parametrize("words", ["不等了", "不用等了吧", "stop waiting", "Stop waiting please", "取消排队"])
def test_stop_waiting(words: str) -> None:
    assert wishes.stops_waiting(words)
    assert not wishes.stops_waiting("别让我一直等下去，今天必须解决")


@pytest.mark.parametrize(
    ("words", "current", "expected"),
    [
        ("宽带断了", "en", "zh"), ("my internet is down", "zh", "en"), ("13800138000", "en", "en"), ("ok", "zh", "zh"),
        ("TS-7Q4K-9M2X-C", "zh", "zh"), ("wifi", "zh", "zh"), ("human", "zh", "en"), ("bill 不对", "en", "zh"), ("😀", "en", "en"),
    ],
)  # fmt: skip
def test_the_language_of_a_message(words: str, current: str, expected: str) -> None:
    assert language.detect(words, current) == expected


def test_references_can_be_typed_carelessly() -> None:
    ours = reference.new_reference()
    assert re.fullmatch(r"TS-[2-9A-HJ-NP-Z]{4}-[2-9A-HJ-NP-Z]{4}-[2-9A-HJ-NP-Z]", ours)
    for typed in (ours.lower(), ours.replace("-", ""), ours.replace("-", " "), f" {ours} ", ours.replace("-", "－")):
        assert reference.parse(typed) == ours


@given(st.integers(0, 8), st.sampled_from(reference.ALPHABET))
def test_a_wrong_character_is_noticed(place: int, character: str) -> None:
    plain = reference.new_reference().replace("-", "")[2:]
    changed = plain[:place] + character + plain[place + 1 :]
    assert (reference.parse("TS" + changed) is None) == (changed != plain)


@given(st.text(max_size=40))
def test_no_text_breaks_the_reference(typed: str) -> None:
    reference.parse(typed)


def test_hours() -> None:
    week = Calendar.parse("Mon-Fri 08:00-20:00, Sat 09:00-12:00", SHANGHAI)
    monday_nine = datetime(2026, 11, 23, 1, 0, tzinfo=UTC)
    assert week.is_open(monday_nine)
    late = monday_nine + timedelta(hours=12)
    assert not week.is_open(late)
    assert week.opens_at(late) == datetime(2026, 11, 24, 0, 0, tzinfo=UTC)
    saturday_noon = datetime(2026, 11, 28, 4, 0, tzinfo=UTC)
    assert week.opens_at(saturday_noon) == datetime(2026, 11, 30, 0, 0, tzinfo=UTC)
    assert week.callback_due(late, timedelta(hours=2)) == datetime(2026, 11, 24, 2, 0, tzinfo=UTC)
    always = Calendar.parse("Mon-Sun 00:00-24:00", SHANGHAI)
    assert always.is_open(late) and always.opens_at(late) == late


@pytest.mark.parametrize(
    "wrong", ["", "Mon 9-5", "Fri-Mon 08:00-20:00", "Foo 08:00-20:00", "Mon 20:00-08:00", "Mon 08:70-09:00"]
)
def test_wrong_hours_are_refused_with_a_reason(wrong: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        Calendar.parse(wrong, SHANGHAI)


def test_id_cards_are_masked_and_other_numbers_kept() -> None:
    assert masking.mask_id_cards("11010519491231002X") == "*" * 18
    assert masking.mask_id_cards("证号 110105 19491231 002x。") == "证号 " + "*" * 18 + "。"
    assert masking.mask_id_cards("110105194912310021 13800138000") == "110105194912310021 13800138000"


def test_sealed_values_open_only_with_their_key() -> None:
    sealed = Seal("k" * 40).seal("张三")
    assert Seal("k" * 40).open(sealed) == "张三"
    assert "张三".encode() not in sealed
    with pytest.raises(ValueError, match="another secret key"):
        Seal("x" * 40).open(sealed)
    assert Seal("k" * 40).digest("a", "1") != Seal("k" * 40).digest("b", "1")


def test_both_languages_are_complete_with_the_same_arguments() -> None:
    loaded = texts.load()
    assert set(loaded["zh"]) == set(loaded["en"])
    for key, template in loaded["zh"].items():
        assert texts.arguments(template) == texts.arguments(loaded["en"][key]), key
        assert template.strip() and loaded["en"][key].strip(), key


def test_every_text_key_in_the_code_exists() -> None:
    known = texts.load()["zh"]
    pattern = re.compile(r'"((?:receipt|status|queue|callback|handoff|system)\.[a-z_]+)"')
    used = {key for path in (ROOT / "bot").rglob("*.py") for key in pattern.findall(path.read_text())}
    assert len(used) > 20
    assert not {key for key in used if key not in known}


def test_rendering_drops_empty_lines_and_shows_local_time() -> None:
    spoken = Texts(SHANGHAI, {"zh": "某公司", "en": "Some Telecom"})
    said = spoken.render(
        "status.changed",
        "zh",
        reference="TS-1",
        state="resolved",
        note="",
        next="",
        as_of_at="2026-11-23T09:40:00+00:00",
    )
    assert "\n\n" not in said and "11月23日 17:40" in said and "已给出处理结果" in said
    with pytest.raises(KeyError):
        spoken.render("status.changed", "zh", reference="TS-1")


def test_customers_braces_stay_as_they_are() -> None:
    spoken = Texts(SHANGHAI, {"zh": "某公司", "en": "Some Telecom"})
    said = spoken.render(
        "status.changed", "en", reference="{code}", state="x", note="{0.__class__}", next="", as_of_at=datetime.now(UTC)
    )
    assert "{code}" in said and "{0.__class__}" in said


def test_all_problems_of_the_settings_at_once(tmp_path: Path) -> None:
    wrong = {
        "TINGSU_HOME": str(tmp_path),
        "TINGSU_PUBLIC_PORT": "99999",
        "TINGSU_TIMEZONE": "Mars/Olympus",
        "TINGSU_DATABASE_URL": "mysql://x/y",
        "TINGSU_HOURS": "whenever",
        "TINGSU_SECRET_KEY": "short",
    }
    with pytest.raises(SettingsWrong) as caught:
        settings_file.read(wrong)
    assert [problem.split()[0] for problem in caught.value.problems] == [
        "TINGSU_PUBLIC_PORT", "TINGSU_DATABASE_URL", "TINGSU_TIMEZONE", "TINGSU_HOURS", "TINGSU_SECRET_KEY",
    ]  # fmt: skip


def test_the_secret_key_is_made_once_and_private(tmp_path: Path) -> None:
    first = settings_file.read({"TINGSU_HOME": str(tmp_path / "a b")})
    assert settings_file.read({"TINGSU_HOME": str(tmp_path / "a b")}).secret_key == first.secret_key
    assert (tmp_path / "a b" / "secret.key").stat().st_mode & 0o777 == 0o600


def test_the_example_environment_names_every_setting() -> None:
    example = set(re.findall(r"^#?(TINGSU_[A-Z_]+)=", (ROOT / ".env.example").read_text(), re.M))
    read = set(re.findall(r'r\.(?:text|parsed|listed)\(\s*"([A-Z_]+)"', (ROOT / "bot" / "settings.py").read_text()))
    assert example == {f"TINGSU_{name}" for name in read} | {"TINGSU_RASA_PYTHON"}  # the last is read by setup


@pytest.mark.parametrize("value", ["x" * 65, ["list"], {"a": 1}])
def test_facts_take_no_free_text(value: object) -> None:
    with pytest.raises(ValueError, match="no id, label or number"):
        facts.record(None, "test", word=value)  # type: ignore[arg-type]


@given(st.text(alphabet=string.printable, max_size=200))
def test_no_text_breaks_the_wish_rule(words: str) -> None:
    wishes.asks_for_person(words)
    wishes.stops_waiting(words)
