"""One conversation: claim, reply, release, close, and everything that can go wrong with them."""

import threading
from collections.abc import Callable
from typing import Any

import pytest
from flask import Flask

from bot.build import Product
from bot.store import blobs, conversations, inbox, outbox
from bot.store.conversations import Conversation
from tests.console.seats import Seat, hidden, tell, words
from tests.talking import Hands

SeatMaker = Callable[..., Seat]


def _state(product: Product, conversation_id: int) -> Conversation:
    with product.database.read() as db:
        found = conversations.read(db, conversation_id)
    assert found is not None
    return found


def _replies(product: Product, conversation_id: int) -> list[str]:
    with product.database.read() as db:
        return [row.text for row in outbox.history(db, conversation_id) if row.class_ == "agent"]


def test_the_page_shows_who_why_and_what(agent: Seat, waiting: int) -> None:
    page = words(agent.get(f"/conversations/{waiting}").text)
    for shown in ("排队中", "客户要求人工", "网页聊天", "中文", "我家宽带断了三天", "要求人工", "进入排队"):
        assert shown in page


def test_gathered_facts_have_readable_names(agent: Seat, hands: Hands) -> None:
    tell(hands, "宽带断了", "13800138000")
    page = words(agent.get(f"/conversations/{hands.conversation('customer').id}").text)
    assert "发生了什么 宽带断了" in page and "号码 13800138000" in page


def test_claim_reply_release(agent: Seat, product: Product, hands: Hands, waiting: int) -> None:
    assert agent.act(waiting, "claim").status_code == 303
    assert _state(product, waiting).state == "agent"
    answer = agent.act(waiting, "reply", text="您好，我来处理\r\n请稍等")
    assert answer.status_code == 303
    hands.work()
    assert "您好，我来处理\n请稍等" in hands.heard("customer")
    page = agent.get(answer.location).text
    assert "已发送" in page and "未答复" not in words(page)
    assert agent.act(waiting, "release").status_code == 303
    assert _state(product, waiting).state == "bot"


def test_claim_race_has_one_winner(app: Flask, seat: SeatMaker, product: Product, waiting: int) -> None:
    people = [seat("one"), seat("two")]
    epoch = hidden(people[0].get(f"/conversations/{waiting}").text, "seen_epoch")
    ready, answers = threading.Barrier(2), {}

    def claim(person: Seat) -> None:
        ready.wait()
        answers[person.name] = person.press(f"/conversations/{waiting}/claim", live=True, seen_epoch=epoch)

    threads = [threading.Thread(target=claim, args=(person,)) for person in people]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(a.status_code for a in answers.values()) == [200, 409]
    winner = next(name for name, a in answers.items() if a.status_code == 200)
    loser = next(a for a in answers.values() if a.status_code == 409)
    assert f"这个会话现在的状态是“{winner}”" in words(loser.text)


def test_claiming_twice_is_claiming_once(agent: Seat, product: Product, waiting: int) -> None:
    epoch = hidden(agent.get(f"/conversations/{waiting}").text, "seen_epoch")
    for _ in range(2):
        assert agent.press(f"/conversations/{waiting}/claim", live=True, seen_epoch=epoch).status_code == 200
    assert _state(product, waiting).epoch == int(epoch) + 1


def test_colleagues_do_not_take_over_but_supervisors_do(seat: SeatMaker, product: Product, waiting: int) -> None:
    one, two, lead = seat("one"), seat("two"), seat("lead", "supervisor")
    one.act(waiting, "claim")
    page = two.get(f"/conversations/{waiting}").text
    assert f"/conversations/{waiting}/claim" not in page
    epoch = _state(product, waiting).epoch
    refused = two.press(f"/conversations/{waiting}/claim", seen_epoch=epoch)
    assert refused.status_code == 409 and "one" in words(refused.text)
    assert "从one手里接过来" in words(lead.get(f"/conversations/{waiting}").text)
    assert lead.act(waiting, "claim").status_code == 303
    told = one.act(waiting, "reply", text="还在吗", live=True)
    assert told.status_code == 409 and "“lead”" in words(told.text)


def test_an_uncertain_message_is_said(
    agent: Seat, product: Product, waiting: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    from bot.conversation import Claimed

    monkeypatch.setattr(type(product.ownership), "claim", lambda *_: Claimed(3, 1))
    answer = agent.act(waiting, "claim")
    assert "有 1 条机器人消息正在发出" in words(agent.get(answer.location).text)
    assert "有 1 条机器人消息正在发出" in words(agent.act(waiting, "claim", live=True).text)


def test_a_double_click_is_one_message(agent: Seat, product: Product, waiting: int) -> None:
    agent.act(waiting, "claim")
    fields = {"client_id": "0123456789abcdef", "text": "只有一条"}
    first = agent.act(waiting, "reply", live=True, **fields)
    second = agent.act(waiting, "reply", live=True, **fields)
    assert first.status_code == second.status_code == 200
    assert "tingsu:sent" in first.headers["HX-Trigger"] and "没有重复发送" in words(second.text)
    assert _replies(product, waiting) == ["只有一条"]


def test_a_lost_answer_loses_no_later_text(agent: Seat, product: Product, waiting: int) -> None:
    """The first went out, its answer did not come back, the text was changed and sent again."""
    agent.act(waiting, "claim")
    agent.act(waiting, "reply", client_id="0123456789abcdef", text="原来的话")
    answer = agent.act(waiting, "reply", client_id="0123456789abcdef", text="改过的话")
    assert answer.status_code == 409
    assert "改动之前的内容" in words(answer.text) and "改过的话" in answer.text
    assert _replies(product, waiting) == ["原来的话"]


BAD_REPLIES: list[tuple[dict[str, Any], str]] = [
    ({"text": ""}, "回复是空的"),
    ({"text": " \n\t "}, "回复是空的"),
    ({"text": "\x00"}, "回复是空的"),
    ({"text": "长" * 10_000}, "有 10000 字，最多 4000 字"),
    ({"text": "好", "seen_sequence": ""}, "页面不完整"),
    ({"text": "好", "seen_sequence": "x"}, "页面不完整"),
    ({"text": "好", "seen_sequence": "-1"}, "页面不完整"),
    ({"text": "好", "seen_sequence": "９"}, "页面不完整"),
    ({"text": "好", "seen_sequence": "9" * 30}, "页面不完整"),
    ({"text": "好", "client_id": ""}, "页面不完整"),
    ({"text": "好", "client_id": "a b"}, "页面不完整"),
    ({"text": "好", "client_id": "a" * 200}, "页面不完整"),
]


def test_bad_replies_are_refused_and_kept(agent: Seat, product: Product, waiting: int) -> None:
    agent.act(waiting, "claim")
    for fields, said in BAD_REPLIES:
        answer = agent.act(waiting, "reply", **fields)
        assert answer.status_code == 400
        assert said in words(answer.text)
        assert fields["text"].replace("\x00", "") in answer.text
    assert _replies(product, waiting) == []


def test_a_form_that_is_too_large(agent: Seat, waiting: int) -> None:
    answer = agent.press(f"/conversations/{waiting}/reply", text="长" * 200_000)
    assert answer.status_code == 413 and "内容太长" in answer.text


def test_unusual_replies_arrive_as_they_were_typed(agent: Seat, product: Product, waiting: int) -> None:
    agent.act(waiting, "claim")
    typed = ["<b>x</b>", "مرحبا \u202eabc", "/intent{}", "😀" * 50, "a\u200bb", "{name} %s"]
    for text in typed:
        assert agent.act(waiting, "reply", text=text).status_code == 303
    assert _replies(product, waiting) == typed


def test_replying_without_owning_says_who_does(agent: Seat, seat: SeatMaker, product: Product, waiting: int) -> None:
    answer = agent.act(waiting, "reply", text="我先说一句")
    assert answer.status_code == 409
    assert "排队中，还没有人接" in words(answer.text) and "我先说一句" in answer.text
    seat("two").act(waiting, "claim")
    assert "“two”" in words(agent.act(waiting, "reply", text="我先说一句").text)
    assert _replies(product, waiting) == []


def test_close(agent: Seat, product: Product, waiting: int) -> None:
    agent.act(waiting, "claim")
    assert agent.act(waiting, "close").status_code == 303
    assert _state(product, waiting).state == "closed"


def test_close_is_refused_while_the_customer_goes_on(agent: Seat, product: Product, hands: Hands, waiting: int) -> None:
    agent.act(waiting, "claim")
    page = agent.get(f"/conversations/{waiting}").text
    seen: dict[str, Any] = {name: hidden(page, name) for name in ("seen_epoch", "seen_sequence")}
    hands.say("customer", "等一下，还有一个问题")
    answer = agent.press(f"/conversations/{waiting}/close", **seen)
    assert answer.status_code == 409
    assert "客户又发来了消息" in words(answer.text) and "还有一个问题" in answer.text
    assert _state(product, waiting).state == "agent"


@pytest.mark.parametrize("what", ["claim", "release", "close"])
def test_forms_without_their_numbers(agent: Seat, waiting: int, what: str) -> None:
    for value in ("", "x", "1" * 20):
        answer = agent.act(waiting, what, seen_epoch=value)
        assert answer.status_code == 400 and "页面不完整" in words(answer.text)


@pytest.mark.parametrize("what", ["claim", "release", "close"])
def test_old_pages_are_told_the_state(agent: Seat, waiting: int, what: str) -> None:
    answer = agent.act(waiting, what, seen_epoch="1")
    assert answer.status_code == 409 and "页面已更新" in words(answer.text)


def test_an_unknown_conversation(agent: Seat) -> None:
    fields: dict[str, Any] = {"seen_epoch": "1", "seen_sequence": "1", "client_id": "0123456789", "text": "x"}
    for what in ("", "/live"):
        assert agent.get(f"/conversations/999{what}").status_code == 404
    for what in ("claim", "reply", "release", "close", "held"):
        assert agent.press(f"/conversations/999/{what}", **fields).status_code == 404


def test_held_notices_are_sent_when_the_agent_says_so(
    agent: Seat, product: Product, hands: Hands, waiting: int
) -> None:
    agent.act(waiting, "claim")
    assert "发送暂缓的通知" not in agent.get(f"/conversations/{waiting}").text
    with product.database.write() as db:
        from bot.outbox import notice

        notice(db, conversations.lock(db, waiting), "test", "status", "handoff.released")
    hands.work()
    assert "发送暂缓的通知（1）" in agent.get(f"/conversations/{waiting}").text
    answer = agent.act(waiting, "held")
    assert "暂缓的通知已发出：1 条" in words(agent.get(answer.location).text)
    hands.work()
    assert any("智能客服）继续" in said for said in hands.heard("customer"))


def test_what_was_not_sent_says_why(agent: Seat, product: Product, waiting: int) -> None:
    agent.act(waiting, "claim")
    agent.act(waiting, "reply", text="发不出去的话")
    with product.database.write() as db:
        row = next(row for row in outbox.history(db, waiting) if row.text == "发不出去的话")
        outbox.settle(db, row.id, row.state, state="dead", reason="blocked by the user")
    assert "没有发出 · blocked by the user" in words(agent.get(f"/conversations/{waiting}").text)


def test_attachments_are_saved_and_never_opened(agent: Seat, product: Product, waiting: int) -> None:
    with product.database.write() as db:
        row = inbox.history(db, waiting)[0]
        values = {"kind": "document", "channel_ref": "x", "name": '截图".html', "mime": "text/html"}
        inbox.add_attachments(db, row.id, waiting, [values, values])
        kept, pending = inbox.attachments(db, waiting)
        blob_id = blobs.add(db, b"<script>alert(1)</script>", sha256="0" * 64, mime="text/html")
        inbox.settle_attachment(db, kept.id, state="stored", blob_id=blob_id)
    assert "正在取回" in words(agent.get(f"/conversations/{waiting}").text)
    answer = agent.get(f"/conversations/{waiting}/attachments/{kept.id}")
    assert answer.data == b"<script>alert(1)</script>"
    assert answer.headers["Content-Type"] == "application/octet-stream"
    assert answer.headers["Content-Disposition"].startswith("attachment;")
    assert answer.headers["Content-Security-Policy"].startswith("sandbox")
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    for number in (pending.id, 999):
        assert agent.get(f"/conversations/{waiting}/attachments/{number}").status_code == 404
    assert agent.get(f"/conversations/999/attachments/{kept.id}").status_code == 404


def test_a_live_page_gets_the_fresh_state_with_every_answer(agent: Seat, waiting: int) -> None:
    for answer in (agent.act(waiting, "claim", live=True), agent.act(waiting, "reply", live=True, text="")):
        assert answer.headers["X-Tingsu-Fragment"] == "1"
        assert "<html" not in answer.text and 'id="transcript"' in answer.text
    assert agent.act(waiting, "reply", live=True, text="好").status_code == 200


def test_words_after_a_redirect_are_ours_only(agent: Seat, waiting: int) -> None:
    page = agent.get(f"/conversations/{waiting}?did=moved&n=<b>").text
    assert "data-banner" not in page
    assert "暂缓的通知已发出：0 条" in agent.get(f"/conversations/{waiting}?did=held_sent&n=<b>").text


def test_both_languages_show_every_part(agent: Seat, waiting: int) -> None:
    agent.press("/account/language", language="en")
    page = words(agent.get(f"/conversations/{waiting}").text)
    for shown in ("customer asked for a person", "Web chat", "Chinese", "Claim", "What the bot has gathered"):
        assert shown in page
