"""Reads a turn as the answer to one question of the complaint form: values for fields, or None if it is no answer."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from actions.draft import SKIPPED, Draft
from actions.turn import Turn, masked

Values = dict[str, Any]

SURE_OF_LEAF = 0.12
"""Below this the customer is asked for the category; found by cross-validation, see nlu_data/README.md."""

_WISH = re.compile(
    r"我(?:想|要|得|需要|真的)?(?:再|来|去)*(?:投诉|反映|反馈|举报)(?:你们|一下|个|一个|这个|一些)*(?:问题|情况|事情|事|公司|移动|联通|电信|服务|客服|了)*|"
    r"投诉(?:你们|一下)?|反映(?:一下)?(?:问题|情况)|有(?:个|一个)?(?:问题|投诉|情况)(?:要|想)?(?:反映|反馈|投诉)?|(?:必须|一定要?|就是)|"
    r"你好|您好|在吗|喂|请问|帮我|登记|受理|怎么|如何|可以|吗|吧|呢|啊|了|的|哈|"
    r"\b(?:hi|hello|hey|i|i'd|i'm|would|like|want|need|have|to|make|file|lodge|raise|register|submit|report|complain|complaint|"
    r"complaints|complaining|a|an|about|the|your|you|company|service|please|here|can|could|this|is|my|with|problem|issue|something|"
    r"how|do|there|got|put|in|for)\b"
)
_ACCOUNT = re.compile(r"[A-Za-z0-9@._+-]*(?:\d[ -]?){5,}[A-Za-z0-9@._+-]*")
_PLACE_LIKE = re.compile(
    r"[省市区县镇乡街路道巷弄村苑园厦楼栋店厅场站]|小区|大学|医院|家里|公司|street|road|avenue|lane|district|city|building|shop|"
    r"store|station|park|estate|village|at home|office",
    re.IGNORECASE,
)
_QUESTION = re.compile(
    r"[?？]\s*$|[吗么]\s*$|^(?:怎么|什么|为什么|哪|谁|what|how|why|when|who|which|can|could|do|does|is|are|will|should)\b",
    re.IGNORECASE,
)
_LABEL = re.compile(
    r"^(?:我?的?(?:号码|手机号?码?|电话|账号|宽带)|是|为|[:：，,\s]|\b(?:my|the|it'?s|it|is|number|phone|mobile|account)\b)+",
    re.IGNORECASE,
)
_ORDINAL = re.compile(r"^(?:第)?([一二三四1234])(?:个|项|条|种)?[。.]?$")
_FIELD_WORDS = {
    "number": re.compile(r"号码|手机号|账号|帐号|电话号|宽带号|\bnumber\b|\bphone\b|\baccount\b", re.IGNORECASE),
    "when": re.compile(r"时间|日期|哪天|几号|\btime\b|\bdate\b|\bwhen\b|\bday\b", re.IGNORECASE),
    "place": re.compile(r"地点|地址|位置|地方|\bplace\b|\baddress\b|\blocation\b|\bwhere\b", re.IGNORECASE),
    "amount": re.compile(r"金额|多少钱|钱数|\bamount\b|\bsum\b|\bmoney\b", re.IGNORECASE),
    "remedy": re.compile(r"诉求|要求|希望|处理方式|\bremedy\b|\bsolution\b|\bwish\b|\bask for\b", re.IGNORECASE),
    "category": re.compile(r"类别|分类|类型|\bcategory\b|\btype\b|\bkind\b", re.IGNORECASE),
    "what": re.compile(r"问题|内容|描述|经过|\bproblem\b|\bdescription\b|\bdetails?\b|\bstory\b", re.IGNORECASE),
}
_ASKS_FOR = re.compile(
    r"退|赔|修|解决|恢复|道歉|取消|解释|补偿|补发|换|refund|repair|fix|cancel|compensat|apolog|explain|restore|replace|money back",
    re.IGNORECASE,
)
_NONE = re.compile(
    r"^(?:都)?(?:没有?|无|不涉及|不用|不需要|没啥|没什么|none|no|nothing|n/?a|not applicable|no money)[了的啊呢。.!！]*$",
    re.IGNORECASE,
)


# "写错了", "改成", "it should be": the words of somebody who corrects what was given.
_CORRECTS = re.compile(
    r"(?:写|填|说|打|搞|弄|记|选|报)错|更正|改成|改为|换成|应该是|不是[^，,。]{1,12}[，,]?(?:而)?是|(?:不对|错了)[，,。！]?\s*(?:是|应)"
    r"|\b(?:wrong|mistyped|correction|i meant|should be|made a mistake|not [^,.]{1,20}, (?:but|it'?s))\b",
    re.IGNORECASE,
)
_NEW_VALUE = re.compile(
    r"(?:改成|改为|换成|应该是|而是|其实是|(?<!不)是)[：:，,\s]*([^，。！!]{2,80})[。！!]*$"
    r"|\b(?:to|is|was|be|meant)\b[: ]+(.{2,80})$",
    re.IGNORECASE,
)


def corrects(text: str) -> bool:
    return bool(_CORRECTS.search(text))


def correction(draft: Draft, turn: Turn) -> Values:
    """The new value of the field that is corrected: a fact of the text, or what follows "改成" for a field in words."""
    given = {name: value for name, value in facts(turn).items() if name != "remedy"}
    named, new = field_named(turn.text), _NEW_VALUE.search(turn.text)
    if named in given:
        return {named: given[named]}
    if named in ("place", "remedy") and new is not None:
        return {named: masked((new[1] or new[2]).strip())}
    return given


def names_place(text: str) -> bool:
    """Whether a short text can be a place: a road, an estate, a shop; and no question about one."""
    return bool(_PLACE_LIKE.search(text)) and not _QUESTION.search(text) and "是不是" not in text


def has_content(text: str) -> bool:
    """Whether a text tells a problem, beyond the mere wish to complain and a hello."""
    rest = _WISH.sub("", text.lower())
    chinese = len(re.findall(r"[\u3400-\u9fff]", rest))
    return chinese >= 3 or len(re.findall(r"[a-z']{2,}", rest)) >= 2


def _says_something(text: str) -> bool:
    return len(re.findall(r"\w", _WISH.sub("", text.lower()))) >= 2


def leaf(turn: Turn, at_least: float = SURE_OF_LEAF) -> str | None:
    """The best leaf if the model is sure enough of it, or of its top category with all the leaves there."""
    best = next(iter(turn.categories), None)
    if best is None or best["category"] == "none":
        return None
    top = str(best["category"]).partition(".")[0]
    together = sum(row["confidence"] for row in turn.categories if str(row["category"]).partition(".")[0] == top)
    sure = best["confidence"] >= at_least or together >= 1.5 * at_least
    return str(best["category"]) if sure else None


def likely_leaves(turn: Turn, most: int = 3) -> tuple[str, ...]:
    names = [str(row["category"]) for row in turn.categories if row["category"] not in ("none", "other.other")]
    return tuple(names[:most])


def facts(turn: Turn) -> Values:
    """Fields that the text gives by itself, whatever was asked."""
    found = {kind: turn.first(kind) for kind in ("number", "when", "amount", "place", "remedy")}
    return {
        kind: masked(value) if isinstance(value, str) else value for kind, value in found.items() if value is not None
    }


def problem(turn: Turn, part: dict[str, Any]) -> dict[str, Any]:
    """One of several problems of a message: its category, and what its own part of the text gives."""
    inside = tuple(one for one in turn.entities if part["start"] <= one["start"] and one["end"] <= part["end"])
    values = {**facts(replace(turn, entities=inside)), "what": masked(part["text"]), "category": part["category"]}
    return {"category": part["category"], "values": values}


def field_named(text: str) -> str | None:
    """The field that a text speaks about ("号码写错了")."""
    return next((name for name, words in _FIELD_WORDS.items() if words.search(text)), None)


def answer(draft: Draft, turn: Turn) -> Values | None:
    """Values that answer the open question, with whatever else the text gives; None if it is no answer."""
    own = _READERS[draft.question or "what"](draft, turn)
    if draft.also:
        own = _both(draft, turn, own)
    if own is None:
        return None
    return {**missing_facts(draft, turn), **own}


def _both(draft: Draft, turn: Turn, own: Values | None) -> Values | None:
    """An answer to two questions at once: what is left of the text without the number answers the second."""
    also = draft.also or ""
    if turn.first(also) is not None:
        return own or {}
    number = next((one for one in turn.entities if one["entity"] in ("number", "receipt_code")), None)
    text = turn.text
    if number is not None:
        text = _LABEL.sub("", (text[: number["start"]] + " " + text[number["end"] :]).strip(" ，,。、；;"))
    elif own is not None:
        return own  # "没有", or an account that takes the whole text
    if len(re.findall(r"[^\W\d_]", text)) < 2 or (also == "place" and number is None and not _PLACE_LIKE.search(text)):
        return own
    second = _READERS[also](draft.asking(also), replace(turn, text=text))
    return {**(own or {}), **(second or {})} or None


def missing_facts(draft: Draft, turn: Turn) -> Values:
    """Facts of the text for fields that are not dealt with yet."""
    return {name: value for name, value in facts(turn).items() if draft.values.get(name) is None}


def _what(draft: Draft, turn: Turn) -> Values | None:
    if not has_content(turn.text) and (draft.failures == 0 or not _says_something(turn.text)):
        return None
    category = draft.values.get("category") or leaf(turn)
    return {"what": masked(turn.text), "category": category}


def _category(draft: Draft, turn: Turn) -> Values | None:
    ordinal = _ORDINAL.match(turn.text)
    if ordinal:
        place = "一二三四".find(ordinal[1]) if ordinal[1] in "一二三四" else int(ordinal[1]) - 1
        return {"category": draft.options[place]} if place < len(draft.options) else None
    found = leaf(turn, 0.08)
    return {"category": found} if found else None


def _number(draft: Draft, turn: Turn) -> Values | None:
    found = turn.first("number") or turn.first("receipt_code")
    if found is None and not turn.values("id_number"):
        account = _ACCOUNT.search(turn.text)
        found = account.group().strip() if account and len(account.group()) <= 32 else None
    return {"number": masked(str(found))} if found else _nothing(turn, "number")


def _when(draft: Draft, turn: Turn) -> Values | None:
    found = turn.first("when")
    if found:
        return {"when": found}
    if _NONE.match(turn.text):
        return {"when": SKIPPED}
    told = re.search(r"\d\D|\D\d|天|月|年|周|时|候|直|once|always|day|week|month|year|every", turn.text)
    return {"when": {"text": masked(turn.text), "from": None, "to": None}} if told and turn.is_short else None


def _amount(draft: Draft, turn: Turn) -> Values | None:
    found = turn.first("amount")
    if found:
        return {"amount": found}
    bare = re.fullmatch(r"(?:大概|大约|差不多|about|around)?\s*(\d{1,7}(?:\.\d{1,2})?)\s*(?:左右|多)?[。.]?", turn.text)
    if bare:
        return {"amount": {"text": turn.text, "value": float(bare[1])}}
    return _nothing(turn, "amount")


def _place(draft: Draft, turn: Turn) -> Values | None:
    if _NONE.match(turn.text):
        return {"place": SKIPPED}
    told = _is_answer(turn) and not _QUESTION.search(turn.text)
    return {"place": masked(turn.text[:200])} if told else None


def _remedy(draft: Draft, turn: Turn) -> Values | None:
    if _NONE.match(turn.text):
        return {"remedy": SKIPPED}
    return {"remedy": masked(turn.text[:500])} if _is_answer(turn) else None


def _is_answer(turn: Turn) -> bool:
    """Any words will do, but "好的" and "谢谢" answer nothing."""
    nods = any(turn.means(intent, 0.9) for intent in ("affirm", "thanks", "deny"))
    return len(re.findall(r"\w", turn.text)) >= 2 and not nods


def late_remedy(draft: Draft, turn: Turn) -> str | None:
    """What is wished for, told only at the read-back."""
    tells = turn.is_short and _ASKS_FOR.search(turn.text) and not draft.told("remedy")
    return masked(turn.text) if tells else None


def _nothing(turn: Turn, name: str) -> Values | None:
    """ "没有" or "no" to an optional field leaves it out."""
    none = _NONE.match(turn.text) or (turn.means("deny") and not turn.entities)
    return {name: SKIPPED} if none else None


_READERS: dict[str, Callable[[Draft, Turn], Values | None]] = {
    "what": _what,
    "category": _category,
    "number": _number,
    "when": _when,
    "place": _place,
    "amount": _amount,
    "remedy": _remedy,
}
