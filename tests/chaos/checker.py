"""Compares the three ledgers. Pure functions: each gives sentences about what is wrong, none when nothing is."""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from tests.chaos.ledgers import Books, Delivery, Driver, Row

WAITING = ("pending", "retry", "sending")
_TOLD = ("sent", "uncertain")
_NOT_WHILE = {"queued": ("turn",), "agent": ("turn", "notice", "courtesy"), "closed": ("turn",)}
_CLOCK = 0.002  # seconds; SQLite's clock has milliseconds


def _by(rows: Iterable[Row], name: str) -> Mapping[Any, list[Row]]:
    found: dict[Any, list[Row]] = defaultdict(list)
    for row in rows:
        found[row[name]].append(row)
    return found


def _repeated(values: Iterable[Any]) -> list[Any]:
    return [value for value, count in Counter(values).items() if count > 1]


def conversations_of(driver: Driver, books: Books) -> Mapping[str, int]:
    """Chat -> conversation, by what was posted there."""
    rows = {row["event_key"]: row["conversation_id"] for row in books.inbox}
    return {post.chat: rows[post.key] for post in driver.posts if post.key in rows}


def lost(driver: Driver, books: Books) -> list[str]:
    """Acknowledged and not there; or there, and nobody will ever answer it."""
    there = {row["event_key"] for row in books.inbox}
    with_bot = {row["id"] for row in books.conversation if row["state"] == "bot"}
    gone = [f"{post.key} of {post.chat} was acknowledged and has no row" for post in driver.posts if _gone(post, there)]
    left = [row for row in books.inbox if row["disposition"] == "open" and row["conversation_id"] in with_bot]
    return gone + [f"inbox {row['id']} of conversation {row['conversation_id']} is still open" for row in left]


def _gone(post: Any, there: set[str]) -> bool:
    return post.acked is not None and post.key not in there


def never_sent(driver: Driver, books: Books) -> list[str]:
    """Outgoing messages that are neither delivered, nor replaced, nor held for a reason."""
    stuck = [row for row in books.outbox if row["state"] in (*WAITING, "dead")]
    return [f"outbox {row['id']} ended as {row['state']}: {row['reason']}" for row in stuck]


def doubled_effects(driver: Driver, books: Books) -> list[str]:
    """An event stored twice, a message answered twice, an answer written twice, a complaint filed twice."""
    events = _repeated((row["account_id"], row["event_key"]) for row in books.inbox)
    replies = _repeated((row["key"], row["part"]) for row in books.outbox)
    return [
        *(f"event {key} has two rows" for _, key in events),
        *(f"outbox has {key} part {part} twice" for key, part in replies),
        *_overlapping("answered by turns", [row for row in books.turn if row["state"] == "done"]),
        *_overlapping("filed in complaints", books.complaint_link),
        *(f"turn {turn} filed two complaints" for turn in _repeated(row["turn_id"] for row in books.complaint)),
    ]


def _overlapping(what: str, ranges: Sequence[Row]) -> list[str]:
    """Rows with first_sequence and last_sequence that share a message."""
    found = []
    for conversation_id, rows in _by(ranges, "conversation_id").items():
        for a, b in pairwise(sorted(rows, key=lambda row: (row["first_sequence"], row["id"]))):
            if b["first_sequence"] <= a["last_sequence"]:
                found.append(f"message {b['first_sequence']} of conversation {conversation_id} is twice {what}")
    return found


def doubled_deliveries(driver: Driver, books: Books) -> list[str]:
    """A row that reached its customer twice, or something that no row accounts for."""
    twice = _repeated((one.chat, one.number) for one in driver.streamed)
    found = [f"{chat} got stream number {number} twice" for chat, number in twice]
    for chat, arrivals, rows in _emulated(driver, books):
        known = {row["platform_id"] for row in rows if row["state"] == "sent"}
        doubtful = Counter(row["text"] for row in rows if row["state"] == "uncertain")
        for text in (one.text for one in arrivals if str(one.number) not in known):
            doubtful[text] -= 1
            if doubtful[text] < 0:
                found.append(f"{chat} got a message that no row accounts for: {text[:40]!r}")
    return found


def undelivered(driver: Driver, books: Books) -> list[str]:
    """Marked as sent, and not on the customer's screen."""
    seen = {(one.chat, one.number) for one in (*driver.streamed, *driver.arrived)}
    rows = _by(books.outbox, "conversation_id")
    found = []
    for chat, conversation_id in conversations_of(driver, books).items():
        for row in rows[conversation_id]:
            number = row["stream"] if row["stream"] is not None else int(row["platform_id"] or 0)
            if row["state"] == "sent" and (chat, number) not in seen:
                found.append(f"outbox {row['id']} is marked as sent and {chat} has not got it")
    return found


def _emulated(driver: Driver, books: Books) -> list[tuple[str, list[Delivery], list[Row]]]:
    """Per Telegram chat: what arrived, in order, and its outbox rows."""
    arrivals: dict[str, list[Delivery]] = defaultdict(list)
    for one in driver.arrived:
        arrivals[one.chat].append(one)
    rows = _by(books.outbox, "conversation_id")
    of = conversations_of(driver, books)
    return [(chat, came, rows[of[chat]] if chat in of else []) for chat, came in arrivals.items()]


def disorder(driver: Driver, books: Books) -> list[str]:
    """Messages, turns, stream numbers or arrivals that changed places."""
    return [
        *_gaps("sequence", books.inbox),
        *_gaps("stream", [row for row in books.outbox if row["stream"] is not None]),
        *_posts_overtaken(driver, books),
        *_turns_overtaken(books),
        *_streams_overtaken(driver),
        *_arrivals_overtaken(driver, books),
    ]


def _gaps(name: str, rows: Sequence[Row]) -> list[str]:
    found = []
    for conversation_id, its in _by(rows, "conversation_id").items():
        numbers = sorted(row[name] for row in its if row[name] is not None)
        if conversation_id is not None and numbers != list(range(1, len(numbers) + 1)):
            found.append(f"{name} numbers of conversation {conversation_id} have gaps: {numbers}")
    return found


def _posts_overtaken(driver: Driver, books: Books) -> list[str]:
    """What was posted after an acknowledgement has the higher sequence number."""
    sequence = {row["event_key"]: row["sequence"] for row in books.inbox}
    posts: dict[str, list[Any]] = defaultdict(list)
    for post in driver.posts:
        if post.key in sequence:
            posts[post.chat].append(post)
    return [
        f"{b.key} of {chat} was posted after {a.key} was acknowledged and comes before it"
        for chat, its in posts.items()
        for a, b in pairwise(sorted(its, key=lambda post: post.began))
        if a.acked is not None and a.acked < b.began and sequence[a.key] > sequence[b.key]
    ]


def _turns_overtaken(books: Books) -> list[str]:
    done = [row for row in books.turn if row["state"] == "done"]
    return [
        f"turn {b['id']} of conversation {conversation_id} was done before turn {a['id']}"
        for conversation_id, rows in _by(done, "conversation_id").items()
        for a, b in pairwise(sorted(rows, key=lambda row: (row["first_sequence"], row["id"])))
        if a["finished_at"] > b["finished_at"]
    ]


def _streams_overtaken(driver: Driver) -> list[str]:
    streams: dict[str, list[int]] = defaultdict(list)
    for one in driver.streamed:
        streams[one.chat].append(one.number)
    return [f"{chat} got its stream as {numbers}" for chat, numbers in streams.items() if numbers != sorted(numbers)]


def _arrivals_overtaken(driver: Driver, books: Books) -> list[str]:
    found = []
    episodes = _by(books.episode, "conversation_id")
    for chat, arrivals, rows in _emulated(driver, books):
        by_id = {row["platform_id"]: row for row in rows if row["state"] == "sent"}
        came = [by_id[str(one.number)] for one in arrivals if str(one.number) in by_id]
        found += [
            f"{chat} got outbox {after['id']} before {before['id']}"
            for place, after in enumerate(came)
            for before in came[place + 1 :]
            if before["id"] < after["id"] and not _may_overtake(after, before, episodes[before["conversation_id"]])
        ]
    return found


def _may_overtake(after: Row, before: Row, episodes: Sequence[Row]) -> bool:
    """A notice waits while an agent answers; the repeat of an uncertain receipt goes first."""
    if after["topic"] == "receipt_repeat" or before["topic"] == "receipt_repeat":
        return True
    if before["class_"] != "notice":
        return False
    agents = [row for row in episodes if row["state"] == "agent"]
    return any(row["started_at"] < before["sent_at"] and _ends(row, episodes) > before["created_at"] for row in agents)


def _ends(one: Row, episodes: Sequence[Row]) -> float:
    return min((row["started_at"] for row in episodes if row["epoch"] > one["epoch"]), default=float("inf"))


def bot_after_claim(driver: Driver, books: Books) -> list[str]:
    """Messages of any class but `agent` between a clean claim's answer and the agent's letting go.

    On the web chat "sent" means committed to the stream; at Telegram the emulator's clock counts.
    """
    chats = {conversation_id: chat for chat, conversation_id in conversations_of(driver, books).items()}
    arrivals = _by((vars(one) for one in driver.arrived), "chat")
    rows = _by(books.outbox, "conversation_id")
    found = []
    for claim in (one for one in driver.claims if one.clean):
        its = rows[claim.conversation_id]
        came = [*_streamed_by_bot(its), *_arrived_from_bot(its, arrivals[chats.get(claim.conversation_id, "")])]
        found += [
            f"conversation {claim.conversation_id} got {what!r} {at - claim.returned:.3f} s after a clean claim"
            for at, what in came
            if claim.returned < at < claim.until
        ]
    return found


def _streamed_by_bot(rows: Sequence[Row]) -> list[tuple[float, str]]:
    bots = [row for row in rows if row["stream"] is not None and row["class_"] != "agent"]
    return [(row["sent_at"], row["text"][:40]) for row in bots]


def _arrived_from_bot(rows: Sequence[Row], arrivals: Sequence[Row]) -> list[tuple[float, str]]:
    """Also what the database is not certain of, hence by the text."""
    agents = {row["text"] for row in rows if row["class_"] == "agent"}
    return [(one["at"], one["text"][:40]) for one in arrivals if one["text"] not in agents]


def out_of_state(driver: Driver, books: Books) -> list[str]:
    """Messages of the bot that left us while somebody else answered (DESIGN, section 6), or of a stretch that was over."""
    episodes = _by(books.episode, "conversation_id")
    found = []
    for row in (row for row in books.outbox if row["state"] in _TOLD and row["class_"] != "agent"):
        left = row["sending_at"] or row["sent_at"]
        begun = [one for one in episodes[row["conversation_id"]] if one["started_at"] < left - _CLOCK]
        now = max(begun, key=lambda one: one["epoch"], default=None)
        if now is not None and _out_of_place(row, now):
            found.append(
                f"outbox {row['id']} ({row['class_']}, epoch {row['epoch']}) left in {now['state']}, epoch {now['epoch']}"
            )
    return found


def _out_of_place(row: Row, now: Row) -> bool:
    stale = row["class_"] == "turn" and row["epoch"] < now["epoch"]
    return stale or row["class_"] in _NOT_WHILE.get(now["state"], ())


def swallowed(driver: Driver, books: Books) -> list[str]:
    """Filed complaints whose receipt has neither reached the customer nor may have."""
    told = {row["key"] for row in books.outbox if row["state"] in _TOLD}
    return [
        f"complaint {row['id']} has no receipt" for row in books.complaint if f"notice:receipt:{row['id']}" not in told
    ]


def wrong_tickets(driver: Driver, books: Books) -> list[str]:
    """One complaint, one ticket: at the desk and on our side."""
    ours = Counter(row["complaint_id"] for row in books.ticket if row["state"] == "open")
    desk = Counter(row["reference"] for row in books.local_ticket)
    found = [
        f"complaint {row['id']} has {ours[row['id']]} open tickets here and {desk[row['reference']]} at the desk"
        for row in books.complaint
        if (ours[row["id"]], desk[row["reference"]]) != (1, 1)
    ]
    strange = set(desk) - {row["reference"] for row in books.complaint}
    return found + [f"ticket {reference} at the desk is of no complaint" for reference in sorted(strange)]


Check = Callable[[Driver, Books], list[str]]

# What a run prints; each has a planted violation in test_checker.py.
CHECKS: Mapping[str, Check] = {
    "lost": lost,
    "never sent": never_sent,
    "doubled effects": doubled_effects,
    "doubled deliveries": doubled_deliveries,
    "undelivered": undelivered,
    "order violations": disorder,
    "bot after a clean claim": bot_after_claim,
    "out of state": out_of_state,
    "receipts swallowed": swallowed,
    "wrong tickets": wrong_tickets,
}


@dataclass(frozen=True)
class Report:
    """The figures of a run, and everything that is wrong with it."""

    figures: Mapping[str, object]
    wrong: Mapping[str, list[str]]

    def red(self) -> list[str]:
        return [f"{name}: {sentence}" for name, sentences in self.wrong.items() for sentence in sentences]

    def __str__(self) -> str:
        counts = {name: len(sentences) for name, sentences in self.wrong.items()}
        return "\n".join(f"  {name:.<28} {value}" for name, value in {**self.figures, **counts}.items())


def check(driver: Driver, books: Books) -> Report:
    states = Counter(row["state"] for row in books.outbox)
    figures: dict[str, object] = {
        "events": len(driver.posts),
        "accepted": sum(post.acked is not None for post in driver.posts),
        "posted again": sum(max(0, post.copies - 1) for post in driver.posts),
        "turns done": sum(row["state"] == "done" for row in books.turn),
        "turns stale": sum(row["state"] == "stale" for row in books.turn),
        "turns dead": sum(row["state"] == "dead" for row in books.turn),
        "messages sent": states["sent"],
        "sends uncertain": states["uncertain"],
        "superseded": states["superseded"],
        "claims clean": sum(claim.clean for claim in driver.claims),
        "claims uncertain": sum(not claim.clean for claim in driver.claims),
        "tickets expected": len(books.complaint),
        "tickets created": len(books.local_ticket),
    }
    return Report(figures, {name: look(driver, books) for name, look in CHECKS.items()})
