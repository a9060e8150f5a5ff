"""How long a sender may take over a request's body: the doors read it whole before they do anything."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

BODY_SECONDS = 10.0  # a platform's post takes milliseconds; a phone on a bad line sends 64 KiB in this time


@contextmanager
def patience(connection: socket.socket | None, seconds: float = BODY_SECONDS) -> Iterator[None]:
    """After so long, reading from this connection ends, however steadily single bytes drip in; writing still works."""
    if connection is None:  # not under gunicorn
        yield
        return
    timer = threading.Timer(seconds, _stop_reading, (connection,))
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def _stop_reading(connection: socket.socket) -> None:
    with suppress(OSError):
        connection.shutdown(socket.SHUT_RD)
