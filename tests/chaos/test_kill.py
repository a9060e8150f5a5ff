"""Fifty conversations with real Rasa while every process is killed again and again: nothing lost, nothing twice.

`TINGSU_CHAOS_SEED` repeats a run's customers and kills (the machine's own timing stays its own).
"""

import json
import os
import random
import shutil
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path

import httpx
import pytest

from bot.store.database import Database
from tests.chaos import agents, killer
from tests.chaos.checker import WAITING, Report, check, undelivered
from tests.chaos.customers import Chat, Customer, Plan, TelegramChat, WebChat
from tests.chaos.ledgers import Books, Driver, read_books
from tests.chaos.telegram import SECRET, TimedEmulator
from tests.chaos.world import scratch_postgresql
from tests.conftest import absent, pg_available
from tests.running import Agent, Running, running, wait_for

pytestmark = pytest.mark.timeout(900)

CUSTOMERS = 50
ARRIVE_WITHIN = 25.0  # seconds
REDIS = os.environ.get("TINGSU_CHAOS_REDIS", "redis://127.0.0.1:6379/13")
COME_TO_REST = 90.0  # seconds after the last customer has left; a dead worker's lease is 16, a dead sender's 24
# Short leases, so that what a killed worker held is free again within the test's time.
SETTINGS = {"TINGSU_LEASE_SECONDS": "16", "TINGSU_TURN_TIMEOUT": "12"}


@pytest.fixture
def home() -> Iterator[Path]:
    """Outside pytest's own folders: it stays when the test fails, for as long as somebody wants to look."""
    made = Path(tempfile.mkdtemp(prefix="tingsu-chaos-"))
    yield made
    if not (made / "ledgers.json").exists():
        shutil.rmtree(made)


@pytest.fixture
def chats() -> Iterator[list[Chat]]:
    """Every customer's; closed after the product has stopped, because that ends their streams."""
    opened: list[Chat] = []
    yield opened
    for chat in opened:
        chat.leave()
    for chat in opened:
        chat.close()


# Each takes two to three minutes; the storm of test_storm.py does PostgreSQL in the short set.
@pytest.fixture(
    params=[
        pytest.param("embedded", marks=pytest.mark.chaos),
        pytest.param("postgresql and redis", marks=pytest.mark.chaos_long),
    ]
)
def product(
    request: pytest.FixtureRequest, home: Path, chats: list[Chat], emulator: TimedEmulator
) -> Iterator[Running]:
    environ = {
        **SETTINGS,
        "TINGSU_TELEGRAM_TOKEN": emulator.token,
        "TINGSU_TELEGRAM_API_URL": emulator.base_url,
        "TINGSU_TELEGRAM_MODE": "webhook",  # the driver posts the updates itself, as Telegram would
        "TINGSU_TELEGRAM_WEBHOOK_SECRET": SECRET,
        "TINGSU_PUBLIC_URL": "https://chaos.example",
    }
    if request.param == "embedded":
        with running(home, **environ) as started:
            yield started
        return
    if not pg_available():
        absent("PostgreSQL server on 127.0.0.1:5432")
    with (
        scratch_postgresql() as url,
        running(home, **environ, TINGSU_DATABASE_URL=url, TINGSU_REDIS_URL=REDIS) as started,
    ):
        yield started


@pytest.fixture
def database(product: Running) -> Iterator[Database]:
    url = product.environ.get("TINGSU_DATABASE_URL", f"sqlite:///{product.home}/tingsu.sqlite3")
    opened = Database(url.replace("postgresql://", "postgresql+psycopg://"))
    yield opened
    opened.close()


class Crowd:
    """Fifty customers and two agents, each in a thread; `failures` has what went wrong in any of them."""

    def __init__(
        self, product: Running, emulator: TimedEmulator, chats: list[Chat], shift: agents.Shift, seed: int
    ) -> None:
        self.detours: Counter[str] = Counter()
        self.failures: list[str] = []
        self.receipts = 0
        self._product = product
        self._emulator = emulator
        self._shift = shift
        self._seed = seed
        self._chats = chats

    def run(self) -> None:
        """Returns when every customer has gone and the agents have let go of everybody."""
        shifts = [self._thread(self._work, name) for name in ("lin", "mei")]
        customers = [self._thread(self._visit, number) for number in range(CUSTOMERS)]
        for one in customers:
            one.join()
        self._shift.stop.set()
        for one in shifts:
            one.join()

    def _thread(self, target: Callable[..., None], argument: object) -> threading.Thread:
        def guarded() -> None:
            try:
                target(argument)
            except Exception as error:  # told at the end, with the ledgers
                self.failures.append(f"{type(error).__name__}: {error}")

        thread = threading.Thread(target=guarded, daemon=True)
        thread.start()
        return thread

    def _work(self, name: str) -> None:
        agent = Agent(self._product.console, name)
        try:
            agents.work(agent, self._shift, random.Random(f"{self._seed} {name}"))
        finally:
            agent.close()

    def _visit(self, number: int) -> None:
        rng = random.Random(f"{self._seed} {number}")
        plan = Plan(("zh", "en")[number % 2], number % 4 == 1, rng.uniform(0, ARRIVE_WITHIN))
        customer = Customer(self._chat(number, plan.language, rng), plan, rng)
        try:
            customer.run()
        finally:
            self.detours.update(customer.detours)
            self.receipts += bool(customer.reference)

    def _chat(self, number: int, language: str, rng: random.Random) -> Chat:
        driver, public = self._shift.driver, self._product.public
        if number % 5 < 2:
            chat: Chat = TelegramChat(f"telegram-{number}", driver, rng, public, self._emulator, 5_000_000 + number)
        else:
            chat = WebChat(f"web-{number}", driver, rng, public, language)
        self._chats.append(chat)
        return chat


def unsettled(books: Books, before: float) -> int:
    """What was accepted or written before that moment and still waits for the bot."""
    with_bot = {row["id"] for row in books.conversation if row["state"] == "bot"}
    open_rows = [row for row in books.inbox if row["disposition"] == "open" and row["conversation_id"] in with_bot]
    waiting = [row for row in books.outbox if row["state"] in WAITING]
    tickets = [row for row in books.ticket if row["state"] != "open"]
    moments = [row["received_at"] for row in open_rows] + [row["created_at"] for row in (*waiting, *tickets)]
    return len([moment for moment in moments if moment < before])


def settle(database: Database, before: float) -> None:
    """Returns when everything from before that moment is handled, or after COME_TO_REST."""
    deadline = time.monotonic() + COME_TO_REST
    while unsettled(read_books(database), before) and time.monotonic() < deadline:
        time.sleep(0.5)


def recovery_seconds(product: Running, database: Database, last_kill: float) -> float:
    """Until everything runs and answers again, and what was accepted before the last kill is handled."""
    wait_for("the product to be back", lambda: answers(product), 240)
    settle(database, last_kill)
    return time.time() - last_kill


def answers(product: Running) -> bool:
    """Every process runs, the door is ready, and Rasa can be asked."""
    try:
        door = httpx.get(f"{product.public}/ready", timeout=5)
        running_now = product.run_file()["children"]
        return door.is_success and {"worker", "actions"} <= set(running_now) and product.rasa_answers()
    except (httpx.HTTPError, KeyError):
        return False


def come_to_rest(driver: Driver, database: Database) -> Books:
    """The books when nothing waits any more and the streams have shown it; or as they are after a while."""
    settle(database, time.time())
    deadline = time.monotonic() + 20
    while undelivered(driver, books := read_books(database)) and time.monotonic() < deadline:
        time.sleep(0.5)
    return books


def figures_of(report: Report, more: dict[str, object]) -> str:
    return "\n".join([*(f"  {name:.<28} {value}" for name, value in more.items()), str(report)])


def test_nothing_is_lost_or_doubled_by_kills(
    product: Running,
    database: Database,
    emulator: TimedEmulator,
    chats: list[Chat],
    driver: Driver,
    tell: Callable[[str], None],
) -> None:
    seed = int(os.environ.get("TINGSU_CHAOS_SEED") or random.SystemRandom().randrange(1_000_000))
    began = time.time()
    embedded = "TINGSU_REDIS_URL" not in product.environ
    for name in ("lin", "mei"):
        product.add_user(name)
    crowd = Crowd(product, emulator, chats, agents.Shift(database, driver), seed)
    hand = killer.Killer(product, killer.plan(random.Random(seed), embedded))
    recovery: list[float] = []

    def kill_then_measure() -> None:
        hand.run()
        recovery.append(recovery_seconds(product, database, hand.kills[-1][0]))

    killing = threading.Thread(target=kill_then_measure, name="killer", daemon=True)
    killing.start()
    crowd.run()
    killing.join()
    books = come_to_rest(driver, database)
    report = check(driver, books)
    figures: dict[str, object] = {
        "database": "SQLite, Valkey" if embedded else "PostgreSQL, Redis",
        "seed": seed,
        "kills": dict(Counter(victim for _, victim in hand.kills)),
        "recovery seconds": round(recovery[0], 1) if recovery else "never",
        "whole run seconds": round(time.time() - began),
        "customers with a receipt": f"{crowd.receipts} of {CUSTOMERS}",
        "detours": dict(crowd.detours),
    }
    tell(figures_of(report, figures))
    wrong = [*report.red(), *crowd.failures, *(f"{victim} was never back to be killed" for victim in hand.missed)]
    wrong += [] if recovery else ["the product never recovered"]
    if wrong:
        ledgers = {"seed": seed, "wrong": wrong, "driver": driver.as_json(), "books": asdict(books)}
        (product.home / "ledgers.json").write_text(json.dumps(ledgers, ensure_ascii=False, indent=1, default=str))
    assert not wrong, f"seed {seed}, everything is in {product.home}:\n" + "\n".join(wrong)
    assert crowd.receipts == CUSTOMERS
