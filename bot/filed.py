"""What customers do with a complaint that is filed: add, urge, withdraw, say whether it is solved, rate.

The desk owns the state: everything here is a wish to the desk (`desk_action`), written with the turn and carried out by
bot/desk_work.py. Every method acts on a complaint that is the speaker's own or proven, and says what was done.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, time
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import Connection

from bot import facts
from bot.complaint import Complaints
from bot.desk import FINAL_STATES, TicketState
from bot.drafts import Draft
from bot.replies import Reply, reply
from bot.store import complaints as store
from bot.store import conversations, desk_actions, ratings
from bot.store import facts as fact_store
from bot.store.complaints import Complaint
from bot.store.conversations import Conversation
from bot.store.turns import TurnRow

URGES_PER_DAY = 1  # per complaint and calendar day: one is heard, ten would be noise to the desk
PRESSING_FROM = 3  # so many urges make an ordinary complaint a pressing one (reference/nlu.md 5.5)
LONGEST_ADDITION = 2_000  # characters of one message that go into the complaint
_SOLVED = frozenset({TicketState.RESOLVED.value, TicketState.CLOSED.value})
_REASON_LABELS = frozenset({"speed", "result", "attitude", "clarity"})


@dataclass(frozen=True)
class Wish:
    """One command about one complaint. `args` are the command's, checked by whoever reads them."""

    conversation: Conversation
    turn: TurnRow
    complaint: Complaint
    args: Mapping[str, Any]

    @property
    def text(self) -> str:
        return str(self.args.get("text") or "").strip()[:LONGEST_ADDITION]


class Filed:
    """`wishes` maps a command's name to what carries it out; each gives the replies that tell it."""

    def __init__(self, complaints: Complaints, zone: ZoneInfo) -> None:
        self._complaints = complaints
        self._zone = zone
        self.wishes: Mapping[str, Callable[[Connection, Wish], list[Reply]]] = {
            "add_information": self._add,
            "urge": self._urge,
            "withdraw": self._withdraw,
            "reopen": self._reopen,
            "confirm_solved": self._confirm_solved,
            "rate": self._rate,
            "explain_rating": self._explain_rating,
        }

    def carry_out(
        self, db: Connection, name: str, conversation: Conversation, turn: TurnRow, args: Mapping[str, Any]
    ) -> list[Reply]:
        """What to answer; a complaint that is neither the speaker's nor proven looks like one that is not there."""
        typed = str(args.get("reference") or "")
        found = self._complaints.proof.find(db, conversation, typed, args.get("receipt_code")) if typed else None
        if found is None:
            return [reply("status.unknown" if typed else "status.none", ["human"])]
        locked = store.lock(db, found.id)
        return self.wishes[name](db, Wish(conversation, turn, locked, args))

    def _add(self, db: Connection, wish: Wish) -> list[Reply]:
        """Words go into the complaint's fields, files are linked by their messages, the desk gets a comment."""
        found, files = wish.complaint, wish.turn.attachments
        if not wish.text and not files:
            return []
        if wish.text:
            added = "\n".join(filter(None, (str(found.fields.get("added") or ""), wish.text)))
            store.change(db, found.id, fields={**found.fields, "added": added})
        store.link(db, found.id, wish.conversation.id, wish.turn.first_sequence, wish.turn.last_sequence)
        self._tell_desk(db, wish, "desk.added", text=wish.text, files=files or "")
        if found.state == TicketState.PENDING:
            self._ask_for_state(db, wish, TicketState.IN_PROGRESS)
        self._record(db, "complaint.added", wish, files=files)
        key = "added.files" if files and not wish.text else "added.done"
        return [reply(key, reference=found.reference, category=found.category)]

    def _urge(self, db: Connection, wish: Wish) -> list[Reply]:
        found = wish.complaint
        if TicketState(found.state) in FINAL_STATES or found.state in _SOLVED:
            return [self._state_says(found, "urge.over")]
        today = self._urges(db, found, since=self._midnight(db))
        if today >= URGES_PER_DAY:
            return [reply("urge.today", ["human"], reference=found.reference, due_at=found.due_at.isoformat())]
        count = self._urges(db, found) + 1
        self._tell_desk(db, wish, "desk.urged", count=count, due_at=found.due_at.isoformat())
        self._record(db, "complaint.urged", wish, count=count)
        if count >= PRESSING_FROM and found.severity == "normal":
            store.change(db, found.id, severity="medium")
        due = found.due_at.isoformat()
        return [reply("urge.done", reference=found.reference, count=count, state=found.state, due_at=due)]

    def _withdraw(self, db: Connection, wish: Wish) -> list[Reply]:
        """The dialogue has asked once; the desk says when it is done."""
        found = wish.complaint
        if TicketState(found.state) in FINAL_STATES:
            return [self._state_says(found, "withdraw.over")]
        if desk_actions.state_wanted(db, found.id) != TicketState.CANCELLED:
            self._tell_desk(db, wish, "desk.withdrawn", text=wish.text)
            self._ask_for_state(db, wish, TicketState.CANCELLED)
            self._record(db, "complaint.withdrawn", wish)
        return [reply("withdraw.done", reference=found.reference)]

    def _reopen(self, db: Connection, wish: Wish) -> list[Reply]:
        """A result can be refused; a closed ticket stays closed, so its complaint goes on as a new one."""
        found = wish.complaint
        if found.state == TicketState.CLOSED:
            return self._file_again(db, wish)
        if found.state != TicketState.RESOLVED:
            return [self._state_says(found, "reopen.over")]
        self._tell_desk(db, wish, "desk.reopened", text=wish.text)
        self._ask_for_state(db, wish, TicketState.IN_PROGRESS)
        self._record(db, "complaint.reopened", wish)
        return [reply("reopen.done", reference=found.reference, due_at=found.due_at.isoformat())]

    def _file_again(self, db: Connection, wish: Wish) -> list[Reply]:
        found = wish.complaint
        words = "\n".join(filter(None, (wish.text, str(found.fields.get("what") or ""))))
        draft = Draft(
            category=found.category,
            fields={**found.fields, "what": words},
            first_sequence=wish.turn.first_sequence,
            last_sequence=wish.turn.last_sequence,
            received_at=wish.turn.received_at,
            complete=True,
            parent_id=found.id,
        )
        self._complaints.file(db, wish.conversation, draft, wish.turn.id)
        self._record(db, "complaint.reopened", wish)
        return [reply("reopen.again", reference=found.reference)]

    def _confirm_solved(self, db: Connection, wish: Wish) -> list[Reply]:
        """`solved.done` is followed by the question for a score, which the dialogue asks."""
        found = wish.complaint
        if not fact_store.count_since(db, "complaint.confirmed", found.filed_at, complaint_id=found.id):
            self._tell_desk(db, wish, "desk.solved", text=wish.text)
            self._record(db, "complaint.confirmed", wish, state=found.state)
        if found.state in _SOLVED:
            return [reply("solved.done", reference=found.reference)]
        return [reply("solved.early", [f"withdraw:{found.reference}"], reference=found.reference)]

    def _rate(self, db: Connection, wish: Wish) -> list[Reply]:
        found, score = wish.complaint, wish.args.get("score")
        if not isinstance(score, int) or not 1 <= score <= 5:
            raise ValueError("a score is 1 to 5")
        if found.state not in _SOLVED:
            return [reply("rate.early", reference=found.reference)]
        if not ratings.give(db, found.id, score):
            return [reply("rate.already", reference=found.reference)]
        self._tell_desk(db, wish, "desk.rated", score=score)
        self._record(db, "complaint.rated", wish, score=score)
        return [reply("rate.thanks", score=score)]

    def _explain_rating(self, db: Connection, wish: Wish) -> list[Reply]:
        label = str(wish.args.get("label") or "")
        given = label if label in _REASON_LABELS else wish.text
        if given and ratings.explain(db, wish.complaint.id, given):
            self._record(
                db, "complaint.rating_explained", wish, label=label if label in _REASON_LABELS else "own words"
            )
        return [reply("rate.explained")]

    def _state_says(self, found: Complaint, key: str) -> Reply:
        """The wish does not fit the state: said with the state, never argued."""
        return reply(key, ["human"], reference=found.reference, state=found.state)

    def _tell_desk(self, db: Connection, wish: Wish, text_key: str, **args: Any) -> None:
        key = f"{text_key}:{wish.turn.id}:{wish.complaint.id}"
        desk_actions.want(db, wish.complaint.id, key, text_key, args)

    def _ask_for_state(self, db: Connection, wish: Wish, state: TicketState) -> None:
        key = f"state:{wish.turn.id}:{wish.complaint.id}"
        desk_actions.want(db, wish.complaint.id, key, "", {}, to_state=state.value)

    def _record(self, db: Connection, kind: str, wish: Wish, **refs: Any) -> None:
        facts.record(
            db, kind, actor="customer", conversation_id=wish.conversation.id, complaint_id=wish.complaint.id, **refs
        )

    def _urges(self, db: Connection, found: Complaint, since: datetime | None = None) -> int:
        return fact_store.count_since(db, "complaint.urged", since or found.received_at, complaint_id=found.id)

    def _midnight(self, db: Connection) -> datetime:
        today = conversations.now(db).astimezone(self._zone).date()
        return datetime.combine(today, time(), self._zone)
