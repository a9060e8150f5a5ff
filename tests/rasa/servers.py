"""Starts the two private servers for tests, and talks to them turn by turn."""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import time
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
SERVE = ROOT / "nlu_data" / "serve.py"
_START_SECONDS = 120  # a busy machine with two cores needs a minute for TensorFlow's import

Json = dict[str, Any]


@dataclass
class Server:
    """The running Rasa server."""

    port: int
    model: Path

    def post(self, body: bytes) -> tuple[int, Json]:
        return self._ask("POST", "/webhooks/turn/", body)

    def health(self) -> tuple[int, Json]:
        return self._ask("GET", "/webhooks/turn/health", b"")

    def _ask(self, method: str, path: str, body: bytes) -> tuple[int, Json]:
        with closing(http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)) as line:
            line.request(method, path, body, {"Content-Type": "application/json", "Connection": "close"})
            answer = line.getresponse()
            return answer.status, json.loads(answer.read())

    def turn(self, said: str | None, state: Json, language: str = "zh", **more: Any) -> Json:
        """One turn; `said` beginning with "tap:" is a payload."""
        text, payload = (None, said[4:]) if said is not None and said.startswith("tap:") else (said, None)
        body = {
            "turn_id": "t1", "text": text, "payload": payload, "attachments": 0, "state": state,
            "context": {"in_hours": True, "has_complaints": False}, "now": "2026-11-23T17:40:00+08:00",
            "timezone": "Asia/Shanghai", "language": language, **more,
        }  # fmt: skip
        status, answer = self.post(json.dumps(body).encode())
        assert status == 200, answer
        return answer


@dataclass
class Talk:
    """A talk turn by turn; carries the state as the product does."""

    server: Server
    language: str = "zh"
    state: Json = field(default_factory=dict)

    def say(self, said: str, **more: Any) -> Json:
        answer = self.server.turn(said, self.state, self.language, **more)
        assert not answer["failed"], answer["reason"]
        self.state = answer["state"]
        return answer


class running:
    """A server process for the length of a with-block; SIGTERM must end it within five seconds."""

    def __init__(self, *arguments: str) -> None:
        self._arguments = arguments

    def __enter__(self) -> subprocess.Popen[bytes]:
        quiet = {**os.environ, "CUDA_VISIBLE_DEVICES": ""}
        self._process = subprocess.Popen([sys.executable, str(SERVE), *self._arguments], env=quiet)
        return self._process

    def __exit__(self, *_: object) -> None:
        self._process.send_signal(signal.SIGTERM)
        self._process.wait(timeout=5)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_for(server: Server) -> None:
    until = time.monotonic() + _START_SECONDS
    while time.monotonic() < until:
        try:
            assert server.health()[0] == 200
            return
        except OSError:
            time.sleep(0.2)
    raise TimeoutError(f"nothing listens on {server.port}")
