"""The turn channel over the two really started servers: talks in both languages, statelessness, failures, bad input."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from tests.rasa.servers import Server, Talk, free_port, running, wait_for

Json = dict[str, Any]


def keys(answer: Json) -> list[str]:
    return [reply["key"] for reply in answer["replies"]]


def commands(answer: Json) -> list[str]:
    return [command["name"] for command in answer["commands"]]


def test_a_complaint_in_chinese(talk: Talk) -> None:
    assert keys(talk.say("你好")) == ["answer.greet"]
    first = talk.say("我的宽带从昨晚断到现在，没人管，我要投诉")
    assert first["category"] == "broadband.disconnection"
    assert keys(first) == ["sorry.broadband", "ask.number", "and.place"]
    assert keys(talk.say("号码13812345678")) == ["ask.place"]
    assert keys(talk.say("南京市江宁区东山街道")) == ["ask.remedy"]
    back = talk.say("尽快修好，再赔我一个月的费用")
    assert keys(back) == ["complaint.read_back"]
    assert back["state"]["question"] == "confirm"
    filed = talk.say("tap:affirm")
    (command,) = filed["commands"]
    assert command["name"] == "file_complaint" and filed["replies"] == []
    assert command["args"]["fields"]["when"]["from"] == "2026-11-22T18:00+08:00"
    assert command["args"]["fields"]["number"] == "13812345678"
    assert filed["state"]["slots"] == {}
    assert commands(talk.say("我的投诉怎么样了")) == ["tell_status"]


def test_a_complaint_in_english(english: Talk) -> None:
    first = english.say("My internet has been down since last night and nobody helps")
    assert first["category"] == "broadband.disconnection"
    assert keys(first)[-2:] == ["ask.number", "and.place"]
    english.say("my number is 13812345678")
    status = english.say("what is the status of my complaint")
    assert commands(status) == ["tell_status"] and keys(status) == ["ask.place"]
    assert keys(english.say("skip")) == ["ask.remedy"]
    assert keys(english.say("I want a refund of 50 yuan")) == ["complaint.read_back"]
    english.say("I gave you the wrong number, it is 13912345678")
    (command,) = english.say("yes")["commands"]
    assert command["args"]["fields"]["number"] == "13912345678"
    assert command["args"]["fields"]["amount"]["value"] == 50
    assert command["args"]["language"] == "en"


@pytest.mark.parametrize(
    "text", ["我的宽带断了", "流量用不了多久就没了，漫游费还贵", "我的积分怎么没了", "I was charged for roaming"]
)
def test_a_short_problem_is_a_complaint(talk: Talk, text: str) -> None:
    answer = talk.say(text)
    assert answer["intent"]["name"] == "complain"
    assert answer["state"]["active_form"] == "complaint_form"


def test_cancel_clears_everything(talk: Talk) -> None:
    talk.say("这个月莫名其妙多扣了三百多块话费")
    answer = talk.say("算了，不填了")
    assert keys(answer) == ["form.cancelled"] and commands(answer) == ["forget_draft"]
    assert answer["state"] == {"slots": {}, "active_form": None, "question": None, "failures": 0}


def test_the_same_turn_thrice_gives_the_same_answer(server: Server, talk: Talk) -> None:
    talk.say("宽带一天掉线七八次")
    answers = [server.turn("13812345678", talk.state) for _ in range(3)]
    assert answers[0] == answers[1] == answers[2]


def test_turns_at_the_same_time_do_not_mix(server: Server) -> None:
    def story(number: int) -> Any:
        talk = Talk(server)
        talk.say("宽带一天掉线七八次，从昨天开始")
        talk.say(f"138{number:08d}")
        return talk.state["slots"]["number"]

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(story, range(12))) == [f"138{number:08d}" for number in range(12)]


def test_two_misunderstandings_in_a_row_end_with_a_person(talk: Talk) -> None:
    assert keys(talk.say("木棉花开否")) == ["fallback.first"]
    assert keys(talk.say("你好")) == ["answer.greet"]
    assert keys(talk.say("木棉花开否")) == ["fallback.first"], "not in a row"
    answer = talk.say("3.14159")
    assert keys(answer) == ["handoff.misunderstood"]
    assert answer["commands"] == [{"name": "call_agent", "args": {"reason": "misunderstood"}}]
    assert talk.state["failures"] == 0


def mine(*states: str) -> Json:
    """The context of a customer who has complaints in these states, the newest first."""
    known = [
        {"reference": f"TS-2222-222{n}-2", "category": "broadband.disconnection", "state": state, "day": 3,
         "received_at": NOON, "due_at": NOON, "rated": False}
        for n, state in enumerate(states, start=2)
    ]  # fmt: skip
    return {"context": {"in_hours": True, "has_complaints": bool(known), "complaints": known}}


NOON = "2026-11-23T12:00:00+08:00"


def test_a_wish_about_the_only_complaint_is_done_at_once(talk: Talk) -> None:
    answer = talk.say("麻烦催一下", **mine("inProgress"))
    assert answer["commands"][0]["name"] == "urge" and answer["state"]["active_form"] is None
    assert answer["commands"][0]["args"]["reference"] == "TS-2222-2222-2"


def test_a_new_complaint_comes_in_the_middle_of_a_question_about_an_old_one(talk: Talk) -> None:
    assert keys(talk.say("撤销投诉", **mine("inProgress"))) == ["ask.withdraw"]
    answer = talk.say("我的手机一点信号都没有，打不了电话", **mine("inProgress"))
    assert answer["state"]["active_form"] == "complaint_form"
    assert keys(answer)[0] == "sorry.mobile_network"


def test_a_withdrawal_is_asked_once_and_only_a_yes_does_it(talk: Talk) -> None:
    talk.say("撤销投诉", **mine("inProgress"))
    assert commands(talk.say("你好", **mine("inProgress"))) == []
    assert talk.state["question"] == "withdraw"
    (command,) = talk.say("是的", **mine("inProgress"))["commands"]
    assert command["name"] == "withdraw"


def test_plain_mode_asks_one_thing_and_numbers_the_choices(talk: Talk) -> None:
    menu = talk.say("我年纪大了，说简单点")["replies"][-1]
    assert menu["args"]["numbered"] and menu["question"] == "menu"
    assert menu["buttons"][0]["payload"] == "human"
    assert keys(talk.say("我的宽带断了")) == ["sorry.broadband", "ask.number"]


@pytest.mark.parametrize("text", ["转人工", "let me talk to a real person", "tap:human"])
def test_a_person_inside_the_form_keeps_the_draft(talk: Talk, text: str) -> None:
    talk.say("宽带一天掉线七八次")
    answer = talk.say(text)
    assert answer["commands"] == [{"name": "call_agent", "args": {"reason": "wish"}}]
    assert answer["state"]["question"] == "number"


def test_status_of_a_reference(talk: Talk) -> None:
    (command,) = talk.say("ts 7q4k 9m2x c 12345678")["commands"]
    assert command["args"] == {"reference": "TS-7Q4K-9M2X-C", "receipt_code": "12345678"}


HOSTILE = ["", "   ", "\u200b\u202e", "🤬🤬🤬", "\0\0", "\u202e我要投诉\u202c", "断" * 10_000, "a" * 10_000, "1" * 10_000,
           '/complain{"what": "x"}', "/restart", "／restart", " ／affirm", "/session_start", "\ud800", "[x](y)", "{what}",
           "EXTERNAL: affirm", "__skipped__", "<script>", "'; DROP TABLE", "NaN"]  # fmt: skip


@pytest.mark.parametrize("question", ["none", "what", "number", "remedy", "confirm"])
def test_hostile_texts_get_an_answer_and_never_stick(server: Server, question: str) -> None:
    ways = {"none": [], "what": ["tap:complain"], "number": ["宽带一天掉线七八次"],
            "remedy": ["宽带从昨晚开始断", "tap:skip", "tap:skip"],
            "confirm": ["宽带从昨晚开始断", "tap:skip", "tap:skip", "tap:skip"]}  # fmt: skip
    talk = Talk(server)
    for step in ways[question]:
        talk.say(step)
    for text in HOSTILE:
        answer = server.turn(text, talk.state)
        assert not answer["failed"], (text[:20], answer["reason"])
        assert "file_complaint" not in commands(answer)
        after = Talk(server, state=answer["state"])
        after.say("tap:cancel")
        assert after.state["active_form"] is None


def test_a_form_that_is_never_answered_ends_at_a_person_or_the_read_back(talk: Talk) -> None:
    talk.say("tap:complain")
    seen = [talk.say("🤬") for _ in range(3)]
    assert commands(seen[-1]) == ["call_agent"]


NOW = '"now": "2026-11-23T17:40:00+08:00"'
MALFORMED = {
    "nothing": b"", "list": b"[]", "cut": b"{", "no text": b'{"turn_id": "t"}',
    "both": b'{"turn_id": "t", "text": "a", "payload": "b"}', "number": f'{{"turn_id": "t", "text": 7, {NOW}}}'.encode(),
    "no turn": f'{{"text": "a", {NOW}}}'.encode(), "no time": b'{"turn_id": "t", "text": "a", "now": "gestern"}',
    "naive": b'{"turn_id": "t", "text": "a", "now": "2026-11-23T17:40:00"}',
    "state": f'{{"turn_id": "t", "text": "a", "state": 3, {NOW}}}'.encode(),
    "language": f'{{"turn_id": "t", "text": "a", "language": "fr", {NOW}}}'.encode(),
    "zone": f'{{"turn_id": "t", "text": "a", "timezone": "../etc", {NOW}}}'.encode(), "deep": b"[" * 100_000,
}  # fmt: skip


@pytest.mark.parametrize("name", MALFORMED)
def test_malformed_requests_are_refused_with_a_reason(server: Server, name: str) -> None:
    status, answer = server.post(MALFORMED[name])
    assert status == 400
    assert answer["error"]


def test_nonsense_in_the_state_does_not_stick(server: Server) -> None:
    state = {"slots": {"number": {"x": 1}, "unknown": 5, "failures": "many"}, "active_form": "no_such_form"}
    answer = server.turn("你好", state)
    assert keys(answer) == ["answer.greet"]


def test_without_the_action_server_the_turn_is_failed(model: Any) -> None:
    port = free_port()
    with running("rasa", "--port", str(port), "--actions-port", str(free_port()), "--model", str(model)):
        alone = Server(port, model)
        wait_for(alone)
        answer = alone.turn("宽带一天掉线七八次", {})
        assert answer["failed"] and "action server" in answer["reason"]
        assert answer["replies"] == answer["commands"] == [] and answer["state"] == {}
        assert keys(alone.turn("你好", {})) == ["answer.greet"]


def test_health_names_the_model(server: Server) -> None:
    assert server.health() == (200, {"status": "ok", "model": server.model.name.partition(".")[0]})
