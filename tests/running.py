"""The product as operators start it (`python -m bot run`), and its users over HTTP, for journeys and chaos."""

import html
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import httpx

ROOT = Path(__file__).parent.parent
T = TypeVar("T")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def wait_for(what: str, look: Callable[[], T | None], seconds: float = 60, pause: float = 0.4) -> T:
    """The first true answer of `look`. Raises AssertionError that names `what` when it takes too long."""
    deadline = time.monotonic() + seconds
    while True:
        found = look()
        if found:
            return found
        assert time.monotonic() < deadline, f"waited {seconds:g} s for {what}"
        time.sleep(pause)  # by default slow: the chat API allows a few reads a second


class Running:
    """The whole product under its supervisor, with a data directory of its own."""

    def __init__(self, home: Path, **environ: str) -> None:
        self.home = home
        self.public = f"http://127.0.0.1:{free_port()}"
        self.console = f"http://127.0.0.1:{free_port()}"
        self.environ = {
            **{name: value for name, value in os.environ.items() if not name.startswith("TINGSU_")},
            "TINGSU_HOME": str(home),
            "TINGSU_PUBLIC_PORT": self.public.rsplit(":", 1)[1],
            "TINGSU_CONSOLE_PORT": self.console.rsplit(":", 1)[1],
            **environ,
        }
        self._output = (home / "supervisor.out").open("wb")
        self.process = subprocess.Popen(
            [sys.executable, "-m", "bot", "run"],
            cwd=ROOT,
            env=self.environ,
            stdin=subprocess.DEVNULL,
            stdout=self._output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )

    def output(self) -> str:
        return (self.home / "supervisor.out").read_text(encoding="utf-8", errors="replace")

    def wait_until_ready(self) -> None:
        """The door answers, and Rasa can be asked."""

        def look() -> bool:
            assert self.process.poll() is None, f"the supervisor ended:\n{self.output()}"
            try:
                return httpx.get(f"{self.public}/ready").status_code == 200 and self.rasa_answers()
            except httpx.HTTPError:
                return False

        try:
            wait_for("the product to be ready", look, 240)
        except AssertionError:
            raise AssertionError(f"not ready:\n{self.output()}\n{self.logs()}") from None

    def logs(self) -> str:
        files = sorted((self.home / "logs").glob("*.log"))
        return "\n".join(f"== {file.name}\n{file.read_text(errors='replace')[-2000:]}" for file in files)

    def run_file(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads((self.home / "run.json").read_text())
        return found

    def rasa_answers(self) -> bool:
        port = self.run_file()["children"]["rasa"]["port"]
        return httpx.get(f"http://127.0.0.1:{port}/webhooks/turn/health").status_code == 200

    def pid(self, name: str) -> int:
        return int(self.run_file()["children"][name]["pid"])

    def kill(self, name: str) -> None:
        """SIGKILL, as a crash would."""
        os.kill(self.pid(name), signal.SIGKILL)

    def add_user(self, name: str, role: str = "agent", password: str = "a long enough password") -> None:
        subprocess.run(
            [sys.executable, "-m", "bot", "user", "add", name, "--role", role, "--password-stdin"],
            cwd=ROOT,
            env=self.environ,
            input=f"{password}\n",
            text=True,
            check=True,
            capture_output=True,
        )

    def stop(self) -> int:
        """Ctrl-C: SIGINT to the whole group, no standard input."""
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGINT)
        code = self.process.wait(60)
        self._output.close()
        return code


@contextmanager
def running(home: Path, **environ: str) -> Iterator[Running]:
    """Started, ready, and stopped at the end whatever happens."""
    started = Running(home, **environ)
    try:
        started.wait_until_ready()
        yield started
    finally:
        try:
            started.stop()
        except subprocess.TimeoutExpired:
            os.killpg(started.process.pid, signal.SIGKILL)
            raise


class WebCustomer:
    """A customer at the web chat API."""

    def __init__(self, public: str, language: str = "zh") -> None:
        self._client = httpx.Client(base_url=public, timeout=30)
        token = self._client.post("/chat/v1/sessions", json={"language": language}).raise_for_status().json()["token"]
        self._client.headers["Authorization"] = f"Bearer {token}"
        self.seen = 0  # lines of the bot and of agents that were read

    def post(self, body: dict[str, str]) -> httpx.Response:
        return self._client.post("/chat/v1/messages", json={"id": uuid.uuid4().hex, **body})

    def say(self, text: str) -> None:
        self.post({"text": text}).raise_for_status()

    def tap(self, wire: str) -> None:
        self.post({"tap": wire}).raise_for_status()

    def lines(self) -> list[dict[str, Any]]:
        """What came back so far, in order."""
        found = self._client.get("/chat/v1/history").raise_for_status().json()["messages"]
        return [line for line in found if line["side"] in ("bot", "agent")]

    def state(self) -> str:
        found: str = self._client.get("/chat/v1/history").raise_for_status().json()["state"]["state"]
        return found

    def hear(self, pattern: str, seconds: float = 60) -> dict[str, Any]:
        """The next unread line that matches; everything up to it counts as read."""

        def look() -> dict[str, Any] | None:
            for place, line in enumerate(self.lines()):
                if place >= self.seen and re.search(pattern, line["text"]):
                    self.seen = place + 1
                    return line
            return None

        try:
            return wait_for(pattern, look, seconds)
        except AssertionError:
            said = "\n".join(line["text"] for line in self.lines())
            raise AssertionError(f"never heard {pattern!r}; heard:\n{said}") from None

    def close(self) -> None:
        self._client.close()


class Agent:
    """A person at the console, through its pages' own forms."""

    def __init__(self, console: str, name: str, password: str = "a long enough password") -> None:
        self._client = httpx.Client(base_url=console, follow_redirects=True, timeout=30)
        self._client.headers["Origin"] = console
        form = self._fields(self._client.get("/login").text)
        done = self._client.post("/login", data={**form, "name": name, "password": password})
        assert done.status_code == 200 and "/login" not in str(done.url), done.text

    @staticmethod
    def _fields(page: str) -> dict[str, str]:
        """Hidden inputs by name; the first of each."""
        found: dict[str, str] = {}
        for tag in re.findall(r"<input[^>]*>", page):
            named = re.search(r'name="([^"]+)"', tag)
            value = re.search(r'value="([^"]*)"', tag)
            if named and 'type="hidden"' in tag:
                found.setdefault(named[1], html.unescape(value[1]) if value else "")
        return found

    def page(self, conversation_id: int) -> str:
        return self._client.get(f"/conversations/{conversation_id}").raise_for_status().text

    def do(self, conversation_id: int, what: str, **more: str) -> httpx.Response:
        form = self._fields(self.page(conversation_id))
        if what == "reply":
            more.setdefault("client_id", uuid.uuid4().hex)
        return self._client.post(f"/conversations/{conversation_id}/{what}", data={**form, **more})

    def set_state(self, conversation_id: int, state: str, note: str) -> httpx.Response:
        page = self.page(conversation_id)
        action = re.search(r'action="(/complaints/\d+/state)"', page)
        assert action, "no complaint on the page"
        form = self._fields(page)
        return self._client.post(action[1], data={**form, "state": state, "note": note})

    def close(self) -> None:
        self._client.close()
