"""The page of what stopped, and what an agent decides inside the transcript."""

import re
from collections.abc import Callable

import pytest

from bot import outbox
from bot.build import Product
from bot.store import conversations, users
from bot.store import outbox as store
from tests.console.seats import Seat, words
from tests.talking import Hands


def stop(product: Product, conversation_id: int, state: str = "dead", topic: str = "status", **more: str) -> int:
    """A notice, or what `more` says, that stopped."""
    values = {"class_": outbox.NOTICE, "text": "您的投诉有进展", "reason": "cannot be written"} | more
    with product.database.write() as db:
        current = conversations.lock(db, conversation_id)
        key = f"test:{conversation_id}:{len(store.history(db, conversation_id))}"
        made = store.add(
            db, conversation_id=current.id, key=key, topic=topic, epoch=current.epoch, state=state,
            stopped_at=conversations.now(db), **values,
        )  # fmt: skip
    assert made is not None
    return made


def row(product: Product, row_id: int) -> store.OutboxRow:
    with product.database.read() as db:
        found = store.read(db, row_id)
    assert found is not None
    return found


@pytest.fixture
def lead(seat: Callable[..., Seat]) -> Seat:
    return seat("zhao", "supervisor")


def test_the_empty_page_says_that_all_is_well(lead: Seat) -> None:
    assert "现在没有异常" in words(lead.get("/letters").text)
    assert "没有符合条件的" in words(lead.get("/letters?kind=turn").text)
    assert lead.get("/letters?kind=nonsense").status_code == lead.get("/letters?since=ever").status_code == 404


def test_the_header_counts_for_who_leads(lead: Seat, agent: Seat, waiting: int) -> None:
    assert 'class="count bad"' not in lead.get("/").text
    stop(lead.product, waiting)
    assert 'class="count bad" href="/letters"><b>1</b> 待决定' in lead.get("/").text
    assert "/letters" not in agent.get("/").text


def test_receipts_stand_first_with_reasons_in_words_and_no_code(lead: Seat, waiting: int) -> None:
    stop(lead.product, waiting)
    with lead.product.database.write() as db:
        current = conversations.lock(db, waiting)
        args = {
            "reference": "TS-2222-3333-4",
            "code": "77889900",
            "category": "other.other",
            "due_at": "2026-07-01T09:00+08:00",
        }
        store.add(
            db, conversation_id=waiting, key="r", class_="notice", topic="receipt", epoch=current.epoch,
            text_key="receipt.filed", args=args, state="uncertain", reason="sender died", attempts=1,
        )  # fmt: skip
    page = lead.get("/letters").text
    assert page.index("letter urgent") < page.index("您的投诉有进展")
    said = words(page)
    assert "受理回执" in said and "发送程序中断" in said and "内容无法生成" in said and "试过 1 次" in said
    assert "77889900" not in page


def test_again_and_leave_are_recorded_with_the_person(lead: Seat, hands: Hands, waiting: int) -> None:
    one, other = stop(lead.product, waiting), stop(lead.product, waiting, "uncertain")
    answer = lead.press(f"/letters/message-{one}/replay", since="24h")
    assert answer.status_code == 303 and answer.location == "/letters?did=replayed&since=24h"
    assert "已安排再来一次" in words(lead.get(answer.location).text)
    hands.work()
    assert row(lead.product, one).state == "sent"
    answer = lead.press(f"/letters/message-{other}/discard", reason="told otherwise")
    assert "did=discarded" in answer.location
    assert row(lead.product, other).state == "uncertain", "the row stays as it is"
    with lead.product.database.read() as db:
        logged = [(entry.action, entry.user_id) for entry in db.execute(users.audit.select())]
        who = users.by_name(db, "zhao")
    assert who is not None and {("letter.replayed", who.id), ("letter.discarded", who.id)} <= set(logged)


def test_the_slower_one_is_told(lead: Seat, hands: Hands, waiting: int) -> None:
    one = stop(lead.product, waiting)
    lead.press(f"/letters/message-{one}/replay")
    hands.work()
    answer = lead.press(f"/letters/message-{one}/replay")
    assert answer.location == "/letters?did=gone"
    assert "别人已经处理过" in words(lead.get(answer.location).text)


def test_a_reason_is_needed(lead: Seat, waiting: int) -> None:
    one = stop(lead.product, waiting)
    for reason in ("", "because"):
        answer = lead.press(f"/letters/message-{one}/discard", reason=reason)
        assert answer.location == "/letters?did=no_reason"
    assert row(lead.product, one).discarded_at is None
    assert lead.press("/letters/nonsense-1/discard", reason="test").status_code == 404


def test_marketing_and_agents_have_no_such_page(seat: Callable[..., Seat], agent: Seat, waiting: int) -> None:
    one = stop(agent.product, waiting)
    for person in (agent, seat("brand", "marketing")):
        assert person.get("/letters").status_code == 403
        assert person.press(f"/letters/message-{one}/replay").status_code == 403
    assert row(agent.product, one).state == "dead"


def test_an_agents_own_message_in_doubt_is_retried_from_the_transcript(
    agent: Seat, seat: Callable[..., Seat], hands: Hands, waiting: int
) -> None:
    agent.act(waiting, "claim")
    one = stop(agent.product, waiting, "uncertain", "", class_=outbox.AGENT, text="师傅下午到", reason="sender died")
    other = stop(agent.product, waiting, "dead", "", class_=outbox.AGENT, text="第二句")
    page = agent.get(f"/conversations/{waiting}").text
    assert "不确定是否收到 · 发送程序中断" in words(page)
    assert len(re.findall(r"/again", page)) == 4  # two forms, each with and without htmx
    colleague = seat("wang")
    assert "/again" not in colleague.get(f"/conversations/{waiting}").text
    assert colleague.press(f"/conversations/{waiting}/again", message=one).status_code == 403
    assert "会再发一次" in words(agent.press(f"/conversations/{waiting}/again", live=True, message=one).text)
    hands.work()
    assert row(agent.product, one).state == "sent"
    assert agent.press(f"/conversations/{waiting}/again", live=True, message=one).status_code == 409
    left = agent.press(f"/conversations/{waiting}/leave", live=True, message=other)
    assert "不再发" in words(left.text) and "第二句" in left.text, "it stays in the transcript"
    assert "/again" not in left.text
    for bad in ("", "x", "999999"):
        assert agent.press(f"/conversations/{waiting}/again", message=bad).status_code == 404


def test_another_conversations_message_is_not_named_here(agent: Seat, hands: Hands, waiting: int) -> None:
    hands.say("stranger", "没有信号")
    foreign = stop(agent.product, hands.conversation("stranger").id)
    agent.act(waiting, "claim")
    assert agent.press(f"/conversations/{waiting}/again", message=foreign).status_code == 404
