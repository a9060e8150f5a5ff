"""Changing a complaint's state from the console, with a note that the customer reads."""

from flask import Blueprint, abort, request
from werkzeug.wrappers import Response

from bot.desk import TicketState
from bot.errors import DeskDown, DeskRefused, DeskUncertain, Throttled
from bot.store import complaints as store
from console import access
from console.chat import Banner, answer
from console.page import product

routes = Blueprint("complaints", __name__)

LONGEST_NOTE = 1_000  # characters
# The customer cannot act on these without a word of ours.
NEEDS_NOTE = frozenset({TicketState.PENDING, TicketState.REJECTED})


@routes.post("/complaints/<id:complaint_id>/state")
def state(complaint_id: int) -> Response:
    with product().database.read() as db:
        conversation_id = store.conversation_of(db, complaint_id)
    if conversation_id is None:
        abort(404)
    wanted, note = _wanted(), request.form.get("note", "").replace("\x00", "").strip()
    problem = _problem(wanted, note)
    if wanted is None or problem:
        return answer(conversation_id, Banner(f"state.{problem}"), 400)
    return answer(conversation_id, *_set(complaint_id, wanted, note))


def _wanted() -> TicketState | None:
    try:
        return TicketState(request.form.get("state", ""))
    except ValueError:
        return None


def _problem(wanted: TicketState | None, note: str) -> str:
    if wanted is None:
        return "missing"
    if wanted in NEEDS_NOTE and not note:
        return "note_missing"
    return "note_long" if len(note) > LONGEST_NOTE else ""


def _set(complaint_id: int, wanted: TicketState, note: str) -> tuple[Banner, int]:
    """The desk owns the state: what it says is what people read."""
    try:
        product().complaints.set_state(complaint_id, wanted, note, access.user())
    except (DeskDown, Throttled):
        return Banner("state.desk_down"), 503
    except DeskUncertain:
        return Banner("state.desk_uncertain"), 502
    except DeskRefused:
        return Banner("state.desk_refused"), 409
    return Banner("state.done", good=True), 200
