"""Dead letters and uncertain sends: found, sent again once, let go with a reason, and nothing vanishes."""

import json
import threading
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from bot import logs, outbox
from bot.__main__ import main
from bot.build import Product
from bot.channel import Account
from bot.dialogue import Script
from bot.errors import DeskRefused, DialogueDown, DownloadFailed, SendFailed, SendUncertain, TurnFailed
from bot.letters import REASONS, Outcome, named
from bot.message import Attachment, Incoming, Kind
from bot.store import conversations, facts, inbox, tickets
from bot.store import outbox as outbox_store
from bot.store.letters import Letter, Which
from bot.store.users import User
from tests.files import picture
from tests.talking import Hands, chat, complaint_talk, text
from tests.test_sending import FakeChannel, fails, make_due

BLOCKED = fails(SendFailed("blocked", permanent=True))
MANY = 1_000
DOUBT = fails(SendUncertain("no answer"))


@pytest.fixture
def channel(product: Product) -> FakeChannel:
    fake = FakeChannel()
    product.channels._made[product.accounts["screen", "main"].id] = fake
    return fake


@pytest.fixture
def hands(product: Product, script: Script, channel: FakeChannel) -> Hands:
    script.answer = complaint_talk
    return Hands(product)


@pytest.fixture
def screen(product: Product) -> Account:
    return product.accounts["screen", "main"]


@pytest.fixture
def agent(product: Product) -> User:
    return product.people.add("lin", "agent", "a long enough password")


def notice(hands: Hands, screen: Account, key: str, topic: str = "status", who: str = "ann") -> int:
    """Writes one notice to a customer on the pushed channel, and lets the sender have it."""
    product = hands.product
    with product.database.read() as db:
        known = conversations.of_sender(db, screen.id, who)
    if known is None:
        product.inbox.accept(screen, text(who, "", kind=Kind.OTHER))
    with product.database.write() as db:
        current = conversations.of_sender(db, screen.id, who)
        assert current is not None
        args = {"reference": "TS-1", "code": "123", "category": "other.other", "due_at": "2026-07-01T09:00:00+00:00"}
        key_of_text = "receipt.filed" if topic == "receipt" else "handoff.trouble"
        made = outbox.notice(db, conversations.lock(db, current.id), key, topic, key_of_text, args=args)
    hands.work()
    assert made is not None
    return made


def letters(product: Product, **which: Any) -> list[Letter]:
    return product.letters.find(Which(**which))


def state(product: Product, row_id: int) -> str:
    with product.database.read() as db:
        row = outbox_store.read(db, row_id)
    assert row is not None
    return row.state


def recorded(product: Product, kind: str) -> list[dict[str, Any]]:
    with product.database.read() as db:
        return [dict(fact.refs) for fact in facts.after(db, 0, 10_000) if fact.kind == kind]


def test_a_dead_message_is_found_and_sent_again_under_its_key(
    hands: Hands, channel: FakeChannel, screen: Account, agent: User
) -> None:
    channel.plan = [BLOCKED]
    row_id = notice(hands, screen, "a")
    (letter,) = letters(hands.product)
    assert (letter.kind, letter.id, letter.state, letter.reason) == ("message", row_id, "dead", "blocked")
    with hands.product.database.read() as db:
        before = outbox_store.read(db, row_id)
    assert hands.product.letters.replay("message", row_id, agent) is Outcome.REPLAYED
    hands.work()
    assert state(hands.product, row_id) == "sent" and channel.arrived
    with hands.product.database.read() as db:
        after = outbox_store.read(db, row_id)
    assert before is not None and after is not None and after.key == before.key
    assert letters(hands.product) == []
    assert recorded(hands.product, "letter.replayed") == [{"letter": letter.name, "was": "dead", "why": ""}]


def test_it_is_sent_again_once_however_many_want_it(hands: Hands, channel: FakeChannel, screen: Account) -> None:
    channel.plan = [DOUBT]
    row_id = notice(hands, screen, "a")
    assert hands.product.letters.replay("message", row_id, None) is Outcome.REPLAYED
    hands.work()
    arrived = len(channel.arrived)
    assert hands.product.letters.replay("message", row_id, None) is Outcome.GONE
    hands.work()
    assert len(channel.arrived) == arrived, "sent twice"


def test_two_people_at_once_send_it_once(hands: Hands, channel: FakeChannel, screen: Account) -> None:
    row_ids = []
    for n in range(5):
        channel.plan = [BLOCKED]
        row_ids.append(notice(hands, screen, f"n{n}"))
    outcomes: list[Outcome] = []
    start = threading.Barrier(2)

    def everything() -> None:
        start.wait()
        outcomes.extend(hands.product.letters.replay("message", row_id, None) for row_id in row_ids)

    people = [threading.Thread(target=everything) for _ in range(2)]
    for one in people:
        one.start()
    for one in people:
        one.join()
    assert sorted(outcomes) == [Outcome.GONE] * 5 + [Outcome.REPLAYED] * 5


def test_a_discarded_one_keeps_its_row_and_its_line(
    hands: Hands, channel: FakeChannel, screen: Account, agent: User
) -> None:
    channel.plan = [BLOCKED]
    row_id = notice(hands, screen, "a")
    assert hands.product.letters.discard("message", row_id, "told otherwise", agent) is Outcome.DISCARDED
    assert letters(hands.product) == []
    with hands.product.database.read() as db:
        row = outbox_store.read(db, row_id)
    assert row is not None, "the row is gone"
    assert row.state == "dead" and row.reason == "blocked" and row.discarded_at is not None
    assert hands.product.letters.replay("message", row_id, agent) is Outcome.GONE
    assert hands.product.letters.discard("message", row_id, "test", agent) is Outcome.GONE
    assert [fact["why"] for fact in recorded(hands.product, "letter.discarded")] == ["told otherwise"]


def test_a_reason_is_one_of_ours(hands: Hands) -> None:
    with pytest.raises(ValueError):
        hands.product.letters.discard("message", 1, "Mr Wang of 13800138000 knows", None)


def test_the_receipt_stands_first(hands: Hands, channel: FakeChannel, screen: Account) -> None:
    for key, topic in (("a", "status"), ("b", "receipt"), ("c", "status")):
        channel.plan = [BLOCKED]
        notice(hands, screen, key, topic)
    assert [letter.topic for letter in letters(hands.product)] == ["receipt", "status", "status"]


def test_an_uncertain_receipt_that_is_sent_again_is_not_repeated_too(
    hands: Hands, channel: FakeChannel, screen: Account
) -> None:
    channel.plan = [DOUBT]
    row_id = notice(hands, screen, "a", "receipt")
    hands.product.letters.replay("message", row_id, None)
    notice(hands, screen, "b")
    assert "".join(piece.text for piece in channel.arrived).count("TS-1") == 1
    topics = [(row.topic, row.state) for row in _history(hands, screen)]
    assert ("receipt", "sent") in topics and ("receipt_repeat", "superseded") in topics


def test_a_receipt_in_doubt_again_is_repeated_again(hands: Hands, channel: FakeChannel, screen: Account) -> None:
    channel.plan = [DOUBT]
    row_id = notice(hands, screen, "a", "receipt")
    channel.plan = [DOUBT]
    hands.product.letters.replay("message", row_id, None)
    hands.work()
    notice(hands, screen, "b")
    assert ("receipt_repeat", "sent") in [(row.topic, row.state) for row in _history(hands, screen)]


def _history(hands: Hands, screen: Account, who: str = "ann") -> list[outbox_store.OutboxRow]:
    with hands.product.database.read() as db:
        current = conversations.of_sender(db, screen.id, who)
        assert current is not None
        return outbox_store.history(db, current.id)


def test_a_reply_to_what_is_over_is_not_sent_again(hands: Hands, channel: FakeChannel, screen: Account) -> None:
    channel.plan = [BLOCKED]
    hands.product.inbox.accept(screen, text("ann", "宽带断了"))
    hands.work()
    (letter,) = letters(hands.product)
    hands.product.inbox.accept(screen, text("ann", "转人工"))
    hands.work()
    assert hands.product.letters.replay("message", letter.id, None) is Outcome.OUTDATED


def test_the_time_to_give_up_counts_from_the_replay(hands: Hands, channel: FakeChannel, screen: Account) -> None:
    channel.plan = [BLOCKED]
    row_id = notice(hands, screen, "a")
    with hands.product.database.write() as db:
        outbox_store.settle(db, row_id, "dead", created_at=conversations.now(db) - timedelta(days=2))
    channel.plan = [fails(SendFailed("busy", permanent=False))]
    hands.product.letters.replay("message", row_id, None)
    hands.work()
    assert state(hands.product, row_id) == "retry"


def test_filters(hands: Hands, channel: FakeChannel, screen: Account) -> None:
    for who in ("ann", "bob"):
        channel.plan = [BLOCKED]
        notice(hands, screen, who, who=who)
    first, second = sorted(letters(hands.product), key=lambda letter: letter.id)
    assert letters(hands.product, conversation_id=first.conversation_id) == [first]
    assert letters(hands.product, kind="turn") == []
    assert letters(hands.product, since=second.at) == [second]
    assert letters(hands.product, since=second.at + timedelta(seconds=1)) == []


def kill_turn(hands: Hands, script: Script, who: str = "ann", words: str = "宽带断了") -> None:
    """A turn that is given up."""

    def fail(question: object) -> Any:
        raise TurnFailed("broken")

    script.answer = fail
    hands.product.inbox.accept(chat(hands.product), text(who, words))
    for _ in range(4):
        hands.hurry(who)
    script.answer = complaint_talk


class TestTurns:
    """Out of hours the bot keeps the conversation, and a dead turn can be answered once more."""

    @pytest.fixture
    def late(self, make_product: Callable[..., Product], script: Script) -> Hands:
        return Hands(make_product(TINGSU_HOURS="Mon 00:00-00:01"))

    def test_it_is_answered_once_more(self, late: Hands, script: Script) -> None:
        kill_turn(late, script)
        (letter,) = letters(late.product)
        assert letter.kind == "turn" and letter.reason == "broken"
        assert late.product.letters.replay("turn", letter.id, None) is Outcome.REPLAYED
        late.work()
        assert letters(late.product) == []
        assert script.asked[-1].text == "宽带断了" and script.asked[-1].turn_id == str(letter.id)
        assert late.product.letters.replay("turn", letter.id, None) is not Outcome.REPLAYED

    def test_without_rasa_it_has_its_patience_again(self, late: Hands, script: Script) -> None:
        kill_turn(late, script)
        (letter,) = letters(late.product)

        def away(question: object) -> Any:
            raise DialogueDown("away")

        script.answer = away
        late.product.letters.replay("turn", letter.id, None)
        late.work()
        assert letters(late.product) == []

    def test_in_hours_a_person_has_it(self, hands: Hands, script: Script, agent: User) -> None:
        kill_turn(hands, script)
        (letter,) = letters(hands.product)
        assert hands.product.letters.replay("turn", letter.id, None) is Outcome.NOT_BOTS
        current = hands.conversation("ann")
        hands.product.ownership.claim(current.id, current.epoch, agent)
        hands.product.ownership.reply(current.id, agent, "c1", "您好", 1)
        assert letters(hands.product) == [], "a person has answered it"
        current = hands.conversation("ann")
        hands.product.ownership.release(current.id, agent, current.epoch, 1)
        assert hands.product.letters.replay("turn", letter.id, None) is Outcome.ANSWERED


def file_one(hands: Hands) -> None:
    hands.say("ann", "家里宽带断了两天")
    hands.say("ann", "13800138000")
    hands.tap("ann", hands.button("ann", "affirm"))


def test_a_refused_ticket_is_wanted_again_and_searched_first(hands: Hands, monkeypatch: pytest.MonkeyPatch) -> None:
    file_one(hands)
    asked: list[str] = []

    def refuse(*_: object) -> Any:
        asked.append("open")
        raise DeskRefused("no such field")

    ticketing, desk = hands.product.ticketing(), hands.product.desk
    with monkeypatch.context() as broken:
        broken.setattr(desk, "open", refuse)
        ticketing.open_once()
    (letter,) = letters(hands.product)
    assert (letter.kind, letter.state, letter.reason) == ("ticket", "refused", "no such field")
    assert letter.conversation_id == hands.conversation("ann").id
    assert hands.product.letters.replay("ticket", letter.id, None) is Outcome.REPLAYED
    find = desk.find

    def search(reference: str) -> Any:
        asked.append("find")
        return find(reference)

    monkeypatch.setattr(desk, "find", search)
    ticketing.open_once()
    assert asked == ["open", "find"] and letters(hands.product) == []
    with hands.product.database.read() as db:
        row = tickets.of_complaint(db, letter.complaint_id or 0)
    assert row is not None and row.state == "open"


def test_a_file_that_was_given_up_is_fetched_again(hands: Hands, channel: FakeChannel, screen: Account) -> None:
    channel.files["f"] = DownloadFailed("gone", permanent=True)
    photo = Incoming("p1", Kind.MEDIA, sender="ann", attachments=(Attachment("photo", "f"),))
    hands.product.inbox.accept(screen, photo)
    hands.work()
    (letter,) = letters(hands.product, kind="file")
    channel.files["f"] = picture()
    assert hands.product.letters.replay("file", letter.id, None) is Outcome.REPLAYED
    hands.work()
    with hands.product.database.read() as db:
        (file,) = inbox.attachments(db, letter.conversation_id or 0)
    assert file.state == "stored" and letters(hands.product, kind="file") == []


def test_an_unreadable_event_is_kept_and_can_only_be_let_go(hands: Hands, screen: Account) -> None:
    hands.product.inbox.accept(screen, Incoming("m1", Kind.MALFORMED, detail="no update_id"))
    (letter,) = letters(hands.product)
    assert (letter.kind, letter.state, letter.reason) == ("event", "malformed", "no update_id")
    assert hands.product.letters.replay("event", letter.id, None) is Outcome.UNREADABLE
    assert hands.product.letters.discard("event", letter.id, "cannot arrive", None) is Outcome.DISCARDED


@pytest.mark.parametrize(
    "name", ["", "message", "message-", "message-x", "nothing-1", "message-1-2", "message-" + "9" * 40]
)
def test_what_is_no_name(name: str) -> None:
    assert named(name) is None


@pytest.fixture
def command(
    hands: Hands, environ: dict[str, str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., tuple[int, str]]:
    """Runs `python -m bot letters …` in this process, on the test's database."""
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(logs, "configure", lambda level: None)

    def run(*given: str) -> tuple[int, str]:
        capsys.readouterr()
        code = main(["letters", *given])
        return code, capsys.readouterr().out

    return run


def test_the_command_lists_shows_and_does(
    hands: Hands, channel: FakeChannel, screen: Account, command: Callable[..., tuple[int, str]]
) -> None:
    for n in range(3):
        channel.plan = [BLOCKED]
        notice(hands, screen, f"n{n}")
    code, out = command("list", "--json")
    found = [json.loads(line) for line in out.splitlines()]
    assert code == 0 and len(found) == 3 and found[0]["state"] == "dead"
    assert "blocked" in command("list")[1]
    name = found[0]["name"]
    code, out = command("show", "--id", name, "--json")
    assert code == 0 and json.loads(out)["class_"] == "notice" and "text" not in json.loads(out)
    assert command("discard", "--id", name, "--reason", "test") == (0, "discarded: 1\n")
    assert command("discard", "--id", name, "--reason", "test") == (1, "gone: 1\n")
    assert command("replay", "--since", "1h") == (0, "replayed: 2\n")
    hands.work()
    assert command("list", "--json") == (0, "")
    assert command("replay", "--all", "--kind", "turn") == (0, "")
    assert command("replay")[0] == 2, "everything is meant only when it is said"


@pytest.mark.parametrize(
    "given", [("show", "--id", "x-1"), ("list", "--since", "yesterday"), ("discard", "--all", "--reason", "because")]
)
def test_wrong_use_of_the_command(command: Callable[..., tuple[int, str]], given: tuple[str, ...]) -> None:
    with pytest.raises(SystemExit) as left:
        command(*given)
    assert left.value.code == 2


def test_a_thousand_are_one_command(
    hands: Hands, channel: FakeChannel, screen: Account, command: Callable[..., tuple[int, str]]
) -> None:
    notice(hands, screen, "first")
    with hands.product.database.write() as db:
        current = conversations.of_sender(db, screen.id, "ann")
        assert current is not None
        for n in range(MANY):
            outbox_store.add(
                db, conversation_id=current.id, class_="notice", key=f"k{n}", epoch=1, text=f"{n}", state="dead"
            )
    channel.arrived.clear()
    assert command("replay", "--all") == (0, f"replayed: {MANY}\n")
    assert letters(hands.product) == []
    make_due(hands, current.id)
    assert [piece.text for piece in channel.arrived] == [f"{n}" for n in range(MANY)]


def test_every_reason_and_outcome_has_its_words_in_the_console() -> None:
    from bot import texts

    said = texts.load()
    for language in texts.LANGUAGES:
        for key in (
            *(f"console.letters.reasons.{reason}" for reason in REASONS),
            *(f"console.letters.outcome.{outcome}" for outcome in Outcome),
        ):
            assert key in said[language], f"{language}: {key}"
