"""Rasa's place in chaos: the wire of nlu_data/turn_channel.py with a talk of three lines behind it, so that turns are cheap."""

import json
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

FILE_IT = "file it"


def answer(question: Mapping[str, Any]) -> dict[str, Any]:
    """Repeats nothing, forgets nothing: the state is the list of all that was said. "file it" files a complaint."""
    words = question["text"] or question["payload"]
    told = [*question["state"].get("slots", {}).get("told", []), words]
    filed = {"name": "file_complaint", "args": {"category": "broadband.disconnection", "fields": {"what": words}}}
    return {
        "turn_id": question["turn_id"],
        "failed": False,
        "reason": None,
        "replies": [{"key": "system.photo_received", "args": {}, "question": None, "buttons": []}],
        "commands": [filed] if FILE_IT in words else [],
        "state": {"slots": {"told": told}, "active_form": None},
        "intent": {"name": "complain", "confidence": 1.0},
        "signals": {},
    }


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # the head and the body are two writes

    def do_GET(self) -> None:
        self._give({"status": "ok", "model": "talk"})

    def do_POST(self) -> None:
        self._give(answer(json.loads(self.rfile.read(int(self.headers["Content-Length"])))))

    def _give(self, found: Mapping[str, Any]) -> None:
        body = json.dumps(found).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Silent."""


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64


def serve(port: int) -> None:
    """Until it is killed."""
    _Server(("127.0.0.1", port), _Handler).serve_forever()
