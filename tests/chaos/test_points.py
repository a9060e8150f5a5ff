"""C2: SIGKILL at every named moment of bot/faults.py, and what became of the message that was on its way there."""

import contextlib
import itertools
import signal
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import httpx
import pytest

from bot.desk import TicketState
from bot.faults import Moment
from bot.store.users import User
from tests.chaos.checker import check, conversations_of, lost
from tests.chaos.ledgers import Driver, Row
from tests.chaos.posts import Answers, TelegramPerson, WebPerson, deliver
from tests.chaos.talk_server import FILE_IT
from tests.chaos.telegram import TimedEmulator
from tests.chaos.world import World, worlds
from tests.files import picture
from tests.running import wait_for

JPEG = picture()
SHORT = 1  # deaths at each moment on each database; a death costs two seconds
LONG = 100
PATIENCE = 30.0  # seconds

# Where a message has to come in so that some process gets to the moment.
BY_POST = {Moment.ACCEPT_BEFORE_COMMIT, Moment.ACCEPT_AFTER_COMMIT}
BY_CLAIM = {Moment.CLAIM_AFTER_COMMIT}
BY_DESK = {Moment.CHANGES_BEFORE_COMMIT, Moment.CHANGES_AFTER_COMMIT}
BY_POLL = {
    Moment.FETCH_BEFORE_COMMIT,
    Moment.FETCH_AFTER_COMMIT,
    Moment.WORK_CLAIMED,
    Moment.DOWNLOADED,
    Moment.TURN_FIXED,
    Moment.ANSWERED,
    Moment.TURN_BEFORE_COMMIT,
    Moment.TURN_AFTER_COMMIT,
    Moment.SENDING_CLAIMED,
    Moment.SENDING,
    Moment.SENT,
    Moment.SENT_AFTER_COMMIT,
    Moment.TICKET_CLAIMED,
    Moment.TICKET_OPENED,
    Moment.TICKET_AFTER_COMMIT,
}
# Nobody starts an agent's claim again, and gunicorn itself replaces a worker.
WITHOUT_KEEPER = BY_CLAIM | BY_POST
# The call may have left: nobody can know, so it is said, and never sent again by itself.
DOUBTFUL = {Moment.SENDING, Moment.SENT}
# The dead worker's other threads may have been sending.
MAYBE_DOUBTFUL = {
    Moment.TURN_AFTER_COMMIT,
    Moment.TICKET_CLAIMED,
    Moment.TICKET_OPENED,
    Moment.TICKET_AFTER_COMMIT,
    Moment.SENT_AFTER_COMMIT,
}


def test_every_moment_has_its_death() -> None:
    assert set(Moment) == BY_POST | BY_CLAIM | BY_DESK | BY_POLL


@dataclass
class Scene:
    """One world with one worker, its ledgers, and customers who have not met yet."""

    world: World
    driver: Driver
    emulator: TimedEmulator
    client: httpx.Client
    lin: User
    numbers: Iterator[int]

    @property
    def database(self) -> str:
        return self.world.product.database.engine.dialect.name

    def shoot(self, moment: Moment) -> str:
        """One death there, and what can be seen of it afterwards."""
        before = len(self.world.deaths)
        if moment in BY_POST:
            name = self._by_post(moment)
        elif moment in BY_CLAIM:
            name = self._by_claim(moment)
        elif moment in BY_DESK:
            name = self._by_desk(moment)
        else:
            name = self._by_poll(moment)
        died = [death.name for death in self.world.deaths[before:]]
        assert len(died) == (moment not in WITHOUT_KEEPER), f"one process dies, not {died}"
        return self._outcome(name)

    def _by_post(self, moment: Moment) -> str:
        person = WebPerson(f"web-{(number := next(self.numbers))}", number, self.client)
        self.world.arm(moment)
        event = person.says(f"宽带断了, {FILE_IT}")
        deliver(self.client, event, self.driver.begin(person.name, event.key), self.driver, Answers())
        self._rest(moment)
        person.looks(self.client, self.driver)
        return person.name

    def _by_poll(self, moment: Moment | None) -> str:
        """Telegram has it from now on, and gives it to us until we say that we have it."""
        person = TelegramPerson(f"telegram-{(number := next(self.numbers))}", number, self.emulator)
        update = self.emulator.photo(person.chat_id, JPEG, f"宽带断了, {FILE_IT}")
        message = update["message"]
        key = f"m:{person.chat_id}:{message['message_id']}:{message['date']}"
        if moment is not None:
            self.world.arm(moment)
        self.driver.acknowledged(self.driver.begin(person.name, key))
        self.emulator.push(update)
        self._rest(moment)
        return person.name

    def _by_desk(self, moment: Moment) -> str:
        name = self._by_poll(None)
        [filed] = self._rows("complaint", name)
        self.world.arm(moment)
        self.world.paper.set_state(filed["reference"], TicketState.IN_PROGRESS, "we are on it", "the desk")
        self._rest(moment)
        return name

    def _by_claim(self, moment: Moment) -> str:
        name, ownership = self._by_poll(None), self.world.product.ownership
        conversation_id = conversations_of(self.driver, self.world.books())[name]
        self.world.arm(moment)
        assert self.world.claim(conversation_id, 1, self.lin.name) == -signal.SIGKILL
        [taken] = [row for row in self.world.books().conversation if row["id"] == conversation_id]
        assert (taken["state"], taken["epoch"]) == ("agent", 2), "a committed claim stands"
        ownership.release(conversation_id, self.lin, 2, 0)
        self._rest(moment)
        return name

    def _rest(self, moment: Moment | None) -> None:
        """The armed process has died, and everything that was on its way has arrived."""
        if moment is not None:
            wait_for(f"a death at {moment}", lambda: self.world.fired(moment), PATIENCE, 0.02)
        wait_for("every event's row", lambda: not lost(self.driver, self.world.books()), PATIENCE, 0.1)
        assert self.world.rest(PATIENCE), "it never came to rest"
        wait_for("the desk's changes", self.world.desk_is_read, PATIENCE, 0.1)
        assert self.world.rest(PATIENCE), "it never came to rest"

    def _rows(self, table: str, name: str) -> list[Row]:
        """What a table has of this customer."""
        books = self.world.books()
        conversation_id = conversations_of(self.driver, books)[name]
        if table == "complaint":
            mine = {row["complaint_id"] for row in books.complaint_link if row["conversation_id"] == conversation_id}
            return [row for row in books.complaint if row["id"] in mine]
        return [row for row in getattr(books, table) if row["conversation_id"] == conversation_id]

    def _outcome(self, name: str) -> str:
        messages = Counter(row["state"] for row in self._rows("outbox", name))
        [filed] = self._rows("complaint", name)
        tickets = [line for line in self.world.paper.lines() if line["reference"] == filed["reference"]]
        opened = sum(line["what"] == "opened" for line in tickets)
        turns = len(self._rows("turn", name))
        told = ", ".join(f"{count} {state}" for state, count in sorted(messages.items()))
        return f"{turns} turn, {opened} ticket; messages: {told}"


@pytest.fixture(
    scope="module",
    params=[
        pytest.param("sqlite", marks=pytest.mark.xdist_group("points sqlite")),
        pytest.param("postgresql", marks=[pytest.mark.real, pytest.mark.xdist_group("points postgresql")]),
    ],
)
def scene(request: pytest.FixtureRequest) -> Iterator[Scene]:
    driver = Driver()
    emulator = TimedEmulator(driver)
    with worlds(request.param, emulator) as make, contextlib.closing(emulator):
        world = make(impatient=True, TINGSU_TELEGRAM_MODE="polling")
        world.start()
        lin = world.product.people.add("lin", "agent", "a long enough password")
        with httpx.Client(base_url=world.public, timeout=10, trust_env=False) as client:
            yield Scene(world, driver, emulator, client, lin, itertools.count(1))


def shoot(scene: Scene, moment: Moment, times: int, tell: Callable[[str], None]) -> None:
    outcomes = Counter(scene.shoot(moment) for _ in range(times))
    report = check(scene.driver, scene.world.books())
    for outcome, count in outcomes.items():
        tell(f"  {scene.database:<11}{moment.value:<24}{count:>4} × {outcome}")
    assert not report.red(), report.red()
    if moment in DOUBTFUL:
        assert all("1 uncertain" in outcome for outcome in outcomes), "one message may have arrived: that is said"
    elif moment not in MAYBE_DOUBTFUL:
        assert not any("uncertain" in outcome for outcome in outcomes), "nothing is uncertain here"


@pytest.mark.chaos
@pytest.mark.parametrize("moment", Moment, ids=str)
def test_a_death_here_costs_nothing(scene: Scene, moment: Moment, tell: Callable[[str], None]) -> None:
    shoot(scene, moment, SHORT, tell)


@pytest.mark.chaos_long
@pytest.mark.parametrize("moment", Moment, ids=str)
def test_a_hundred_deaths_here_cost_nothing(scene: Scene, moment: Moment, tell: Callable[[str], None]) -> None:
    shoot(scene, moment, LONG, tell)
