"""H7: everything that can happen to a conversation, in any order (Hypothesis, DESIGN section 6), against the tables."""

from collections import Counter
from collections.abc import Callable
from datetime import timedelta
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    rule,
    run_state_machine_as_test,
)
from sqlalchemy import update

from bot import conversation as ownership_rules
from bot.build import Product
from bot.desk import Change, TicketState
from bot.dialogue import Question, Said, Script
from bot.errors import DialogueDown, Newer, NotYours, SendFailed, SendUncertain, Throttled, TurnFailed
from bot.faults import Moment
from bot.hours import Calendar
from bot.message import Attachment, Incoming, Kind, Outgoing
from bot.store import conversations
from bot.store.complaints import complaint
from bot.store.conversations import conversation
from bot.store.database import Database
from bot.store.inbox import open_rows
from bot.store.outbox import outbox
from bot.store.users import User
from bot.waiting import Waiting
from tests.chaos.ledgers import Books, Row, read_books
from tests.chaos.messenger import Killed, Messenger, Mortal, connect
from tests.talking import chat, complaint_talk, reply, text

SEED = 20261124
# DESIGN, section 6, written down a second time: what the product's own table says must not matter here.
MAY_LEAVE = {
    ("turn", "bot"),
    *(("notice", state) for state in ("bot", "queued", "closed")),
    *(("courtesy", state) for state in ("bot", "queued", "closed")),
    *(("agent", state) for state in ("bot", "queued", "agent", "closed")),
}
MOVES = {
    *(("bot", to) for to in ("queued", "agent", "closed")),
    *(("queued", to) for to in ("agent", "bot", "closed")),
    *(("closed", to) for to in ("queued", "bot", "agent")),
    *(("agent", to) for to in ("agent", "queued", "bot", "closed")),
}
TAKEN = ("turn", "person")
CUSTOMERS = st.sampled_from(["ann", "bob"])  # ann is on a pushed platform, bob fetches his stream
TURN_MOMENTS = (
    Moment.WORK_CLAIMED,
    Moment.TURN_FIXED,
    Moment.ANSWERED,
    Moment.TURN_BEFORE_COMMIT,
    Moment.TURN_AFTER_COMMIT,
)
SEND_MOMENTS = (Moment.SENDING_CLAIMED, Moment.SENDING, Moment.SENT, Moment.SENT_AFTER_COMMIT)
DEATHS_OF_WORKERS = st.sampled_from([None] * 12 + list(TURN_MOMENTS))
DEATHS_OF_SENDERS = st.sampled_from([None] * 12 + list(SEND_MOMENTS))
MEANWHILE = st.sampled_from(
    ["nothing", "nothing", "wish", "claim", "claim and release", "edit", "text", "tap", "close"]
)


class Hours:
    """The calendar of both halves of the product; the machine opens and closes it."""

    def __init__(self, calendar: Calendar) -> None:
        self._calendar = calendar
        self.open = True

    def is_open(self, now: Any) -> bool:
        return self.open

    def callback_due(self, now: Any, within: timedelta) -> Any:
        return self._calendar.callback_due(now, within)


class Ground:
    """What all runs of the machine share: one product, three people, and a platform."""

    def __init__(self, product: Product, script: Script) -> None:
        self.product, self.script = product, script
        self.messenger = Messenger()
        self.screen = connect(product, self.messenger)
        self.hours = Hours(product.calendar)
        for part in (product.inbox, product.commands):
            vars(part)["_calendar"] = self.hours
        self.people = [
            product.people.add(name, role, "a long enough password")
            for name, role in (("lin", "agent"), ("wang", "agent"), ("chief", "supervisor"))
        ]
        self.runs = 0


class Section6(RuleBasedStateMachine):
    """`ground` is set by the test before it runs."""

    ground: Ground

    @initialize()
    def begin(self) -> None:
        self.g = self.ground
        self.p = self.g.product
        self.g.runs += 1
        self.g.hours.open = True
        self.g.script.answer = complaint_talk
        self.g.messenger.on_send = lambda _outgoing, arrive: arrive()
        self.events: dict[str, list[Incoming]] = {"ann": [], "bob": []}
        self.ids: dict[str, int] = {}
        self.before: dict[str, dict[int, Row]] = {}
        self.refused = 0  # messages that the platform refused for good
        self.changes = 0
        self.count = 0

    # --- what customers do

    def _who(self, name: str) -> str:
        return f"{name}-{self.g.runs}"

    def _accept(self, name: str, incoming: Incoming) -> None:
        account = self.g.screen if name == "ann" else chat(self.p)
        accepted = self.p.inbox.accept(account, incoming)
        self.events[name].append(incoming)
        assert accepted.conversation_id is not None
        self.ids[name] = accepted.conversation_id

    def _new(self, name: str, words: str, kind: Kind = Kind.TEXT, **more: Any) -> None:
        self.count += 1
        key = f"{self.g.runs}:{self.count}"
        self._accept(name, text(self._who(name), words, key, kind, **more))

    @rule(name=CUSTOMERS, words=st.sampled_from(["宽带断了", "13800138000", "status", "misunderstand me", "谢谢"]))
    def says(self, name: str, words: str) -> None:
        self._new(name, words)

    @rule(name=CUSTOMERS, place=st.integers(0, 9))
    def taps(self, name: str, place: int) -> None:
        buttons = [f"{row['id']}.{n}" for row in reversed(self._rows(name)) for n in range(len(row["buttons"]))]
        wire = buttons[place % len(buttons)] if buttons and place else "999999.0"
        self._new(name, "", Kind.TAP, payload=wire)

    @rule(name=CUSTOMERS)
    def taps_the_open_question(self, name: str) -> None:
        asked = [row for row in self._rows(name) if row["question"]]
        if asked:
            self._new(name, "", Kind.TAP, payload=f"{asked[-1]['id']}.0")

    @rule(name=CUSTOMERS, typed=st.booleans())
    def wishes(self, name: str, typed: bool) -> None:
        if typed:
            self._new(name, "转人工")
        else:
            self._new(name, "", Kind.TAP, payload="human")

    @rule(name=CUSTOMERS)
    def stops_waiting(self, name: str) -> None:
        self._new(name, "", Kind.TAP, payload="stop_waiting")

    @rule(name=CUSTOMERS, place=st.integers(0, 9), words=st.sampled_from(["better", "人工"]))
    def edits(self, name: str, place: int, words: str) -> None:
        if self.events[name]:
            self._new(name, words, Kind.EDIT, replaces=self.events[name][place % len(self.events[name])].event_key)

    @rule(readable=st.booleans())
    def sends_a_file(self, readable: bool) -> None:
        if readable:
            self._new("ann", "", Kind.MEDIA, attachments=(Attachment("photo", "x"),))
        else:
            self._new("ann", "", Kind.OTHER, wants_answer=True, detail="sticker")

    @rule(name=CUSTOMERS, place=st.integers(0, 30))
    def is_repeated_late(self, name: str, place: int) -> None:
        if self.events[name]:
            before = len(read_books(self.p.database).inbox)
            self._accept(name, self.events[name][place % len(self.events[name])])
            assert len(read_books(self.p.database).inbox) == before

    @rule(name=CUSTOMERS)
    def tells_a_whole_complaint(self, name: str) -> None:
        """Without trouble up to the receipt, which is not sent yet."""
        found = self._current(name)
        if found is not None and found.state != "bot":
            return
        self.g.script.answer = complaint_talk
        self.g.messenger.on_send = lambda _outgoing, arrive: arrive()
        for words in ("宽带断了", "13800138000"):
            self._new(name, words)
            self._catch_up()
        self.taps_the_open_question(name)
        while self.p.turns().work_once():
            pass

    def _catch_up(self) -> None:
        self.leases_run_out_and_pauses_end()
        turns, sender = self.p.turns(), self.p.sender()
        for _ in range(200):
            if not turns.work_once() and not sender.send_once():
                return
        raise AssertionError("work without end")

    # --- what agents do

    def _current(self, name: str) -> conversations.Conversation | None:
        with self.p.database.read() as db:
            return conversations.read(db, self.ids[name]) if name in self.ids else None

    def _attempt(self, act: Callable[[], object]) -> None:
        try:
            act()
        except (NotYours, Newer):
            return

    @rule(name=CUSTOMERS, person=st.integers(0, 2), late=st.booleans())
    def claims(self, name: str, person: int, late: bool) -> None:
        if seen := self._current(name):
            self._attempt(lambda: self.p.ownership.claim(seen.id, seen.epoch - late, self.g.people[person]))

    @rule(
        name=CUSTOMERS, unseen=st.integers(0, 2), what=st.sampled_from(["reply", "release", "release", "close", "held"])
    )
    def acts(self, name: str, unseen: int, what: str) -> None:
        seen = self._current(name)
        if seen is None:
            return
        user = next((u for u in self.g.people if u.id == seen.owner_id), self.g.people[0])
        up_to, ownership = max(0, seen.next_sequence - 1 - unseen), self.p.ownership
        acts: dict[str, Callable[[], object]] = {
            "reply": lambda: self._replies(seen.id, user, up_to),
            "release": lambda: ownership.release(seen.id, user, seen.epoch, up_to),
            "close": lambda: self._closes(seen.id, user, seen.epoch, up_to),
            "held": lambda: ownership.send_held(seen.id, user),
        }
        self._attempt(acts[what])

    def _closes(self, conversation_id: int, user: User, epoch: int, up_to: int) -> None:
        self.p.ownership.close(conversation_id, user, epoch, up_to)
        with self.p.database.read() as db:
            assert not open_rows(db, conversation_id), "closed over what the customer has written meanwhile"

    def _replies(self, conversation_id: int, user: User, up_to: int) -> None:
        self.count += 1
        assert self.p.ownership.reply(conversation_id, user, f"c{self.count}", "agent here", up_to)
        assert not self.p.ownership.reply(conversation_id, user, f"c{self.count}", "agent here", up_to)

    # --- what time does

    @rule(opens=st.booleans(), waited=st.booleans())
    def the_queue_is_looked_at(self, opens: bool, waited: bool) -> None:
        self.g.hours.open = opens
        with self.p.database.write() as db:
            if waited:
                for one in self.ids.values():
                    long_ago = conversations.now(db) - timedelta(hours=2)
                    db.execute(
                        update(conversation)
                        .where(conversation.c.id == one, conversation.c.state == "queued")
                        .values(queued_at=long_ago)
                    )
        hours: Any = self.g.hours
        Waiting(self.p.database, self.p.bell, hours, timedelta(hours=1), timedelta(hours=2)).end_hopeless_waits()

    @rule()
    def leases_run_out_and_pauses_end(self) -> None:
        with self.p.database.write() as db:
            clock = conversations.now(db)
            gone = clock - timedelta(seconds=1)
            for one in self.ids.values():
                now_is = conversations.lock(db, one)
                conversations.change(db, one, lease_until=gone, send_lease_until=gone)
                conversations.change(
                    db,
                    one,
                    work_at=clock if now_is.work_at else None,
                    send_at=clock if now_is.send_at else None,
                )
                db.execute(update(outbox).where(outbox.c.conversation_id == one).values(due_at=clock))

    @rule(name=CUSTOMERS, state=st.sampled_from([TicketState.IN_PROGRESS, TicketState.RESOLVED]))
    def the_desk_changes(self, name: str, state: TicketState) -> None:
        filed = [
            row for row in read_books(self.p.database).complaint_link if row["conversation_id"] == self.ids.get(name)
        ]
        if not filed:
            return
        self.changes += 1
        with self.p.database.write() as db:
            found = db.execute(complaint.select().where(complaint.c.id == filed[0]["complaint_id"])).one()
            change = Change(f"{self.g.runs}:{self.changes}", found.reference, state, conversations.now(db), "look")
            assert self.p.complaints._take_change(db, change)
            assert not self.p.complaints._take_change(db, change)

    # --- what the bot does

    def _meanwhile(self, name: str, what: str) -> None:
        """Happens while Rasa thinks or a message is on its way."""
        seen = self._current(name)
        if seen is None or what == "nothing":
            return
        lin, chief = self.g.people[0], self.g.people[2]
        acts: dict[str, Callable[[], object]] = {
            "wish": lambda: self.wishes(name, True),
            "claim": lambda: self.p.ownership.claim(seen.id, seen.epoch, chief),
            "claim and release": lambda: self.p.ownership.release(
                seen.id, lin, self.p.ownership.claim(seen.id, seen.epoch, lin).epoch, 0
            ),
            "edit": lambda: self.edits(name, 0, "better"),
            "text": lambda: self.says(name, "还有"),
            "tap": lambda: self.taps_the_open_question(name),
            "close": lambda: self.p.ownership.close(
                seen.id, chief, self.p.ownership.claim(seen.id, seen.epoch, chief).epoch, seen.next_sequence
            ),
        }
        self._attempt(acts[what])

    @rule(
        fresh=st.none() | CUSTOMERS,
        later=st.booleans(),
        outcome=st.sampled_from(["answers", "answers", "answers", "hands over", "fails", "is down"]),
        meanwhile=MEANWHILE,
        death=DEATHS_OF_WORKERS,
    )
    def a_worker_works(
        self, fresh: str | None, later: bool, outcome: str, meanwhile: str, death: Moment | None
    ) -> None:
        if later:
            self.leases_run_out_and_pauses_end()

        if fresh is not None:
            self.says(fresh, "宽带断了")

        def rasa(question: Question) -> Said:
            for name in self.ids:
                self._meanwhile(name, meanwhile)
            if outcome == "fails":
                raise TurnFailed("planned")
            if outcome == "is down":
                raise DialogueDown("planned")
            said = complaint_talk(question)
            return (
                said
                if outcome == "answers"
                else Said([reply("handoff.wish")], [{"name": "call_agent"} | {"args": {}}], {})
            )

        self.g.script.answer = rasa
        mortal = Mortal(lambda moment: moment is death)
        turns = self.p.turns()
        mortal.give(turns, self.p.database)
        try:
            turns.work_once()
        except Killed:
            return

    @rule(
        outcome=st.sampled_from(
            [
                None,
                None,
                None,
                Throttled(30),
                SendFailed("busy", permanent=False),
                SendFailed("no", permanent=True),
                SendUncertain("?"),
            ]
        ),
        fresh=st.booleans(),
        later=st.booleans(),
        meanwhile=MEANWHILE,
        death=DEATHS_OF_SENDERS,
    )
    def a_sender_sends(
        self, fresh: bool, later: bool, outcome: Exception | None, meanwhile: str, death: Moment | None
    ) -> None:
        if later:
            self.leases_run_out_and_pauses_end()

        if fresh:
            self.sends_a_file(False)
            self.the_desk_changes("ann", TicketState.IN_PROGRESS)

        def network(outgoing: Outgoing, arrive: Callable[[], None]) -> None:
            self._may_leave(outgoing)
            self._meanwhile("ann", meanwhile)
            if outcome is not None:
                self.refused += isinstance(outcome, SendFailed) and outcome.permanent
                raise outcome
            arrive()

        self.g.messenger.on_send = network
        mortal = Mortal(lambda moment: moment is death)
        sender = self.p.sender()
        mortal.give(sender, self.p.database)
        before = {row["id"] for row in self._rows("bob") if row["stream"]}
        try:
            sender.send_once()
        except Killed:
            return
        for row in self._rows("bob"):
            if row["stream"] and row["id"] not in before:
                self._leaves(row, self._current("bob"))

    def _may_leave(self, outgoing: Outgoing) -> None:
        """At the instant at which it leaves: class x state, and no turn of an earlier epoch."""
        key, part, _piece = outgoing.key.rsplit(".", 2)
        (row,) = [row for row in self._rows("ann") if row["key"] == key and row["part"] == int(part)]
        assert row["state"] == "sending"
        self._leaves(row, self._current("ann"))

    def _leaves(self, row: Row, now_is: conversations.Conversation | None) -> None:
        assert now_is is not None
        if row["class_"] == "notice" and row["reason"] == "sent by agent":
            return
        assert (row["class_"], now_is.state) in MAY_LEAVE, f"{row['key']} leaves while {now_is.state}"
        assert row["class_"] != "turn" or row["epoch"] == now_is.epoch, f"{row['key']} is of an earlier epoch"

    # --- what must hold after each step

    def _books(self) -> Books:
        return read_books(self.p.database)

    def _rows(self, name: str) -> list[Row]:
        return [row for row in self._books().outbox if row["conversation_id"] == self.ids.get(name)]

    @invariant()
    def holds(self) -> None:
        books = self._books()
        mine = set(self.ids.values())

        def of(rows: list[Row]) -> list[Row]:
            return [row for row in rows if row.get("conversation_id") in mine]

        for one in (row for row in books.conversation if row["id"] in mine):
            self._one_owner(one, [row for row in books.episode if row["conversation_id"] == one["id"]])
            its_inbox = [row for row in books.inbox if row["conversation_id"] == one["id"]]
            its_outbox = [row for row in books.outbox if row["conversation_id"] == one["id"]]
            its_turns = [row for row in books.turn if row["conversation_id"] == one["id"]]
            _taken_once(one, its_inbox, its_turns)
            _nothing_forgotten(one, its_inbox, its_outbox, its_turns)
            _stale_turns_left_nothing(its_turns, its_outbox, books.complaint)
        self._only_forward(of(books.inbox))
        self._no_notice_swallowed(of(books.outbox), books, mine)

    def _one_owner(self, one: Row, episodes: list[Row]) -> None:
        assert (one["state"] == "agent") == (one["owner_id"] is not None)
        assert [row["epoch"] for row in episodes] == list(range(1, one["epoch"] + 1)), "one epoch per move"
        assert (episodes[-1]["state"], episodes[-1]["owner_id"]) == (one["state"], one["owner_id"])
        moves = {(a["state"], b["state"]) for a, b in pairwise(episodes)}
        assert moves <= MOVES, moves - MOVES

    def _only_forward(self, rows: list[Row]) -> None:
        """Who has taken a message has it for ever."""
        known = self.before.get("inbox", {})
        for row in rows:
            was = known.get(row["id"])
            if was is not None and was["disposition"] != "open":
                assert (was["disposition"], was["turn_id"], was["taken_by"]) == (
                    row["disposition"],
                    row["turn_id"],
                    row["taken_by"],
                ), f"message {row['id']} changed hands"
        self.before["inbox"] = {row["id"]: row for row in rows}

    def _no_notice_swallowed(self, rows: list[Row], books: Books, mine: set[int]) -> None:
        by_key = {row["key"]: row for row in rows}
        for row in (row for row in rows if row["class_"] == "notice"):
            assert row["state"] not in ("superseded",), f"{row['key']} was dropped"
            if row["state"] == "uncertain" and row["topic"] == "receipt":
                assert f"{row['key']}:repeat" in by_key, "an uncertain receipt is repeated"
        assert len([row for row in rows if row["state"] == "dead"]) <= self.refused
        for link in (link for link in books.complaint_link if link["conversation_id"] in mine):
            assert f"notice:receipt:{link['complaint_id']}" in by_key, "a complaint without a receipt"

    # --- and at the end, when nothing goes wrong any more, nobody is left waiting

    def teardown(self) -> None:
        if not hasattr(self, "ids"):
            return
        self.g.hours.open = True
        self.g.script.answer = complaint_talk

        def network(outgoing: Outgoing, arrive: Callable[[], None]) -> None:
            self._may_leave(outgoing)
            arrive()

        self.g.messenger.on_send = network
        for _ in range(3):
            self._catch_up()
        self.holds()
        books = self._books()
        for one in (row for row in books.conversation if row["id"] in self.ids.values()):
            opens = [r["id"] for r in books.inbox if r["conversation_id"] == one["id"] and r["disposition"] == "open"]
            assert one["state"] != "bot" or not opens, f"messages {opens} are answered by nobody"
            for row in (row for row in books.outbox if row["conversation_id"] == one["id"]):
                assert row["state"] not in ("pending", "retry", "sending"), f"{row['key']} never goes: {row['state']}"
                waits = row["state"] == "held" and row["reason"] != "before the next"
                assert not waits or one["state"] == "agent", f"{row['key']} is held for nobody"
        with self.p.database.write() as db:  # the next run's product has nothing to do for this one's customers
            for conversation_id in self.ids.values():
                state = {"state": "closed", "owner_id": None, "work_at": None, "send_at": None}
                conversations.change(db, conversation_id, **state)


def _gapless(rows: list[Row], name: str) -> int:
    numbers = sorted(row[name] for row in rows if row[name] is not None)
    assert numbers == list(range(1, len(numbers) + 1)), f"{name}: {numbers}"
    return len(numbers) + 1


def _taken_once(one: Row, rows: list[Row], turns: list[Row]) -> None:
    assert one["next_sequence"] == _gapless(rows, "sequence")
    for row in rows:
        assert (row["turn_id"] is not None, row["taken_by"] is not None) == (
            row["disposition"] == "turn",
            row["disposition"] == "person",
        )
    ranges = sorted((t["first_sequence"], t["last_sequence"]) for t in turns if t["state"] == "done")
    assert all(a[1] < b[0] for a, b in pairwise(ranges)), f"answered twice: {ranges}"
    taken = {row["sequence"]: row["disposition"] for row in rows}
    words = [s for first, last in ranges for s in range(first, last + 1) if taken[s] == "person"]
    assert not words, f"taken by a turn and by a person: {words}"


def _nothing_forgotten(one: Row, rows: list[Row], sent: list[Row], turns: list[Row]) -> None:
    if one["state"] == "bot" and any(row["disposition"] == "open" for row in rows):
        assert one["work_at"] is not None, "a message that no worker will look at"
    if any(row["state"] in ("pending", "retry", "sending") for row in sent):
        assert one["send_at"] is not None, "a message that no sender will look at"
    assert one["next_stream"] == _gapless(sent, "stream")
    assert len([t for t in turns if t["state"] == "open"]) <= 1
    if any(t["state"] == "open" and t["epoch"] != one["epoch"] for t in turns):
        assert one["work_at"] is not None, "a turn of an earlier epoch that nobody ends"


def _stale_turns_left_nothing(turns: list[Row], sent: list[Row], complaints: list[Row]) -> None:
    stale = {t["id"] for t in turns if t["state"] == "stale"}
    assert not [row["key"] for row in sent if row["turn_id"] in stale]
    assert not [row["id"] for row in complaints if row["turn_id"] in stale]


def _run(product: Product, script: Script, runs: int, steps: int) -> None:
    Section6.ground = Ground(product, script)
    plan = settings(
        max_examples=runs,
        stateful_step_count=steps,
        deadline=None,
        database=None,
        print_blob=True,
        suppress_health_check=list(HealthCheck),
        phases=(Phase.generate, Phase.shrink),
    )
    run_state_machine_as_test(seed(SEED)(Section6), settings=plan)


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A claim that is made while a message is on its way says so at once: nobody else is there to end the send."""
    monkeypatch.setattr(ownership_rules, "CLAIM_PATIENCE", 0.0)


@pytest.mark.chaos
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("size", ["short", pytest.param("long", marks=pytest.mark.chaos_long)])
def test_section_6_holds_in_every_order(
    product: Product, script: Script, database: Database, impatient: None, size: str, capsys: pytest.CaptureFixture[str]
) -> None:
    steps = 50
    runs = (200 if size == "long" else 20) if database.sqlite else (40 if size == "long" else 4)
    with capsys.disabled():
        print(f"\n  H7, seed {SEED}: {runs} runs of up to {steps} steps")
    _run(product, script, runs, steps)
    books = read_books(database)
    seen = {name: dict(Counter(row["state"] for row in getattr(books, name))) for name in ("turn", "outbox", "episode")}
    with capsys.disabled():
        print(f"  met: {seen}, complaints {len(books.complaint)}")
    assert seen["turn"].get("done") and seen["episode"].get("agent"), "the machine met nothing"
