"""A messaging platform behind real HTTP, in the Bot API's words, with a ledger by arrival and every way to fail."""

import itertools
import threading
import time
from collections import defaultdict
from dataclasses import dataclass

from tests.chaos.wire import Call, Reply

_REFUSALS = {
    "400": "Bad Request: message is too long",
    "403": "Forbidden: bot was blocked by the user",
    "429": "Too Many Requests: retry after 1",
    "500": "Internal Server Error",
    "502": "Bad Gateway",
    "503": "Service Unavailable",
}
_LOST = {"hang": False, "reset": False, "delivered then hang": True, "delivered then reset": True}


@dataclass(frozen=True)
class Sent:
    """A line of the ledger: one sendMessage, when it came, and whether the customer has got it."""

    at: float
    chat: str
    text: str
    delivered: bool


class Platform:
    """`plan` holds what the next messages to a chat meet; `always` what all of them do."""

    def __init__(self) -> None:
        self.ledger: list[Sent] = []
        self.plan: dict[str, list[str]] = defaultdict(list)
        self.always: dict[str, str] = {}
        self._numbers = itertools.count(1)
        self._lock = threading.Lock()

    def answer(self, call: Call) -> Reply:
        chat, text = str(call.body["chat_id"]), str(call.body["text"])
        with self._lock:
            fate = self.plan[chat].pop(0) if self.plan[chat] else self.always.get(chat, "ok")
            number = next(self._numbers)
            self.ledger.append(Sent(time.time(), chat, text, fate == "ok" or _LOST.get(fate, False)))
        if fate in _REFUSALS:
            return _refused(fate)
        if fate in _LOST:
            return Reply(lost=fate.rsplit(" ", 1)[-1])
        sent = {"message_id": number, "date": 1, "chat": {"id": int(chat), "type": "private"}, "text": text}
        return Reply(body={"ok": True, "result": sent})

    def calls(self, chat: str) -> int:
        return sum(one.chat == chat for one in self.ledger)

    def delivered(self, chat: str) -> list[str]:
        """The customer's screen."""
        return [one.text for one in self.ledger if one.chat == chat and one.delivered]


def _refused(status: str) -> Reply:
    more = {"parameters": {"retry_after": 1}} if status == "429" else {}
    return Reply(int(status), {"ok": False, "error_code": int(status), "description": _REFUSALS[status], **more})
