"""The message path on both databases: once, in order, one responder, nothing swallowed."""

from collections.abc import Callable
from datetime import timedelta

import pytest

from bot.build import Product
from bot.dialogue import Question, Said, Script
from bot.errors import DialogueDown, Newer, NotYours, TurnFailed
from bot.message import Kind
from bot.store import complaints, conversations, facts, inbox, turns
from bot.store.users import User
from tests.talking import Hands, chat, complaint_talk, reply, tap, text


@pytest.fixture
def hands(product: Product, script: Script) -> Hands:
    script.answer = complaint_talk
    return Hands(product)


@pytest.fixture
def agent(product: Product) -> User:
    return product.people.add("lin", "agent", "a long enough password")


def file_one(hands: Hands, who: str = "ann") -> str:
    """Talks until the receipt; gives the reference."""
    hands.say(who, "家里宽带断了两天")
    hands.say(who, "13800138000")
    hands.tap(who, hands.button(who, "affirm"))
    with hands.product.database.read() as db:
        return complaints.of_identity(db, hands.conversation(who).identity_id)[0].reference


def test_a_talk_ends_with_a_receipt(hands: Hands) -> None:
    reference = file_one(hands)
    assert reference in hands.heard("ann")[-1]
    with hands.product.database.read() as db:
        filed = complaints.by_reference(db, reference)
        assert filed is not None
        first = inbox.history(db, hands.conversation("ann").id)[0]
        assert complaints.of_conversation(db, first.conversation_id) == [filed]
        assert filed.received_at == first.received_at
        assert filed.due_at - filed.received_at == timedelta(days=15)


def test_a_repeated_event_has_its_effect_once(hands: Hands) -> None:
    for _ in range(3):
        hands.say("ann", "家里宽带断了", key="same")
    assert len(hands.heard("ann")) == 1
    assert hands.product.inbox.accept(chat(hands.product), text("ann", "x", key="same")).duplicate


def test_status_only_for_the_owner_or_with_the_code(hands: Hands) -> None:
    reference = file_one(hands)
    hands.say("ann", "status please")
    assert reference in hands.heard("ann")[-1]
    hands.say("eve", "hello there")
    hands.say("eve", f"status {reference}")
    hands.say("eve", "status TS-2222-2222-2")
    stranger, unknown = hands.heard("eve")[-2:]
    assert stranger == unknown
    assert "2222" not in stranger and reference not in stranger


def test_a_status_in_the_middle_of_a_form_leaves_the_question_last(hands: Hands, script: Script) -> None:
    asked = reply("system.photo_alone", "number", ("skip",))
    script.answer = lambda question: Said(
        [asked], [{"name": "tell_status", "args": {}}], {"active_form": "complaint_form"}
    )
    hands.say("ann", "宽带断了")
    (row,) = hands.rows("ann")
    assert row.text_key == "system.photo_alone", "one bubble, with the question at its end"
    assert [one["key"] for one in row.args["before"]] == ["introduction", "status.none"]
    assert hands.conversation("ann").question is not None


def test_guesses_are_limited(hands: Hands) -> None:
    reference = file_one(hands)
    code = next(row.args["code"] for row in hands.rows("ann") if row.topic == "receipt")
    hands.say("bob", "hello there")
    current = hands.conversation("bob")

    def ask(typed: str, given: str | None) -> str:
        with hands.product.database.write() as db:
            return str(hands.product.complaints.status_replies(db, current, typed, given)[0]["key"])

    assert ask(reference, "00000000") == "status.unknown"
    assert ask(reference, code) == "status.one"
    assert {ask(reference, f"{n:08}") for n in range(4)} == {"status.unknown"}
    assert ask(reference, code) == "status.unknown", "past the limit even the right code is not looked at"


def test_a_wish_queues_at_accept_and_the_turn_in_flight_dies(hands: Hands, script: Script) -> None:
    def wish_meanwhile(question: Question) -> Said:
        if script.answer is wish_meanwhile:
            script.answer = complaint_talk
            hands.product.inbox.accept(chat(hands.product), text("ann", "转人工"))
        return Said([reply("handoff.wish")], [{"name": "file_complaint", "args": {}}], {})

    script.answer = wish_meanwhile
    hands.say("ann", "宽带断了")
    current = hands.conversation("ann")
    assert current.state == "queued"
    with hands.product.database.read() as db:
        assert complaints.of_identity(db, current.identity_id) == []
        assert [row.text for row in inbox.open_rows(db, current.id)] == ["宽带断了"]
    assert len(hands.heard("ann")) == 1 and "下一位" in hands.heard("ann")[0]


def test_out_of_hours_a_wish_is_promised(make_product: Callable[..., Product], script: Script) -> None:
    product = make_product(TINGSU_HOURS="Mon 00:00-00:01")
    hands = Hands(product)
    hands.say("ann", "human")
    hands.say("ann", "human")
    assert hands.conversation("ann").state == "bot"
    assert script.asked == []
    with product.database.read() as db:
        assert len(complaints.open_promises(db, "callback")) == 1
    assert len(hands.heard("ann")) == 2


def test_agent_answers_bot_is_silent_release_repeats_the_question(hands: Hands, agent: User) -> None:
    hands.say("ann", "宽带断了")
    question = hands.heard("ann")[-1]
    hands.say("ann", "人工")
    hands.say("ann", "你们快点")
    owner = hands.product.ownership
    current = hands.conversation("ann")
    claimed = owner.claim(current.id, current.epoch, agent)
    assert claimed.uncertain == 0
    before = len(hands.heard("ann"))
    hands.say("ann", "在吗")
    assert len(hands.heard("ann")) == before
    assert owner.reply(current.id, agent, "c1", "您好，我来看看", 3)
    assert not owner.reply(current.id, agent, "c1", "您好，我来看看", 3)
    hands.work()
    assert hands.heard("ann")[-1] == "您好，我来看看"
    owner.release(current.id, agent, claimed.epoch, 4)
    hands.work()
    assert question.endswith(hands.heard("ann")[-1]), "without the introduction, which is said once"
    hands.say("ann", "13800138000")
    assert "图片" in hands.heard("ann")[-1]


def test_a_later_message_is_the_bots_next_turn_after_release(hands: Hands, agent: User) -> None:
    hands.say("ann", "人工")
    current = hands.conversation("ann")
    claimed = hands.product.ownership.claim(current.id, current.epoch, agent)
    hands.say("ann", "seen by the agent")
    hands.say("ann", "not seen by the agent")
    with pytest.raises(Newer):
        hands.product.ownership.close(current.id, agent, claimed.epoch, 2)
    hands.product.ownership.release(current.id, agent, claimed.epoch, 2)
    hands.work()
    asked = hands.product.dialogue.asked  # type: ignore[attr-defined]
    assert [question.text for question in asked] == ["not seen by the agent"]


def test_a_notice_waits_while_an_agent_answers(hands: Hands, agent: User) -> None:
    file_one(hands)
    current = hands.conversation("ann")
    claimed = hands.product.ownership.claim(current.id, current.epoch, agent)
    from bot import outbox

    with hands.product.database.write() as db:
        locked = conversations.lock(db, current.id)
        outbox.notice(db, locked, "n1", "status", "handoff.released")
        outbox.courtesy(db, locked, "c1", "position", "queue.next")
    hands.work()
    states = {row.key: row.state for row in hands.rows("ann")}
    assert states["notice:n1"] == "held" and states["courtesy:c1"] == "superseded"
    hands.product.ownership.close(current.id, agent, claimed.epoch, 99)
    hands.work()
    assert {row.key: row.state for row in hands.rows("ann")}["notice:n1"] == "sent"
    assert hands.conversation("ann").state == "closed"
    hands.say("ann", "again")
    assert hands.conversation("ann").state == "bot"


def test_two_agents_claim_one_wins(hands: Hands, agent: User) -> None:
    second = hands.product.people.add("wang", "agent", "a long enough password")
    hands.say("ann", "人工")
    current = hands.conversation("ann")
    hands.product.ownership.claim(current.id, current.epoch, agent)
    with pytest.raises(NotYours, match="lin"):
        hands.product.ownership.claim(current.id, current.epoch, second)
    with pytest.raises(NotYours):
        hands.product.ownership.reply(current.id, second, "c", "hi", 1)


def test_an_old_button_decides_nothing(hands: Hands) -> None:
    hands.say("ann", "宽带断了")
    hands.say("ann", "13800138000")
    affirm = hands.button("ann", "affirm")
    hands.tap("ann", affirm)
    hands.tap("ann", affirm)
    hands.tap("ann", "999.0")
    hands.tap("ann", "affirm")
    with hands.product.database.read() as db:
        assert len(complaints.of_identity(db, hands.conversation("ann").identity_id)) == 1
        stale = [r.disposition for r in inbox.history(db, hands.conversation("ann").id)]
    assert stale == ["turn", "turn", "turn", "stale_tap", "stale_tap", "stale_tap"]


def test_a_failing_dialogue_ends_with_a_person(hands: Hands, script: Script) -> None:
    hands.say("ann", "宽带断了两天")

    def fail(question: Question) -> Said:
        raise TurnFailed("planned")

    script.answer = fail
    hands.say("ann", "13800138000")
    for _ in range(4):
        hands.hurry("ann")
    assert hands.conversation("ann").state == "queued"
    heard = hands.heard("ann")
    assert sum("请稍等" in line for line in heard) == 1
    assert sum("受理编号" in line for line in heard) == 1, "the draft was filed as it was"
    with hands.product.database.read() as db:
        assert [row.text for row in inbox.open_rows(db, hands.conversation("ann").id)] == ["13800138000"]


def test_without_rasa_messages_wait_in_order(hands: Hands, script: Script) -> None:
    def down(question: Question) -> Said:
        raise DialogueDown("planned")

    script.answer = down
    hands.say("ann", "宽带断了两天")
    hands.say("ann", "13800138000")
    assert hands.heard("ann") == []
    script.answer = complaint_talk
    hands.hurry("ann")
    assert len(hands.heard("ann")) >= 1
    assert hands.conversation("ann").state == "bot"


@pytest.mark.parametrize(("hours", "state"), [("Mon-Sun 00:00-24:00", "queued"), ("Mon 00:00-00:01", "bot")])
def test_after_patience_without_rasa_a_person_takes_over(
    make_product: Callable[..., Product], script: Script, hours: str, state: str
) -> None:
    hands = Hands(make_product(TINGSU_RASA_PATIENCE="0.01", TINGSU_HOURS=hours))
    script.answer = complaint_talk
    hands.say("ann", "宽带断了两天")

    def down(question: Question) -> Said:
        raise DialogueDown("planned")

    script.answer = down
    hands.say("ann", "13800138000")
    for _ in range(3):
        hands.hurry("ann")
    assert hands.conversation("ann").state == state
    assert sum("受理编号" in line for line in hands.heard("ann")) == 1, "the draft was filed as it was"
    assert sum("系统出了点问题" in line for line in hands.heard("ann")) == 1
    with hands.product.database.read() as db:
        left = [row.text for row in inbox.open_rows(db, hands.conversation("ann").id)]
        assert left == (["13800138000"] if state == "queued" else [])
        assert len(complaints.open_promises(db, "callback")) == (0 if state == "queued" else 1)
    script.answer = complaint_talk
    hands.say("ann", "还在吗")
    assert hands.conversation("ann").state == state


def test_stop_waiting_returns_to_the_bot(hands: Hands) -> None:
    hands.say("ann", "宽带断了")
    hands.say("ann", "转人工")
    hands.tap("ann", "stop_waiting")
    assert hands.conversation("ann").state == "bot"
    assert "图片收到了" in hands.heard("ann")[-1], "the open question is said again"


def test_nobody_waits_for_ever(hands: Hands) -> None:
    hands.say("ann", "人工")
    product = hands.product
    product.waiting().end_hopeless_waits()
    assert hands.conversation("ann").state == "queued"
    with product.database.write() as db:
        long_ago = conversations.now(db) - timedelta(hours=2)
        conversations.change(db, hands.conversation("ann").id, queued_at=long_ago)
    product.waiting().end_hopeless_waits()
    hands.work()
    assert hands.conversation("ann").state == "closed"
    assert "久等" in hands.heard("ann")[-1]
    with product.database.read() as db:
        assert len(complaints.open_promises(db, "callback")) == 1
    hands.say("ann", "宽带断了")
    assert hands.conversation("ann").state == "bot"


def test_a_bug_in_carrying_out_is_the_turns_failure(hands: Hands, script: Script) -> None:
    script.answer = lambda question: Said([{"no key": 1}], [], {})
    hands.say("ann", "宽带断了")
    for _ in range(3):
        hands.hurry("ann")
    assert hands.conversation("ann").state == "queued"


def test_a_turn_that_moves_says_its_words_as_notices(hands: Hands) -> None:
    hands.say("ann", "misunderstand me")
    assert hands.conversation("ann").state == "queued"
    assert [row.class_ for row in hands.rows("ann")] == ["notice", "courtesy"]
    assert len(hands.heard("ann")) == 2


def test_every_kind_has_a_disposition(hands: Hands) -> None:
    account = chat(hands.product)
    accept = hands.product.inbox.accept
    assert (
        accept(account, text("ann", "", kind=Kind.OTHER, wants_answer=True, detail="sticker")).disposition
        == "unsupported"
    )
    assert accept(account, text("ann", "", kind=Kind.OTHER, detail="pin")).disposition == "recorded"
    assert accept(account, text("", "", kind=Kind.MALFORMED, detail="list")).disposition == "recorded"
    assert accept(account, text("ann", "first", key="m1")).disposition == "open"
    assert accept(account, text("ann", "better", kind=Kind.EDIT, replaces="m1")).disposition == "replaced"
    hands.work()
    assert accept(account, text("ann", "late", kind=Kind.EDIT, replaces="m1")).disposition == "recorded"
    hands.work()
    assert "重新发" in hands.heard("ann")[-1] or "new message" in hands.heard("ann")[-1]


@pytest.mark.parametrize(
    "words",
    ["", "   ", "\x00", "a\x00b", "\ud800", "😀😀", "\u202e反\u202c", "x" * 10_000, '/intent{"a":1}', "／restart"],
)
def test_hostile_text_is_stored_and_answered(hands: Hands, words: str) -> None:
    hands.say("ann", words)
    assert hands.heard("ann")
    with hands.product.database.read() as db:
        stored = inbox.history(db, hands.conversation("ann").id)[0].text
    assert stored == words.replace("\x00", "").replace("\ud800", "?")


def test_an_id_card_number_is_masked_before_it_is_stored(hands: Hands) -> None:
    hands.say("ann", "身份证 11010519491231002X 号")
    with hands.product.database.read() as db:
        assert "11010519491231002X" not in inbox.history(db, hands.conversation("ann").id)[0].text


def test_facts_are_written_from_the_first_message(hands: Hands) -> None:
    file_one(hands)
    with hands.product.database.read() as db:
        kinds = {fact.kind for fact in facts.after(db, 0)}
    assert {"message.received", "turn.done", "complaint.filed", "outbox.written", "outbox.sent"} <= kinds


def test_tap_on_anothers_button_is_stale(hands: Hands) -> None:
    hands.say("ann", "宽带断了")
    hands.say("ann", "13800138000")
    hands.say("eve", "hello there")
    hands.product.inbox.accept(chat(hands.product), tap("eve", hands.button("ann", "affirm")))
    hands.work()
    with hands.product.database.read() as db:
        assert complaints.of_identity(db, hands.conversation("ann").identity_id) == []
        assert inbox.history(db, hands.conversation("eve").id)[-1].disposition == "stale_tap"


def test_a_turn_that_dialogue_and_conversation_left_is_ended(hands: Hands, script: Script) -> None:
    def down_meanwhile(question: Question) -> Said:
        hands.product.inbox.accept(chat(hands.product), text("ann", "转人工"))
        raise DialogueDown("planned")

    script.answer = down_meanwhile
    hands.say("ann", "宽带断了")
    current = hands.conversation("ann")
    assert current.state == "queued"
    with hands.product.database.read() as db:
        assert turns.open_turn(db, current.id) is None, "nobody would ever end it"
