"""The complaint form by itself: pure steps, bounded, forgiving."""

from __future__ import annotations

from typing import Any

from actions import form
from actions.draft import SKIPPED, Draft
from actions.turn import Turn

EMPTY = Draft(values={})
FULL: dict[str, Any] = {
    "what": "宽带断了", "category": "broadband.disconnection", "number": "13812345678",
    "when": {"text": "昨晚", "from": None, "to": None}, "place": "江宁", "remedy": SKIPPED,
}  # fmt: skip


def said(text: str = "", intent: str = "nlu_fallback", confidence: float = 0.9, **more: Any) -> Turn:
    given: dict[str, Any] = {
        "payload": None,
        "entities": (),
        "categories": (),
        "attachments": 0,
        "language": "zh",
        **more,
    }
    return Turn(text=text, intent=intent, confidence=confidence, **given)


def tapped(payload: str) -> Turn:
    return said(payload=payload, intent="choose")


def keys(step: form.Step) -> list[str]:
    return [reply["key"] for reply in step.answer.replies]


def at(question: str, **values: Any) -> Draft:
    return Draft(values={**FULL, **values}, question=question)


def test_the_first_message_fills_what_it_tells() -> None:
    number = {"entity": "number", "value": "13812345678", "start": 0, "end": 11}
    leaf = ({"category": "broadband.disconnection", "confidence": 0.8},)
    step = form.begin(
        EMPTY, said("我的宽带从早上就断了，号码13812345678", "complain", entities=(number,), categories=leaf)
    )
    assert step.draft.values["number"] == "13812345678"
    assert step.draft.category == "broadband.disconnection"
    assert step.draft.question == "when"


def test_a_mere_wish_is_asked_what_happened() -> None:
    assert keys(form.begin(EMPTY, said("我要投诉你们公司", "complain"))) == ["ask.what"]


def test_skip_leaves_out_and_asks_the_next() -> None:
    step = form.advance(at("number", when=None), tapped("skip"))
    assert step.draft.values["number"] is SKIPPED
    assert step.draft.question == "when"


def test_affirm_at_the_read_back_files() -> None:
    assert form.advance(at("confirm"), said("确认", "affirm")).outcome == form.FILED


def test_affirm_elsewhere_files_nothing() -> None:
    step = form.advance(at("when", when=None), tapped("affirm"))
    assert step.outcome is None
    assert step.draft.question == "when"


def test_deny_asks_what_to_change_and_back() -> None:
    step = form.advance(at("confirm"), said("不对", "deny"))
    assert keys(step) == ["ask.change"]
    step = form.advance(step.draft, said("时间", "affirm", 0.1))
    assert keys(step) == ["ask.when"]


def test_correction_with_a_value_changes_at_once() -> None:
    number = {"entity": "number", "value": "13900000000", "start": 0, "end": 11}
    step = form.advance(at("confirm"), said("号码写错了，是13900000000", "correct", entities=(number,)))
    assert step.draft.values["number"] == "13900000000"
    assert keys(step) == ["form.corrected", "complaint.read_back"]


def test_cancel_ends_it() -> None:
    assert form.advance(at("place", place=None), said("算了", "cancel")).outcome == form.CANCELLED


def test_a_long_story_with_cancel_in_it_is_no_cancel() -> None:
    story = "我去营业厅要求取消这个业务，他们一直推脱说系统有问题办不了，跑了三趟都没办成"
    assert form.advance(Draft({}, "what"), said(story, "cancel")).draft.values["what"] == story


def test_failing_is_bounded() -> None:
    draft = at("number", number=None)
    seen: list[list[str]] = []
    for _ in range(3):
        step = form.advance(draft, said("嗯哼哈"))
        draft, seen = step.draft, [*seen, keys(step)]
    assert seen == [["retry.number"], ["form.stuck"], ["form.left_out", "complaint.read_back"]]


def test_what_cannot_be_left_out_so_a_person_is_called() -> None:
    draft = Draft({}, "what")
    for _ in range(3):
        step = form.advance(draft, said("！！！"))
        draft = step.draft
    assert step.answer.commands == [{"name": "call_agent", "args": {"reason": "form_failure"}}]


def test_a_picture_is_no_failure() -> None:
    step = form.advance(at("number", number=None), said("", attachments=1))
    assert keys(step) == ["form.picture", "ask.number"]
    assert step.draft.failures == 0


def test_a_question_is_left_to_its_own_topic() -> None:
    assert form.advance(at("number", number=None), said("我的投诉怎么样了", "complaint_status")).digressed


def test_unknown_taps_repeat_the_question() -> None:
    for payload in ("bogus", "change:nothing", "category:", "skip"):
        assert keys(form.advance(at("confirm"), tapped(payload)))[-1] in ("complaint.read_back", "ask.category")


def test_cards_are_masked() -> None:
    step = form.begin(EMPTY, said("身份证110101199003071234被冒名办了卡", "complain"))
    assert "110101199003071234" not in str(step.draft.values)


def test_the_read_back_is_short_text_only() -> None:
    step = form.advance(at("remedy", remedy=None, what="断" * 5000), tapped("skip"))
    args = step.answer.replies[-1]["args"]
    assert all(isinstance(value, str) for value in args.values())
    assert len(args["what"]) == 300
    assert args["remedy"] == ""
