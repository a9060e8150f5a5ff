"""`make talk`: a conversation in the terminal, over the same path as every other channel."""

import sys
import threading
import time
from io import TextIOWrapper
from secrets import token_hex
from typing import TYPE_CHECKING, TextIO

from bot.channels.screen import tapped, typed
from bot.message import Button, Incoming
from bot.sender import labelled
from bot.store import conversations, outbox
from bot.store.outbox import OutboxRow

if TYPE_CHECKING:
    from bot.build import Product

LOOK = 0.2  # seconds between looks at the stream
HINT_AFTER = 10.0  # seconds without an answer before asking whether the product runs
PATIENCE = 60.0  # seconds that piped input waits for an answer
QUIT = "/quit"


class Talk:
    """One customer at one terminal: a new one each time, so that no run sees another's complaints."""

    def __init__(self, product: "Product", language: str, out: TextIO) -> None:
        self._product = product
        self._account = product.accounts["screen", "main"]
        self._sender = f"terminal-{token_hex(8)}"
        self._language = language
        self._out = out
        self._lock = threading.Lock()
        self._conversation_id: int | None = None
        self._seen = 0
        self._number = 0
        self._buttons: tuple[Button, ...] = ()

    def say(self, key: str, **args: object) -> None:
        """A sentence of the program's own."""
        print(self._product.texts.render(f"terminal.{key}", self._language, **args), file=self._out, flush=True)

    def take(self, line: str) -> None:
        """What the customer typed: the number of a shown button, or words."""
        self._number += 1
        key = f"{self._sender}:{self._number}"
        accepted = self._product.inbox.accept(self._account, self._incoming(key, line))
        self._conversation_id = accepted.conversation_id

    def _incoming(self, key: str, line: str) -> Incoming:
        choice = int(line) if line.isascii() and line.isdigit() and len(line) < 3 else 0
        if 0 < choice <= len(self._buttons):
            button = self._buttons[choice - 1]
            self.say("you", label=button.label)
            return tapped(self._sender, key, button.payload)
        return typed(self._sender, key, line, self._language)

    def show_new(self) -> bool:
        """Prints what has got a number in the stream since the last look; says whether there was anything."""
        if self._conversation_id is None:
            return False
        with self._lock, self._product.database.read() as db:
            current = conversations.read(db, self._conversation_id)
            rows = outbox.stream_after(db, self._conversation_id, self._seen)
            for row in rows:
                self._show(row, current.language if current else self._language)
        return bool(rows)

    def _show(self, row: OutboxRow, language: str) -> None:
        self._seen = row.stream or self._seen
        self._buttons = labelled(self._product.texts, row, language)
        name = self._product.texts.render("terminal.bot", self._language)
        print(name + row.text.replace("\n", "\n" + " " * 4), file=self._out)
        for number, button in enumerate(self._buttons, start=1):
            print(f"    [{number}] {button.label}", file=self._out)
        self._out.flush()

    def quiet(self) -> bool:
        """Whether nothing is left to answer or to send."""
        if self._conversation_id is None:
            return True
        with self._product.database.read() as db:
            current = conversations.read(db, self._conversation_id)
        return current is None or (current.work_at is None and current.send_at is None)

    def await_answer(self, seconds: float) -> bool:
        """Shows answers until nothing is left to come; False when it took too long."""
        began, hinted = time.monotonic(), False
        while not self.quiet():
            waited = time.monotonic() - began
            if waited > seconds:
                self.show_new()
                return False
            if waited > HINT_AFTER and not hinted:
                self.say("waiting")
                hinted = True
            self.show_new()
            time.sleep(LOOK)
        self.show_new()
        return True


def main(product: "Product", language: str) -> int:
    """Until /quit or the end of input. With piped input each line waits for its answer; 1 when none came."""
    if isinstance(sys.stdin, TextIOWrapper):
        sys.stdin.reconfigure(errors="replace")  # a terminal may send anything
    talk = Talk(product, language, sys.stdout)
    talk.say("welcome")
    try:
        answered = _at_terminal(talk) if sys.stdin.isatty() else _from_pipe(talk)
    except KeyboardInterrupt:
        answered = True
    talk.say("bye" if answered else "gave_up")
    return 0 if answered else 1


def _from_pipe(talk: Talk) -> bool:
    for line in sys.stdin:
        words = line.rstrip("\r\n")
        if words.strip() == QUIT:
            break
        print(f"> {words}", flush=True)
        talk.take(words)
        if not talk.await_answer(PATIENCE):
            return False
    return True


def _at_terminal(talk: Talk) -> bool:
    """Answers appear while the customer may be typing: an agent's come at any time."""
    stop = threading.Event()
    watcher = threading.Thread(target=_watch, args=(talk, stop), daemon=True)
    watcher.start()
    try:
        while (line := sys.stdin.readline()) and line.strip() != QUIT:
            if line.strip():
                talk.take(line.rstrip("\r\n"))
    finally:
        stop.set()
        watcher.join(1.0)
    return True


def _watch(talk: Talk, stop: threading.Event) -> None:
    silent_since: float | None = None
    while not stop.wait(LOOK):
        if talk.show_new() or talk.quiet():
            silent_since = None
        elif silent_since is None:
            silent_since = time.monotonic()
        elif time.monotonic() - silent_since > HINT_AFTER:
            talk.say("waiting")
            silent_since = time.monotonic() + PATIENCE
