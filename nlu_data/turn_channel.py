"""The one door into Rasa: a turn as JSON in, replies, commands and the new state out; nothing is kept in between.

The wire is described in README.md. Each request brings the dialogue state, gets a tracker of its own for the length of
the request, and takes the new state away: any Rasa process can answer any turn, and the same request gives the same answer.
"""

from __future__ import annotations

import json
import logging
import time
import uuid
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from rasa.core.channels.channel import CollectingOutputChannel, UserMessage
from rasa.core.lock_store import InMemoryLockStore
from rasa.core.nlg.response import TemplatedNaturalLanguageGenerator
from rasa.core.processor import MessageProcessor
from rasa.core.tracker_store import TrackerStore
from rasa.shared.core.domain import Domain
from rasa.shared.core.events import ActionExecuted, ActiveLoop, Event, SlotSet
from rasa.shared.core.trackers import DialogueStateTracker
from rasa.utils.endpoints import EndpointConfig
from sanic import Blueprint, response
from sanic.request import Request
from sanic.response import HTTPResponse

from nlu_data.wording import harmless, has_words

Json = dict[str, Any]

log = logging.getLogger("tingsu.rasa")

ACTION_SECONDS = 5.0
"""How long the action server may take for one action before the turn counts as failed."""

_INTENT_OF_TAP = {
    "affirm": "affirm", "deny": "deny", "skip": "skip", "cancel": "cancel", "status": "complaint_status",
    "complain": "complain", "human": "ask_human", "category": "complain", "urge": "urge", "add": "add_information",
    "withdraw": "withdraw", "solved": "resolved", "unsolved": "not_resolved",
}  # fmt: skip
_FALLBACKS = ("action_fallback", "action_default_fallback")
_MISREAD = "nlu_fallback"
_PICTURE = "evidence"  # intent of a picture without words
_FREE_ANSWER = frozenset({"skip", "cancel", "human"})  # buttons beside a question that is answered in words


class BadTurn(ValueError):
    """The request is not a turn; the message says why, without quoting the customer."""


@dataclass(frozen=True)
class TurnRequest:
    """A checked request."""

    turn_id: str
    text: str | None
    payload: str | None
    state: Json
    outside: Json


class _Scene:
    """What belongs to one request: its tracker, and whether an action failed."""

    def __init__(self) -> None:
        self.tracker: DialogueStateTracker | None = None
        self.failure: str | None = None


_scene: ContextVar[_Scene] = ContextVar("scene")


class RequestTrackers(TrackerStore):  # type: ignore[misc]  # Rasa is untyped here
    """A tracker store that knows the request's own tracker and nothing else."""

    async def retrieve(self, sender_id: str) -> DialogueStateTracker | None:
        return _scene.get().tracker

    async def save(self, tracker: DialogueStateTracker) -> None:
        _scene.get().tracker = tracker


class ActionServer(EndpointConfig):  # type: ignore[misc]  # Rasa is untyped here
    """The action server's address; remembers failures, which Rasa itself would swallow."""

    async def request(self, *args: Any, **kwargs: Any) -> Any:
        kwargs["timeout"] = ACTION_SECONDS
        try:
            return await super().request(*args, **kwargs)
        except BaseException as error:
            _scene.get().failure = f"action server: {type(error).__name__}"
            raise


class Understanding:
    """The loaded model with the request-scoped tracker store around it."""

    def __init__(self, model: Path, actions_url: str) -> None:
        endpoint = ActionServer(url=actions_url, enable_selective_domain=True)
        self._processor = MessageProcessor(
            model_path=str(model),
            tracker_store=RequestTrackers(Domain.empty()),
            lock_store=InMemoryLockStore(),
            generator=TemplatedNaturalLanguageGenerator({}),
            action_endpoint=endpoint,
        )
        self._domain: Domain = self._processor.domain
        self._processor.nlg = TemplatedNaturalLanguageGenerator(self._domain.responses)

    async def turn(self, request: TurnRequest) -> Json:
        """The answer to one turn; whatever goes wrong inside is told as `failed`."""
        scene = _Scene()
        _scene.set(scene)
        parsed = await self._parsed(request)
        try:
            sent = await self._talk(scene, request, parsed)
        except Exception as error:  # the turn must come back as failed, whatever Rasa stumbled over
            scene.failure = scene.failure or f"exception: {type(error).__name__}"
            sent = []
        replies, commands = _sorted_out(sent)
        if replies and scene.tracker is not None and scene.tracker.get_slot("plain"):
            replies[-1] = _plain(replies[-1])
        if scene.failure is None and not replies and not commands:
            scene.failure = "empty"
        if scene.failure:
            log.warning("turn failed", extra={"turn_id": request.turn_id, "reason": scene.failure})
            return _answer(request, scene.failure, [], [], request.state, parsed)
        return _answer(request, None, replies, commands, self._state(scene.tracker), parsed)

    async def parse(self, text: str, outside: Json) -> Json:
        """What the model reads in one text; a text without a single word is not given to the model."""
        if not has_words(text):
            return {"intent": {"name": None, "confidence": 0.0}, "entities": [], "category": None, "categories": [],
                    "signals": {"anger": 0.0, "sentiment": 0.0, "wants_human": False, "threatens": False}}  # fmt: skip
        safe = harmless(text)
        parsed: Json = await self._processor.parse_message(UserMessage(safe, sender_id="parse", metadata=outside))
        lead = len(safe) - len(safe.lstrip())  # Rasa strips the text and counts from there
        for entity in parsed.get("entities") or []:
            entity["start"], entity["end"] = entity["start"] + lead, entity["end"] + lead
        return parsed

    async def _parsed(self, request: TurnRequest) -> Json:
        if request.payload is None:
            parsed = await self.parse(request.text or "", request.outside)
            if parsed["intent"]["name"] is None:
                picture_alone = request.outside["attachments"] and not request.text
                parsed["intent"]["name"] = _PICTURE if picture_alone else _MISREAD
        else:
            name = _INTENT_OF_TAP.get(request.payload.partition(":")[0], "choose")
            parsed = {"intent": {"name": name, "confidence": 1.0}, "entities": [], "category": None, "categories": [],
                      "signals": {"anger": 0.0, "sentiment": 0.0, "wants_human": name == "ask_human", "threatens": False}}  # fmt: skip
        return {**parsed, "text": request.text or "", "metadata": {**request.outside, "payload": request.payload}}

    async def _talk(self, scene: _Scene, request: TurnRequest, parsed: Json) -> list[Json]:
        sender = uuid.uuid4().hex
        scene.tracker = self._tracker(sender, request.state)
        channel = CollectingOutputChannel()
        message = UserMessage(request.text or "", channel, sender, parse_data=parsed, metadata=parsed["metadata"])
        await self._processor.handle_message(message)
        return [row["custom"] for row in channel.messages if isinstance(row.get("custom"), dict)]

    def _tracker(self, sender: str, state: Json) -> DialogueStateTracker:
        """A tracker that stands where the state says: slots set, form active, listening."""
        slots = {name: value for name, value in state.get("slots", {}).items() if name in self._slot_names()}
        form = state.get("active_form")
        events: list[Event] = [SlotSet(name, value) for name, value in slots.items()]
        if form in self._domain.form_names:
            events += [ActionExecuted(form), ActiveLoop(form), SlotSet("requested_slot", slots.get("requested_slot"))]
        events.append(ActionExecuted("action_listen"))
        return DialogueStateTracker.from_events(sender, events, self._domain.slots)

    def _slot_names(self) -> set[str]:
        return {slot.name for slot in self._domain.slots}

    def _state(self, tracker: DialogueStateTracker | None) -> Json:
        if tracker is None:
            return {}
        slots = {name: slot.value for name, slot in tracker.slots.items() if slot.value is not None}
        form = tracker.active_loop_name
        if form is None and not _fell_back(tracker):
            slots.pop("failures", None)
        return {
            "slots": slots,
            "active_form": form,
            "question": slots.get("requested_slot") if form else None,
            "failures": int(slots.get("failures") or 0),
        }


def _fell_back(tracker: DialogueStateTracker) -> bool:
    return any(isinstance(event, ActionExecuted) and event.action_name in _FALLBACKS for event in tracker.events)


def _sorted_out(sent: list[Json]) -> tuple[list[Json], list[Json]]:
    """Replies and commands; only the last reply keeps its buttons, since they answer the open question."""
    replies = [_reply(row["reply"]) for row in sent if "reply" in row]
    commands = [
        {"name": row["command"]["name"], "args": row["command"].get("args") or {}} for row in sent if "command" in row
    ]
    for reply in replies[:-1]:
        reply["buttons"] = []
    return replies, commands


def _plain(reply: Json) -> Json:
    """Numbers in place of buttons, a person first; beside a question in words only the number that skips it."""
    buttons = [one for one in reply["buttons"] if one["payload"] == "human"]
    buttons += [one for one in reply["buttons"] if one["payload"] != "human"]
    if all(one["payload"] in _FREE_ANSWER for one in buttons):
        buttons = [one for one in buttons if one["payload"] == "skip"]
    if not buttons:
        return {**reply, "buttons": []}
    args = {**reply["args"], "numbered": True}
    return {**reply, "buttons": buttons, "args": args, "question": reply["question"] or "menu"}


def _reply(row: Json) -> Json:
    """Domain responses name buttons by payload alone; actions send them whole."""
    buttons = [
        item if isinstance(item, dict) else {"payload": item, "key": f"button.{item}"}
        for item in row.get("buttons") or []
    ]
    return {"key": row["key"], "args": row.get("args") or {}, "question": row.get("question"), "buttons": buttons}


def _answer(
    request: TurnRequest, failure: str | None, replies: list[Json], commands: list[Json], state: Json, parsed: Json
) -> Json:
    intent = best_intent(parsed)
    return {
        "turn_id": request.turn_id,
        "failed": failure is not None,
        "reason": failure,
        "replies": replies,
        "commands": commands,
        "state": state,
        "intent": intent,
        "category": parsed.get("category"),
        "categories": leaves(parsed),
        "entities": parsed.get("entities") or [],
        "signals": parsed.get("signals"),
    }


def best_intent(parsed: Json) -> Json:
    """The best of our own labels, also where the model was too unsure to act on it."""
    named = [parsed.get("intent") or {}, *(parsed.get("intent_ranking") or [])]
    real = next((row for row in named if row.get("name") not in (None, _MISREAD)), None)
    if real is None:
        return {"name": None, "confidence": 0.0}
    return {"name": real["name"], "confidence": round(float(real.get("confidence") or 0), 4)}


def leaves(parsed: Json) -> list[Json]:
    """The ranked categories, without the class that stands for "no topic"."""
    return [row for row in parsed.get("categories") or [] if row["category"] != "none"]


def checked(body: bytes) -> TurnRequest:
    """The request as a turn. Raises BadTurn with the reason."""
    try:
        raw = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise BadTurn("body is no JSON") from error
    if not isinstance(raw, dict):
        raise BadTurn("body is no object")
    text, payload, state = raw.get("text"), raw.get("payload"), raw.get("state") or {}
    if (text is None) == (payload is None):
        raise BadTurn("exactly one of text and payload is needed")
    if not isinstance(text or payload or "", str):
        raise BadTurn("text and payload are strings")
    if not isinstance(state, dict) or not isinstance(state.get("slots", {}), dict):
        raise BadTurn("state is an object with slots")
    return TurnRequest(_turn_id(raw), text, payload, state, _outside(raw))


def _turn_id(raw: Json) -> str:
    turn_id = raw.get("turn_id")
    if not isinstance(turn_id, str) or not turn_id:
        raise BadTurn("turn_id is missing")
    return turn_id


def _outside(raw: Json) -> Json:
    """What the model and the actions need from outside: clock, zone, language, attachments, context."""
    language, attachments, context = raw.get("language", "zh"), raw.get("attachments", 0), raw.get("context") or {}
    if language not in ("zh", "en"):
        raise BadTurn("language is zh or en")
    if not isinstance(attachments, int) or not isinstance(context, dict):
        raise BadTurn("attachments is a number, context an object")
    zone = raw.get("timezone") or "Asia/Shanghai"
    return {"now": _aware(raw.get("now")), "timezone": _zone(zone), "language": language, "attachments": attachments,
            "context": context}  # fmt: skip


def _aware(written: Any) -> str:
    try:
        moment = datetime.fromisoformat(str(written).replace("Z", "+00:00"))
    except ValueError as error:
        raise BadTurn("now is no ISO-8601 time") from error
    if moment.tzinfo is None:
        raise BadTurn("now has no time zone")
    return moment.isoformat()


def _zone(name: Any) -> str:
    from zoneinfo import ZoneInfo

    try:
        ZoneInfo(name)
    except (KeyError, ValueError, TypeError, OSError) as error:
        raise BadTurn("timezone is unknown") from error
    return str(name)


def blueprint(model_hash: str) -> Blueprint:
    """The two addresses: `POST /webhooks/turn/` and `GET /webhooks/turn/health`; the model is `app.ctx.understanding`."""
    door = Blueprint("turn", url_prefix="/webhooks/turn")

    @door.get("/health")
    async def health(_: Request) -> HTTPResponse:
        return response.json({"status": "ok", "model": model_hash})

    @door.post("/")
    async def turn(request: Request) -> HTTPResponse:
        started = time.monotonic()
        try:
            wanted = checked(request.body)
        except BadTurn as error:
            return response.json({"error": str(error)}, status=400)
        answer = await request.app.ctx.understanding.turn(wanted)
        log.info("turn", extra={"turn_id": wanted.turn_id, "ms": round(1000 * (time.monotonic() - started), 1)})
        return response.json(answer, dumps=json.dumps)

    return door
