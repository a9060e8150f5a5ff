"""Each check of the chaos run goes red on a violation planted into ledgers that are in order."""

from collections.abc import Callable
from typing import Any

import pytest

from tests.chaos import checker
from tests.chaos.ledgers import Books, Claim, Delivery, Driver, Post


def inbox_row(number: int, **more: Any) -> dict[str, Any]:
    row = {"id": number, "account_id": 1, "conversation_id": 1, "sequence": number, "event_key": f"k{number}"}
    return {**row, "disposition": "turn", "received_at": 10.0 * number, **more}


def turn_row(number: int, **more: Any) -> dict[str, Any]:
    row = {"id": number, "conversation_id": 1, "first_sequence": number, "last_sequence": number}
    return {**row, "state": "done", "finished_at": 10.0 * number + 1, **more}


def outbox_row(number: int, conversation_id: int = 1, **more: Any) -> dict[str, Any]:
    row = {"id": number, "conversation_id": conversation_id, "key": f"turn:{number}", "part": 0, "class_": "turn"}
    values = {"epoch": 1, "sending_at": None}
    fate = {"topic": "", "state": "sent", "reason": "", "text": f"t{number}", "stream": number, "platform_id": ""}
    return {**row, **values, **fate, "created_at": 10.0 * number + 1, "sent_at": 10.0 * number + 2, **more}


def told(number: int, **more: Any) -> dict[str, Any]:
    """A message that went to Telegram."""
    return outbox_row(number, 2, stream=None, platform_id=f"{number}", **more)


def episode_row(conversation_id: int, epoch: int, state: str = "bot", started_at: float = 0.0) -> dict[str, Any]:
    row = {"id": 10 * conversation_id + epoch, "conversation_id": conversation_id, "epoch": epoch}
    return {**row, "state": state, "started_at": started_at}


class Ledgers:
    """One web chat with three messages, one Telegram chat with one, a complaint, and a claim: all as it should be."""

    def __init__(self) -> None:
        self.driver = Driver(
            posts=[Post("web", f"k{n}", 10.0 * n, 10.0 * n + 0.1, 1) for n in (1, 2, 3)] + [Post("tg", "k4", 40, 40.1)],
            claims=[Claim(1, 50.0, 60.0, True), Claim(2, 50.0, 60.0, True)],
            streamed=[Delivery("web", 10.0 * n + 3, n, f"t{n}") for n in (1, 2, 3)],
            arrived=[Delivery("tg", 10.0 * n, n, f"t{n}") for n in (14, 15)],
        )
        self.books = Books(
            conversation=[{"id": 1, "state": "bot"}, {"id": 2, "state": "bot"}],
            episode=[episode_row(1, 1), episode_row(2, 1)],
            inbox=[inbox_row(1), inbox_row(2), inbox_row(3), inbox_row(4, conversation_id=2, sequence=1)],
            turn=[turn_row(1), turn_row(2), turn_row(3), turn_row(4, conversation_id=2, first_sequence=1)],
            outbox=[
                outbox_row(1),
                outbox_row(2),
                outbox_row(3, key="notice:receipt:7", class_="notice", topic="receipt"),
                told(14),
                told(15),
            ],
            complaint=[{"id": 7, "turn_id": 3, "reference": "TS-1"}],
            complaint_link=[{"id": 1, "conversation_id": 1, "first_sequence": 1, "last_sequence": 3}],
            ticket=[{"id": 1, "complaint_id": 7, "state": "open"}],
            local_ticket=[{"id": 1, "reference": "TS-1"}],
        )

    def red(self) -> list[str]:
        """The checks that found something."""
        report = checker.check(self.driver, self.books)
        return [name for name, sentences in report.wrong.items() if sentences]


Plant = Callable[[Ledgers], object]


def set_in(table: str, place: int, **values: Any) -> Plant:
    return lambda ledgers: getattr(ledgers.books, table)[place].update(values)


def add_to(table: str, row: dict[str, Any]) -> Plant:
    return lambda ledgers: getattr(ledgers.books, table).append(row)


def arrives(*deliveries: Delivery) -> Plant:
    return lambda ledgers: ledgers.driver.arrived.extend(deliveries)


def streams(*deliveries: Delivery) -> Plant:
    return lambda ledgers: ledgers.driver.streamed.extend(deliveries)


def overtaken_notice(ledgers: Ledgers) -> None:
    """14 arrives after 15."""
    ledgers.driver.arrived.reverse()


def uncertain_when_closed(ledgers: Ledgers) -> None:
    ledgers.books.outbox[3].update(state="uncertain", sending_at=141.0)
    ledgers.books.episode.append(episode_row(2, 2, "closed", 140.0))


PLANTED: list[tuple[str, str, Plant]] = [
    ("lost", "acknowledged, no row", lambda all: all.driver.posts.append(Post("web", "k9", 1, 2, 1))),
    ("lost", "open with the bot", set_in("inbox", 0, disposition="open")),
    ("never sent", "still pending", set_in("outbox", 0, state="pending", stream=None)),
    ("never sent", "dead", set_in("outbox", 4, state="dead")),
    ("doubled effects", "event key twice", add_to("inbox", inbox_row(5, event_key="k1", sequence=4))),
    ("doubled effects", "turns share a message", add_to("turn", turn_row(9, first_sequence=3))),
    ("doubled effects", "outbox key twice", add_to("outbox", outbox_row(4, key="turn:1"))),
    ("doubled effects", "turn with two complaints", add_to("complaint", {"id": 8, "turn_id": 3, "reference": "TS-2"})),
    (
        "doubled effects",
        "message in two complaints",
        add_to("complaint_link", {"id": 2, "conversation_id": 1, "first_sequence": 3, "last_sequence": 4}),
    ),
    ("doubled deliveries", "stream number twice", streams(Delivery("web", 34, 3, "t3"))),
    ("doubled deliveries", "arrived twice", arrives(Delivery("tg", 151, 16, "t15"))),
    ("undelivered", "sent, not on the stream", lambda all: all.driver.streamed.pop()),
    ("undelivered", "sent, not at the emulator", lambda all: all.driver.arrived.pop()),
    ("order violations", "a gap in the sequence", set_in("inbox", 2, sequence=4)),
    ("order violations", "a gap in the stream", set_in("outbox", 2, stream=4)),
    ("order violations", "posts overtaken", lambda all: (all.books.inbox[0].update(sequence=2), all.books.inbox[1].update(sequence=1))),
    ("order violations", "turns overtaken", set_in("turn", 0, finished_at=99.0)),
    ("order violations", "stream overtaken", lambda all: all.driver.streamed.reverse()),
    ("order violations", "arrivals overtaken", overtaken_notice),
    ("bot after a clean claim", "on the stream", set_in("outbox", 1, sent_at=55.0)),
    ("bot after a clean claim", "a notice too", set_in("outbox", 2, sent_at=55.0)),
    ("bot after a clean claim", "at the emulator", arrives(Delivery("tg", 55.0, 99, "t99"))),
    ("out of state", "a turn's while queued", add_to("episode", episode_row(1, 2, "queued", 15.0))),
    ("out of state", "a notice with an agent", add_to("episode", episode_row(1, 2, "agent", 31.5))),
    ("out of state", "a turn's of an earlier stretch", add_to("episode", episode_row(1, 2, "bot", 15.0))),
    ("out of state", "uncertain counts too", uncertain_when_closed),
    ("receipts swallowed", "superseded", set_in("outbox", 2, state="superseded")),
    ("receipts swallowed", "held for ever", set_in("outbox", 2, state="held")),
    ("wrong tickets", "none at the desk", lambda all: all.books.local_ticket.clear()),
    ("wrong tickets", "two at the desk", add_to("local_ticket", {"id": 2, "reference": "TS-1"})),
    ("wrong tickets", "of no complaint", add_to("local_ticket", {"id": 2, "reference": "TS-9"})),
    ("wrong tickets", "not open yet", set_in("ticket", 0, state="wanted")),
]  # fmt: skip


@pytest.fixture
def ledgers() -> Ledgers:
    return Ledgers()


def test_good_ledgers_are_green(ledgers: Ledgers) -> None:
    assert ledgers.red() == []


@pytest.mark.parametrize(("check", "what", "plant"), PLANTED, ids=[f"{check}: {what}" for check, what, _ in PLANTED])
def test_a_planted_violation_is_red(ledgers: Ledgers, check: str, what: str, plant: Plant) -> None:
    plant(ledgers)
    assert check in ledgers.red(), what


def test_every_check_has_a_planted_violation() -> None:
    assert {check for check, _, _ in PLANTED} == set(checker.CHECKS)


class TestWhatIsAllowed:
    def test_an_agents_own_words_after_the_claim(self, ledgers: Ledgers) -> None:
        ledgers.books.outbox.append(told(16, class_="agent"))
        ledgers.driver.arrived.append(Delivery("tg", 155.0, 16, "t16"))
        ledgers.books.outbox[1]["class_"] = "agent"
        ledgers.books.outbox[1]["sent_at"] = 55.0
        assert ledgers.red() == []

    def test_a_message_after_a_claim_that_said_uncertain(self, ledgers: Ledgers) -> None:
        ledgers.books.outbox[1]["sent_at"] = 55.0
        ledgers.driver.claims[0] = Claim(1, 50.0, 60.0, False)
        assert ledgers.red() == []

    @pytest.mark.parametrize("arrived", [True, False])
    def test_an_uncertain_message_arrives_or_does_not(self, ledgers: Ledgers, arrived: bool) -> None:
        ledgers.books.outbox.append(told(16, state="uncertain") | {"platform_id": ""})
        if arrived:
            ledgers.driver.arrived.append(Delivery("tg", 161.0, 16, "t16"))
        assert ledgers.red() == []

    def test_an_uncertain_message_that_arrives_twice_is_red(self, ledgers: Ledgers) -> None:
        ledgers.books.outbox.append(told(16, state="uncertain") | {"platform_id": ""})
        ledgers.driver.arrived += [Delivery("tg", 161.0, 16, "t16"), Delivery("tg", 162.0, 17, "t16")]
        assert ledgers.red() == ["doubled deliveries"]

    def test_a_notice_that_waited_for_an_agent_is_overtaken(self, ledgers: Ledgers) -> None:
        overtaken_notice(ledgers)
        ledgers.books.outbox[3].update(class_="notice", sent_at=190.0)
        ledgers.books.episode.extend([episode_row(2, 2, "agent", 145.0), episode_row(2, 3, "bot", 151.9)])
        ledgers.books.outbox[4].update(epoch=3)
        assert ledgers.red() == []

    def test_a_post_that_nobody_acknowledged(self, ledgers: Ledgers) -> None:
        ledgers.driver.posts.append(Post("web", "k9", 1.0))
        assert ledgers.red() == []

    def test_an_open_message_waits_for_a_person(self, ledgers: Ledgers) -> None:
        ledgers.books.inbox[0]["disposition"] = "open"
        ledgers.books.conversation[0]["state"] = "queued"
        assert ledgers.red() == []
