"""H1, H2: agents who claim at once, and claims in the middle of the bot's reply (promise P4), on both databases."""

import os
import random
import threading
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field

import pytest
from argon2 import PasswordHasher

from bot import conversation as ownership_rules
from bot import outbox, users
from bot.build import Product
from bot.dialogue import Question, Said, Script
from bot.errors import NotYours
from bot.faults import Moment
from bot.message import Outgoing
from bot.store import conversations
from bot.store import outbox as store
from bot.store.conversations import Conversation
from bot.store.users import User
from bot.transcript import transcript
from console import create_app
from tests.chaos.messenger import Entry, Killed, Messenger, Mortal, connect, leaks
from tests.console.seats import Seat, words
from tests.talking import Hands, chat, reply, text

CROWD = 20
AGENTS_AT_ONCE = 4  # in H2: conversations that are claimed side by side
SCALE = 0.02  # of the catalogue's seconds: Rasa 0 to 3 s, a send 0 to 2 s
PASSWORD = "a long password 1"

rounds = pytest.mark.parametrize("short_or_long", ["short", pytest.param("long", marks=pytest.mark.chaos_long)])


@pytest.fixture(autouse=True)
def cheap_hashes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(users, "_HASHER", PasswordHasher(time_cost=1, memory_cost=8, parallelism=1))


@pytest.fixture
def seed() -> int:
    return int(os.environ.get("TINGSU_CHAOS_SEED") or random.SystemRandom().randrange(1_000_000))


@pytest.fixture
def crowd(product: Product) -> list[User]:
    return [product.people.add(f"agent{n:02}", "agent", PASSWORD) for n in range(CROWD)]


def _queue_again(product: Product, conversation_id: int) -> Conversation:
    """Whoever has it: it waits again, as after a wish; every third time the bot has it."""
    with product.database.write() as db:
        found = conversations.lock(db, conversation_id)
        if found.state == "agent":
            found = ownership_rules.move(db, found, "bot", "test", actor="test")
        if found.epoch % 3 and found.state == "bot":
            found = ownership_rules.move(db, found, "queued", "test", actor="test")
        return found


def _claim_together(pool: ThreadPoolExecutor, product: Product, seen: Conversation, agents: list[User]) -> list[str]:
    """What each got: its epoch as "won", or the owner that NotYours names."""
    gate = threading.Barrier(len(agents))

    def one(agent: User) -> str:
        gate.wait(30)
        try:
            product.ownership.claim(seen.id, seen.epoch, agent)
        except NotYours as moved:
            return moved.owner
        return f"won {agent.name}"

    return list(pool.map(one, agents))


@pytest.mark.chaos
@pytest.mark.timeout(900)
@rounds
def test_of_twenty_agents_one_wins(product: Product, crowd: list[User], short_or_long: str) -> None:
    Hands(product).say("ann", "宽带断了")
    where = Hands(product).conversation("ann").id
    with ThreadPoolExecutor(CROWD) as pool:
        for number in range(1_000 if short_or_long == "long" else 100):
            agents = crowd[: 2 if number % 2 else CROWD]
            got = _claim_together(pool, product, _queue_again(product, where), agents)
            won = [answer.removeprefix("won ") for answer in got if answer.startswith("won ")]
            assert len(won) == 1, f"round {number}: {got}"
            assert Counter(got) == {f"won {won[0]}": 1, won[0]: len(agents) - 1}, f"round {number}: {got}"
            with product.database.read() as db:
                owner = conversations.read(db, where)
                assert owner is not None and owner.owner_id == next(a.id for a in crowd if a.name == won[0])


@pytest.mark.chaos
def test_at_the_console_the_others_are_told_who_was_faster(product: Product) -> None:
    app = create_app(product)
    app.testing = True
    seats = [Seat(app, f"agent{n}") for n in range(4)]
    Hands(product).say("ann", "宽带断了")
    where = Hands(product).conversation("ann").id
    with ThreadPoolExecutor(len(seats)) as pool:
        for _ in range(10):
            epoch = _queue_again(product, where).epoch
            gate = threading.Barrier(len(seats))

            def press(seat: Seat, epoch: int = epoch, gate: threading.Barrier = gate) -> tuple[str, int, str]:
                gate.wait(30)
                answer = seat.press(f"/conversations/{where}/claim", seen_epoch=epoch)
                return seat.name, answer.status_code, words(answer.text)

            got = list(pool.map(press, seats))
            winners = [name for name, status, _ in got if status == 303]
            assert len(winners) == 1, [(name, status) for name, status, _ in got]
            assert all(status == 409 and winners[0] in page for name, status, page in got if name != winners[0])


@dataclass
class Race:
    """H2: two workers and three senders at work, agents who claim at random moments, and what came of it."""

    product: Product
    script: Script
    seed: int
    messenger: Messenger = field(default_factory=Messenger)
    figures: Counter[str] = field(default_factory=Counter)
    trouble: list[str] = field(default_factory=list)
    claimed: list[tuple[str, int, int, bool]] = field(default_factory=list)  # sender, id, stream then, pulled
    stop: threading.Event = field(default_factory=threading.Event)

    def __post_init__(self) -> None:
        self.rng = random.Random(self.seed)
        self.screen = connect(self.product, self.messenger)
        self.messenger.on_send = self._network
        self.script.answer = self._rasa

    def _network(self, outgoing: Outgoing, arrive: Callable[[], None]) -> None:
        time.sleep(self.rng.uniform(0, 2 * SCALE))
        arrive()
        time.sleep(self.rng.uniform(0, SCALE))

    def _rasa(self, question: Question) -> Said:
        time.sleep(self.rng.uniform(0, 3 * SCALE))
        replies = [reply("system.photo_alone"), reply("status.none"), reply("system.one_moment")]
        commands = [{"name": "call_agent", "args": {}}] if self.rng.random() < 0.15 else []
        return Said(replies[: self.rng.randint(1, 3)], commands, {})

    def _repeat(self, once: Callable[[], Callable[[], bool]]) -> None:
        """A process that is started again each time it has died."""
        while not self.stop.is_set():
            with suppress(Killed):
                step = once()
                while not self.stop.is_set():
                    if not step():
                        self.stop.wait(0.005)

    def _mortal_sender(self) -> Callable[[], bool]:
        doomed = (Moment.SENDING_CLAIMED, Moment.SENDING, Moment.SENT)
        mortal = Mortal(lambda moment: moment in doomed and self.rng.random() < 0.03)
        sender = self.product.sender()
        mortal.give(sender, self.product.database)

        def step() -> bool:
            try:
                return sender.send_once()
            except Killed:
                self.figures["senders killed"] += 1
                raise

        return step

    def run(self, count: int, agents: list[User]) -> None:
        loops = [lambda: self.product.turns().work_once] * 2 + [self._mortal_sender] * 3
        threads = [threading.Thread(target=self._repeat, args=(loop,)) for loop in loops]
        for thread in threads:
            thread.start()
        try:
            with ThreadPoolExecutor(AGENTS_AT_ONCE) as pool:
                list(pool.map(lambda n: self._round(n, agents[n % len(agents)]), range(count)))
            time.sleep(0.5)  # what was on its way after a claim would arrive now
        finally:
            self.stop.set()
            for thread in threads:
                thread.join(30)

    def _round(self, number: int, agent: User) -> None:
        who, pulled = f"customer{number}", bool(number % 2)
        account = chat(self.product) if pulled else self.screen
        accepted = self.product.inbox.accept(account, text(who, f"words of {who}"))
        assert accepted.conversation_id is not None
        self._write_rows(accepted.conversation_id, self.rng.randint(0, 5))
        time.sleep(self.rng.uniform(0, 5 * SCALE))
        self._claim(who, accepted.conversation_id, agent, pulled)

    def _write_rows(self, conversation_id: int, count: int) -> None:
        with self.product.database.write() as db:
            current = conversations.lock(db, conversation_id)
            for n in range(count):
                write = outbox.notice if n % 2 else outbox.courtesy
                write(db, current, f"race:{conversation_id}:{n}", f"race{n}", "system.one_moment")

    def _claim(self, who: str, conversation_id: int, agent: User, pulled: bool) -> None:
        while True:
            with self.product.database.read() as db:
                seen = conversations.read(db, conversation_id)
            assert seen is not None
            try:
                claimed = self.product.ownership.claim(conversation_id, seen.epoch, agent)
                break
            except NotYours:
                self.figures["claims refused: it had moved"] += 1
        if claimed.uncertain:
            self.figures["claims that said uncertain"] += 1
            return
        self.messenger.note(Entry(who, "claimed"))
        with self.product.database.read() as db:
            now_is = conversations.read(db, conversation_id)
        assert now_is is not None
        self.claimed.append((who, conversation_id, now_is.next_stream, pulled))
        self.figures["clean claims"] += 1

    def judge(self) -> list[str]:
        """What must not be."""
        wrong = [f"{leak.recipient} heard {leak.what} after a clean claim" for leak in leaks(self.messenger.ledger)]
        for who, conversation_id, stream, _pulled in self.claimed:
            with self.product.database.read() as db:
                rows = store.history(db, conversation_id)
                lines = transcript(db, self.product.texts, conversation_id)
            late = [row.key for row in rows if row.stream is not None and row.stream >= stream]
            wrong += [f"{who}: {key} came into the stream after a clean claim" for key in late]
            shown = [line.text for line in lines].count(f"words of {who}")
            wrong += [] if shown == 1 else [f"{who}: the agent sees the customer's text {shown} times"]
            self.figures.update(f"messages {row.state}" for row in rows)
        return wrong


@pytest.mark.chaos
@pytest.mark.timeout(1800)
@rounds
def test_after_a_clean_claim_the_bot_is_silent(
    product: Product,
    script: Script,
    crowd: list[User],
    seed: int,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    short_or_long: str,
) -> None:
    monkeypatch.setattr(ownership_rules, "CLAIM_PATIENCE", 0.5)  # longer than any send here, unless its sender died
    count = 2_000 if short_or_long == "long" else 200
    race = Race(product, script, seed)
    race.run(count, crowd)
    wrong = race.judge()
    with capsys.disabled():
        print(f"\n  H2, seed {seed}, {count} claims: leaks {len(wrong)}, {dict(sorted(race.figures.items()))}")
    assert not wrong, "\n".join(wrong)
    assert race.figures["clean claims"] + race.figures["claims that said uncertain"] == count
    assert race.figures["clean claims"] > count / 2
    assert race.figures["messages superseded"] and race.figures["senders killed"], "the claims met nothing"
