"""Picks the facts of a complaint out of its text: number, when, amount, place, remedy, references; no training."""

from __future__ import annotations

import re
from datetime import datetime
from itertools import islice
from typing import Any
from zoneinfo import ZoneInfo

import phonenumbers
from rasa.engine.graph import ExecutionContext, GraphComponent
from rasa.engine.recipes.default_recipe import DefaultV1Recipe
from rasa.engine.storage.resource import Resource
from rasa.engine.storage.storage import ModelStorage
from rasa.shared.nlu.training_data.message import Message

from nlu_data.amounts import amounts
from nlu_data.moments import moments
from nlu_data.wording import flat

_LONGEST = 4000
_MOST = 20  # of each kind
_ID_CARD = re.compile(r"(?<!\d)\d{17}[\dx](?!\d)")
_REFERENCE = re.compile(
    r"(?<![a-z0-9])ts[-\s]?([2-9a-hj-np-z]{4})[-\s]?([2-9a-hj-np-z]{4})[-\s]?([2-9a-hj-np-z])(?![a-z0-9])"
)
_RECEIPT_CODE = re.compile(r"(?<![\d.-])\d{4}[\s-]?\d{4}(?![\d.-])")
_MOBILE = re.compile(r"(?<!\d)(?:\+?86[\s-]?)?(1[3-9]\d)[\s-]?(\d{4})[\s-]?(\d{4})(?!\d)")
_ACCOUNT = re.compile(r"(?<![a-z0-9@._-])(?:[a-z]{1,8}\d{6,16}|\d{6,16}@[a-z0-9.]{2,20})(?![a-z0-9@])")
_PLACE = re.compile(
    r"(?:(?<=在)|(?<=住)|(?<=我是)|(?<![\u4e00-\u9fff]))"
    r"((?:[\u4e00-\u9fff]{2,7}(?:省|市|自治区))?(?:[\u4e00-\u9fff]{1,6}(?:区|县|市))?(?:[\u4e00-\u9fff]{1,8}(?:街道|镇|乡))?"
    r"(?:[\u4e00-\u9fff\d]{1,10}(?:路|街|大道|巷|弄))?(?:\d{1,5}号(?!码))?"
    r"(?:[\u4e00-\u9fff\d]{2,10}(?:小区|花园|新村|家园|苑|大厦|广场|公寓|大学|医院|地铁站|火车站|机场|工业园|科技园|开发区|村|营业厅|校区))?"
    r"(?:\d{1,4}(?:号楼|栋|幢|座|单元|室))*(?:地下车库|地下室|停车场|电梯里?)?)"
)
_LEAD = re.compile(r"^(?:我|我家|家)?(?:就?住?在|位于|是)")
_NOT_PLACE = re.compile(
    r"^(?:你们|我们|他们|这个|那个|哪个|整个|每个)?(?:小区|服务区|地区|营业厅|夏天|网路|思路|走路|一路|线路|半路|市|区|县|村)$"
)
_ENGLISH_PLACE = re.compile(
    r"\b(?:in|at|on|near)\s((?:\d{1,5}\s)?(?:[A-Z][\w'-]+\s?){1,4}(?:Street|St|Road|Rd|Avenue|Ave|District|Tower|Building|"
    r"Station|Park|Plaza|City|Province|Village|Campus|Airport|Square|Lane)\b|(?:Beijing|Shanghai|Guangzhou|Shenzhen|Nanjing|"
    r"Hangzhou|Wuhan|Chengdu|Xi'an|Tianjin|Suzhou|Chongqing|Pudong|Chaoyang|Haidian)\b)"
)
_REMEDY = re.compile(
    r"(?:我?(?:强烈)?要求|我?希望(?:你们|能|贵公司)|(?:请|麻烦)(?:你们|贵公司)?(?:尽快|马上|立刻|赶紧|给我|把|帮我)|给我(?:退|修|赔|恢复|解释|个说法|取消)|"
    r"(?:必须|应该)(?:给我|退|赔)|(?:马上|赶紧|尽快)(?:给我|来人|派人|退|修|恢复|解决)|退还|赔偿我|退我)[^，。！？；\n]{0,40}"
)
_ENGLISH_REMEDY = re.compile(
    r"\b(?:i (?:want|demand|expect|would like|'d like|insist on)|(?:please|kindly) (?:fix|refund|cancel|send|repair|restore|return|"
    r"remove|compensate|give|stop)|refund (?:me|my)|give me (?:a|my)|you (?:must|should))\b[^.!?;\n]{0,80}",
    re.IGNORECASE,
)
_MERE_WISH = re.compile(r"\bi (?:want|would like|'d like) to (?:complain|make|file|report|lodge|talk|speak|know|raise)|"
                        r"i want (?:a |to )(?:human|person|real|agent|speak|talk)", re.IGNORECASE)  # fmt: skip

Entity = dict[str, Any]


@DefaultV1Recipe.register(DefaultV1Recipe.ComponentType.ENTITY_EXTRACTOR, is_trainable=False)
class FactExtractor(GraphComponent):  # type: ignore[misc]  # Rasa is untyped here
    """Sets `entities`; times are resolved against the message's metadata `now` and `timezone` (else the clock)."""

    @classmethod
    def create(
        cls,
        config: dict[str, Any],
        model_storage: ModelStorage,
        resource: Resource,
        execution_context: ExecutionContext,
    ) -> FactExtractor:
        return cls()

    def process_training_data(self, training_data: Any) -> Any:
        return training_data

    def process(self, messages: list[Message]) -> list[Message]:
        for message in messages:
            found = facts(message.get("text") or "", moment_of(message.get("metadata") or {}))
            message.set("entities", found, add_to_output=True)
        return messages


def moment_of(metadata: dict[str, Any]) -> datetime:
    """The aware local time that relative times refer to."""
    zone = ZoneInfo(metadata.get("timezone") or "Asia/Shanghai")
    written = metadata.get("now")
    return datetime.fromisoformat(written).astimezone(zone) if written else datetime.now(zone)


def facts(text: str, now: datetime) -> list[Entity]:
    """Entities in order of their place in the first 4,000 characters, without overlaps (ID-card numbers win, masked)."""
    head = text[:_LONGEST]
    low = flat(head)
    found: list[Entity] = []
    _add(
        found,
        [_entity("id_number", "***", match.start(), match.end()) for match in islice(_ID_CARD.finditer(low), _MOST)],
    )
    _add(
        found,
        [_entity("reference", _canonical(match), *match.span()) for match in islice(_REFERENCE.finditer(low), _MOST)],
    )
    _add(found, _numbers(low))
    _add(
        found,
        [_entity("amount", {"text": head[a.start : a.end], "value": a.value}, a.start, a.end) for a in amounts(low)],
    )
    _add(found, [_when(head, moment) for moment in moments(low, now)])
    _add(
        found,
        [
            _entity("receipt_code", re.sub(r"\D", "", match.group()), *match.span())
            for match in islice(_RECEIPT_CODE.finditer(low), _MOST)
        ],
    )
    found += _places(head) + _remedies(head)
    return sorted(found, key=lambda entity: entity["start"])


def _entity(kind: str, value: Any, start: int, end: int) -> Entity:
    return {"entity": kind, "value": value, "start": start, "end": end}


def _add(found: list[Entity], more: list[Entity]) -> None:
    for entity in more:
        if not any(entity["start"] < other["end"] and other["start"] < entity["end"] for other in found):
            found.append(entity)


def _when(head: str, moment: Any) -> Entity:
    value = {
        "text": head[moment.start : moment.end],
        "from": moment.since.isoformat(timespec="minutes"),
        "to": moment.until.isoformat(timespec="minutes"),
    }
    return _entity("when", value, moment.start, moment.end)


def _canonical(match: re.Match[str]) -> str:
    return f"TS-{match[1]}-{match[2]}-{match[3]}".upper()


def _numbers(low: str) -> list[Entity]:
    mobiles = [
        _entity("number", match[1] + match[2] + match[3], *match.span())
        for match in islice(_MOBILE.finditer(low), _MOST)
    ]
    others = [
        _entity("number", _spoken(match), match.start, match.end)
        for match in phonenumbers.PhoneNumberMatcher(low, "CN")
    ]
    accounts = [_entity("number", match.group(), *match.span()) for match in islice(_ACCOUNT.finditer(low), _MOST)]
    return mobiles + others + accounts


def _spoken(match: phonenumbers.PhoneNumberMatch) -> str:
    """National writing without spaces: 02512345678; with country code where it is not ours."""
    style = phonenumbers.PhoneNumberFormat
    if match.number.country_code == 86:
        return re.sub(r"\s", "", str(phonenumbers.format_number(match.number, style.NATIONAL)))
    return str(phonenumbers.format_number(match.number, style.E164))


def _places(head: str) -> list[Entity]:
    found = []
    for match in _PLACE.finditer(head):
        place = _LEAD.sub("", match[1])
        if len(place) >= 3 and not _NOT_PLACE.match(place):
            found.append(_entity("place", place, match.end(1) - len(place), match.end(1)))
    found += [_entity("place", match[1].strip(), *match.span(1)) for match in _ENGLISH_PLACE.finditer(head)]
    return found


def _remedies(head: str) -> list[Entity]:
    found = [_entity("remedy", match.group(), *match.span()) for match in _REMEDY.finditer(head)]
    found += [
        _entity("remedy", match.group().strip(), *match.span())
        for match in _ENGLISH_REMEDY.finditer(head)
        if not _MERE_WISH.match(match.group())
    ]
    return found[:1]
