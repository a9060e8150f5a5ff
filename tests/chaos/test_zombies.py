"""R10: a worker that slept past its lease wakes up when another one has done its work."""

import signal
import time
from collections.abc import Callable

import pytest
from sqlalchemy import update
from structlog.testing import capture_logs

from bot.build import Product
from bot.dialogue import Question, Said, Script
from bot.store.conversations import conversation
from tests.chaos import process
from tests.chaos.crowd import crowded
from tests.chaos.ledgers import Driver, read_books
from tests.chaos.telegram import TimedEmulator
from tests.talking import Hands, chat, reply, text

pytestmark = pytest.mark.timeout(300)


LEASES = {"TINGSU_LEASE_SECONDS": "8", process.LEASES: "8"}
SENDERS = 2  # threads of one worker


def lease_runs_out(product: Product) -> None:
    """As if its time were over."""
    with product.database.write() as db:
        db.execute(update(conversation).values(lease_until=conversation.c.created_at))


@pytest.mark.chaos
def test_a_worker_that_slept_past_its_lease_commits_nothing(product: Product, script: Script) -> None:
    asleep, awake = Hands(product), Hands(product)

    def answer(question: Question) -> Said:
        if len(script.asked) == 1:  # the first worker falls asleep here, another takes over and finishes
            lease_runs_out(product)
            assert awake.turns.work_once()
        return Said([reply("system.one_moment")], [], {"slots": {"by": len(script.asked)}})

    script.answer = answer
    product.inbox.accept(chat(product), text("ann", "宽带断了"))
    with capture_logs() as logs:
        asleep.turns.work_once()
    stale = [line for line in logs if line["event"] == "lease lost"]
    books = read_books(product.database)
    assert [row["state"] for row in books.turn] == ["done"]
    assert len(books.outbox) == 1, "one answer, not two"
    assert len(script.asked) == 2 and len(stale) == 1, "the sleeper's commit was tried, rejected and told"


@pytest.mark.chaos_long
def test_workers_that_are_stopped_and_continued(
    driver: Driver, emulator: TimedEmulator, tell: Callable[[str], None]
) -> None:
    """SIGSTOP, for longer than any lease, and SIGCONT. One that finds itself overdue ends and is started again."""
    with crowded("", driver, emulator, **LEASES) as crowd:
        with crowd.writing():
            sleepers = [crowd.world._children["worker-0"]]
            sleepers[0].signal(signal.SIGSTOP)
            with crowd.fault("worker asleep"):
                time.sleep(10)
                crowd.sees_taken(3)
            sleepers[0].signal(signal.SIGCONT)
            crowd.sees_taken(10)
        deaths = [death.code for death in crowd.world.deaths]
        crowd.world.deaths.clear()
        wrong = crowd.wrong()
        late = {sentence.rpartition(" ")[2] for sentence in wrong if _let_go_late(sentence)}
        tell(f"R10: {crowd.figures()}, ended as hung {len(deaths)}, let go on waking {len(late)}")
        assert set(deaths) <= {70}
        assert len(late) <= SENDERS, "only what its senders had in hand when they fell asleep"
        assert not [sentence for sentence in wrong if not _let_go_late(sentence)]


def _let_go_late(sentence: str) -> bool:
    """A call that was under way when its sender fell asleep reaches the platform when it wakes: nobody can recall it."""
    return sentence.startswith("order violations") and " got outbox " in sentence
