"""Sending over a pushed channel that fails in every way, and claims while something is in flight."""

import threading
from collections.abc import Callable
from dataclasses import replace

import pytest

from bot import conversation as ownership_rules
from bot import outbox, sender
from bot.build import Product
from bot.channel import Account, Capabilities, Media
from bot.dialogue import Script
from bot.errors import DownloadFailed, NotYours, SendFailed, SendUncertain, Throttled
from bot.message import Attachment, Kind, Outgoing, Receipt
from bot.store import conversations, leases
from bot.store import outbox as store
from bot.store.users import User
from tests.files import picture
from tests.talking import Hands, complaint_talk, text


class FakeChannel:
    """A pushed channel with a ledger; `plan` holds what the next sends do instead of arriving."""

    kind = "screen"
    capabilities = Capabilities(10, "characters", True, True, False, False, False, False)

    def __init__(self) -> None:
        self.arrived: list[Outgoing] = []
        self.plan: list[Callable[[], None]] = []
        self.files: dict[str, bytes | DownloadFailed] = {}

    def send(self, outgoing: Outgoing) -> Receipt:
        if self.plan:
            self.plan.pop(0)()
        self.arrived.append(outgoing)
        return Receipt(str(len(self.arrived)))

    def download(self, attachment: Attachment) -> Media:
        found = self.files[attachment.channel_ref]
        if isinstance(found, DownloadFailed):
            raise found
        return Media(found, "whatever/they-say")

    def close(self) -> None:
        """Nothing to close."""


def fails(error: Exception) -> Callable[[], None]:
    def act() -> None:
        raise error

    return act


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


def talk(hands: Hands, screen: Account, words: str) -> int:
    accepted = hands.product.inbox.accept(screen, text("ann", words))
    hands.work()
    assert accepted.conversation_id is not None
    return accepted.conversation_id


def states(product: Product, conversation_id: int) -> list[tuple[str, str]]:
    with product.database.read() as db:
        return [(row.state, row.reason) for row in store.history(db, conversation_id)]


def make_due(hands: Hands, conversation_id: int) -> None:
    with hands.product.database.write() as db:
        clock = conversations.now(db)
        for row in store.waiting(db, conversation_id):
            store.settle(db, row.id, row.state, due_at=clock)
        leases.wake_sender(db, conversation_id)
    hands.work()


def test_long_messages_travel_in_pieces_and_in_order(hands: Hands, channel: FakeChannel, screen: Account) -> None:
    talk(hands, screen, "宽带断了")
    assert len(channel.arrived) > 1
    assert all(len(piece.text) <= 10 for piece in channel.arrived)
    assert [bool(piece.buttons) for piece in channel.arrived] == [False] * (len(channel.arrived) - 1) + [True]


@pytest.mark.parametrize("error", [Throttled(30), SendFailed("busy", permanent=False)])
def test_a_passing_failure_is_tried_again(
    hands: Hands, channel: FakeChannel, screen: Account, error: Exception
) -> None:
    channel.plan = [fails(error)]
    where = talk(hands, screen, "宽带断了")
    assert channel.arrived == [] and states(hands.product, where)[0][0] == "retry"
    make_due(hands, where)
    assert states(hands.product, where)[0][0] == "sent" and channel.arrived


def test_a_retry_goes_on_with_the_piece_that_failed(hands: Hands, channel: FakeChannel, screen: Account) -> None:
    channel.plan = [lambda: None, fails(Throttled(1))]
    where = talk(hands, screen, "宽带断了")
    make_due(hands, where)
    said = "".join(piece.text for piece in channel.arrived)
    assert said.endswith(hands.product.texts.render("system.photo_alone", "zh").replace(" ", ""))


def test_for_good_refused_is_dead_and_does_not_block(hands: Hands, channel: FakeChannel, screen: Account) -> None:
    channel.plan = [fails(SendFailed("blocked", permanent=True))]
    where = talk(hands, screen, "宽带断了")
    talk(hands, screen, "13800138000")
    assert [state for state, _ in states(hands.product, where)] == ["dead", "sent"]


def test_a_channels_own_bug_counts_as_uncertain(hands: Hands, channel: FakeChannel, screen: Account) -> None:
    channel.plan = [fails(ZeroDivisionError())]
    where = talk(hands, screen, "宽带断了")
    assert states(hands.product, where) == [("uncertain", "ZeroDivisionError")]


def test_an_uncertain_receipt_is_repeated_before_the_next_message(
    hands: Hands, channel: FakeChannel, screen: Account
) -> None:
    channel.capabilities = Capabilities(0, "characters", True, True, False, False, False, False)
    talk(hands, screen, "宽带断了")
    where = talk(hands, screen, "13800138000")
    channel.plan = [fails(SendUncertain("timed out"))]
    affirm = channel.arrived[-1].buttons[0].payload
    hands.product.inbox.accept(screen, text("ann", "", kind=Kind.TAP, payload=affirm))
    hands.work()
    assert states(hands.product, where)[-2:] == [("uncertain", "timed out"), ("held", "before the next")]
    before = len(channel.arrived)
    talk(hands, screen, "status 呢")
    assert len(channel.arrived) == before + 2
    repeated, status = (piece.text for piece in channel.arrived[before:])
    assert "以防" in repeated
    reference = next(word for word in repeated.split() if word.startswith("TS-"))
    assert reference in status


def test_a_claim_waits_for_the_send_in_flight(hands: Hands, channel: FakeChannel, screen: Account, agent: User) -> None:
    in_flight, go_on = threading.Event(), threading.Event()

    def slow() -> None:
        in_flight.set()
        assert go_on.wait(10)

    channel.capabilities = Capabilities(0, "characters", True, True, False, False, False, False)
    channel.plan = [slow]
    accepted = hands.product.inbox.accept(screen, text("ann", "宽带断了"))
    assert accepted.conversation_id is not None
    hands.turns.work_once()
    sending = threading.Thread(target=hands.sender.send_once)
    sending.start()
    assert in_flight.wait(10)
    claimed: list[ownership_rules.Claimed] = []
    claiming = threading.Thread(
        target=lambda: claimed.append(hands.product.ownership.claim(accepted.conversation_id, 1, agent))  # type: ignore[arg-type]
    )
    claiming.start()
    claiming.join(0.5)
    assert claiming.is_alive(), "the claim has not returned while a message is in flight"
    go_on.set()
    sending.join(10)
    claiming.join(10)
    assert claimed[0].uncertain == 0
    assert len(channel.arrived) == 1
    hands.work()
    assert len(channel.arrived) == 1


def test_a_claim_cuts_a_message_in_pieces_short(
    hands: Hands, channel: FakeChannel, screen: Account, agent: User
) -> None:
    accepted = hands.product.inbox.accept(screen, text("ann", "宽带断了"))
    where = accepted.conversation_id
    assert where is not None
    with hands.product.database.write() as db:
        ownership_rules.move(db, conversations.lock(db, where), "queued", "test", actor="system")
        ownership_rules.tell_position(db, conversations.lock(db, where), "test")

    def claim() -> None:
        with hands.product.database.write() as db:
            ownership_rules.move(db, conversations.lock(db, where), "agent", "x", actor="x", owner_id=agent.id)

    channel.plan = [claim]
    hands.sender.send_once()
    assert len(channel.arrived) == 1
    assert states(hands.product, where) == [("superseded", "cut short")]


def test_a_claim_says_what_is_uncertain(
    hands: Hands, channel: FakeChannel, screen: Account, agent: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ownership_rules, "CLAIM_PATIENCE", 0.2)
    accepted = hands.product.inbox.accept(screen, text("ann", "宽带断了"))
    assert accepted.conversation_id is not None
    hands.turns.work_once()
    with hands.product.database.write() as db:  # a sender that died between its commit and the platform's word
        row = store.waiting(db, accepted.conversation_id)[0]
        store.settle(db, row.id, "pending", state="sending")
    assert hands.product.ownership.claim(accepted.conversation_id, 1, agent).uncertain == 1
    hands.work()
    assert channel.arrived == []


def test_what_a_dead_sender_left_is_uncertain_and_never_sent_again(
    hands: Hands, channel: FakeChannel, screen: Account
) -> None:
    accepted = hands.product.inbox.accept(screen, text("ann", "宽带断了"))
    assert accepted.conversation_id is not None
    hands.turns.work_once()
    with hands.product.database.write() as db:
        row = store.waiting(db, accepted.conversation_id)[0]
        store.settle(db, row.id, "pending", state="sending")
    hands.work()
    assert channel.arrived == []
    assert states(hands.product, accepted.conversation_id) == [("uncertain", "sender died")]


def test_a_lost_sending_lease_sends_nothing(hands: Hands, channel: FakeChannel, screen: Account) -> None:
    accepted = hands.product.inbox.accept(screen, text("ann", "宽带断了"))
    assert accepted.conversation_id is not None
    hands.turns.work_once()
    with hands.product.database.write() as db:
        leased = leases.claim_sending(db, sender.LEASE)
        assert leased is not None
        conversations.change(db, leased.id, send_lease_token=leased.send_lease_token + 1)
    assert not hands.sender._step(leased)
    assert channel.arrived == []


def test_when_all_workers_send_as_fast_as_the_platform_takes_it_the_rest_waits(
    hands: Hands, channel: FakeChannel, screen: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    channel.capabilities = replace(FakeChannel.capabilities, per_second=3)
    asked: list[str] = []

    def allow(scope: str, who: str, limit: str) -> bool:
        asked.append(f"{scope} {who} {limit}")
        return len(asked) > 1

    monkeypatch.setattr(hands.product.limiter, "allow", allow)
    where = hands.product.inbox.accept(screen, text("ann", "宽带断了")).conversation_id
    assert where is not None
    hands.turns.work_once()
    hands.sender.send_once()
    assert channel.arrived == [] and states(hands.product, where) == [("pending", "")]
    with hands.product.database.write() as db:
        found = conversations.lock(db, where)
        assert found.send_at is not None and found.send_at > conversations.now(db), "it comes again by itself"
        conversations.change(db, where, send_at=conversations.now(db))
    hands.sender.send_once()
    assert channel.arrived and asked[:2] == [f"send {screen.id} 3/second"] * 2


def test_a_picture_is_stored_and_confirmed(hands: Hands, channel: FakeChannel, screen: Account) -> None:
    channel.capabilities = Capabilities(0, "characters", True, True, False, False, False, False)
    channel.files = {"good": picture(), "bad": b"<svg onload=alert(1)>", "gone": DownloadFailed("404", permanent=True)}
    for ref in channel.files:
        photo = text("ann", "", kind=Kind.MEDIA, attachments=(Attachment("photo", ref),))
        where = hands.product.inbox.accept(screen, photo).conversation_id
        hands.work()
    assert where is not None
    from bot.store import inbox

    with hands.product.database.read() as db:
        files = inbox.attachments(db, where)
    assert [(file.state, file.reason, file.mime) for file in files] == [
        ("stored", "", "image/jpeg"),
        ("refused", "type", ""),
        ("refused", "gone", ""),
    ]
    kept = hands.product.blobs.get(files[0].blob_id or 0)
    assert kept is not None and kept[0].startswith(b"\xff\xd8\xff") and kept[1] == "image/jpeg"
    assert any("JPEG" in piece.text for piece in channel.arrived)


def test_every_class_and_state_has_a_fate() -> None:
    classes = (outbox.TURN, outbox.NOTICE, outbox.COURTESY, outbox.AGENT)
    assert set(outbox.FATE) == {(c, s) for c in classes for s in ("bot", "queued", "agent", "closed")}


def test_a_caption_of_an_unreadable_file_can_be_a_wish(hands: Hands, screen: Account) -> None:
    video = text("ann", "转人工", kind=Kind.OTHER, wants_answer=True, detail="video")
    assert hands.product.inbox.accept(screen, video).disposition == "wish"


def test_a_new_telegram_token_keeps_the_webhook_secret_that_was(make_product: Callable[..., Product]) -> None:
    first = make_product(TINGSU_TELEGRAM_TOKEN="1:a").accounts["telegram", "main"]
    again = make_product(TINGSU_TELEGRAM_TOKEN="1:a").accounts["telegram", "main"]
    assert again == first
    second = make_product(TINGSU_TELEGRAM_TOKEN="1:b").accounts["telegram", "main"]
    assert second.secret == "1:b"
    assert second.settings["previous_webhook_secret"] == first.settings["webhook_secret"]
    assert second.settings["webhook_secret"] != first.settings["webhook_secret"]


def test_agents_do_not_take_from_colleagues_supervisors_do(hands: Hands, screen: Account, agent: User) -> None:
    second = hands.product.people.add("wang", "agent", "a long enough password")
    chief = hands.product.people.add("chief", "supervisor", "a long enough password")
    where = talk(hands, screen, "人工")
    epoch = hands.product.ownership.claim(where, 2, agent).epoch
    with pytest.raises(NotYours, match="lin"):
        hands.product.ownership.claim(where, epoch, second)
    hands.product.ownership.claim(where, epoch, chief)
    with pytest.raises(NotYours, match="chief"):
        hands.product.ownership.reply(where, agent, "c1", "too late", 1)


def test_a_notice_that_an_agent_lets_go_survives_a_pause_but_not_the_agent(
    hands: Hands, channel: FakeChannel, screen: Account, agent: User
) -> None:
    chief = hands.product.people.add("chief", "supervisor", "a long enough password")
    where = talk(hands, screen, "人工")
    ownership = hands.product.ownership
    epoch = ownership.claim(where, 2, agent).epoch

    def held_notice(key: str) -> str:
        with hands.product.database.write() as db:
            outbox.notice(db, conversations.lock(db, where), key, "status", "handoff.released")
        hands.work()
        channel.plan = [fails(Throttled(30))]
        assert ownership.send_held(where, agent) == 1
        hands.work()
        return f"notice:{key}"

    def state(key: str) -> str:
        with hands.product.database.read() as db:
            return next(row.state for row in store.history(db, where) if row.key == key)

    key = held_notice("paused")
    make_due(hands, where)
    assert state(key) == "sent", "one click is enough"
    key = held_notice("handed over")
    ownership.claim(where, epoch, chief)
    make_due(hands, where)
    assert state(key) == "held", "the next agent has not let it go"


def test_a_repeat_that_has_to_wait_does_not_keep_the_sender_busy(
    hands: Hands, channel: FakeChannel, screen: Account
) -> None:
    channel.capabilities = Capabilities(0, "characters", True, True, False, False, False, False)
    where = talk(hands, screen, "宽带断了")
    talk(hands, screen, "13800138000")
    channel.plan = [fails(SendUncertain("timed out")), fails(Throttled(30))]
    accepted = hands.product.inbox.accept(
        screen, text("ann", "", kind=Kind.TAP, payload=channel.arrived[-1].buttons[0].payload)
    )
    hands.turns.work_once()
    with hands.product.database.write() as db:
        outbox.notice(db, conversations.lock(db, where), "after", "status", "handoff.released")
    assert accepted.disposition == "open"
    looks = sum(hands.sender.send_once() for _ in range(10))
    assert looks < 5, "the repeat is due in half a minute, and what comes after it waits, too"
