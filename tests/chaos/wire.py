"""HTTP servers of outside peers on loopback that can misbehave below HTTP: hang, cut the line, answer late."""

import json
import socket
import struct
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Json = dict[str, Any]


@dataclass(frozen=True)
class Call:
    """One request as it arrived."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: Json


@dataclass(frozen=True)
class Reply:
    """What goes back. `lost`: "" for an answer; "hang" for none until the server stops; "reset" for a cut line."""

    status: int = 200
    body: Json = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    lost: str = ""


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def __init__(self, answer: Callable[[Call], Reply]) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.answer = answer
        self.closing = threading.Event()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Clients that go away in the middle are what these tests are about."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: _Server

    def _serve(self) -> None:
        raw = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        headers = {name.lower(): value for name, value in self.headers.items()}
        reply = self.server.answer(Call(self.command, self.path, headers, _body(raw, headers)))
        if reply.lost:
            self._lose(reply.lost)
            return
        content = json.dumps(reply.body).encode()
        self.send_response(reply.status)
        for name, value in {"Content-Type": "application/json", **reply.headers}.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    do_GET = do_POST = _serve

    def _lose(self, how: str) -> None:
        self.close_connection = True
        if how == "hang":
            self.server.closing.wait(60)
        else:  # closing with unsent linger zero is a TCP reset
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.connection.close()

    def log_message(self, *_args: Any) -> None:
        """Quiet."""


def _body(raw: bytes, headers: Mapping[str, str]) -> Json:
    if "json" not in headers.get("content-type", ""):
        from urllib.parse import parse_qsl

        return dict(parse_qsl(raw.decode()))
    found: Json = json.loads(raw)
    return found


@contextmanager
def serving(answer: Callable[[Call], Reply]) -> Iterator[str]:
    """The server's address; `answer` is called by many threads."""
    server = _Server(answer)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.closing.set()
        server.shutdown()
        thread.join()
        server.server_close()
