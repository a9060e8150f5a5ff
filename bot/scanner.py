"""Asks a virus scanner about files: clamd's INSTREAM command (https://docs.clamav.net, clamd(8)), or nobody."""

import socket
import struct
from contextlib import closing
from typing import Protocol

from bot.errors import ScannerDown

_CHUNK = 64 * 1024  # bytes
_SECONDS = 20.0  # for the whole answer
_LONGEST_ANSWER = 4096


class Scanner(Protocol):
    """Looks into files."""

    def scan(self, content: bytes) -> str:
        """The name of what was found; empty when it is clean. Raises ScannerDown."""
        ...


class NoScanner:
    """For installations without one: types are still checked, and pictures written anew."""

    def scan(self, content: bytes) -> str:
        return ""


class Clamd:
    """A clamd at `host:port`, or at the path of its socket."""

    def __init__(self, address: str) -> None:
        self._address = address

    def scan(self, content: bytes) -> str:
        try:
            with closing(self._connect()) as line:
                line.settimeout(_SECONDS)
                line.sendall(b"zINSTREAM\0")
                for start in range(0, len(content), _CHUNK):
                    piece = content[start : start + _CHUNK]
                    line.sendall(struct.pack("!I", len(piece)) + piece)
                line.sendall(struct.pack("!I", 0))
                return _found(_answer(line))
        except OSError as error:
            raise ScannerDown(type(error).__name__) from None

    def _connect(self) -> socket.socket:
        if self._address.startswith("/"):
            line = socket.socket(socket.AF_UNIX)
            line.settimeout(_SECONDS)
            try:
                line.connect(self._address)
            except OSError:
                line.close()
                raise
            return line
        host, _, port = self._address.rpartition(":")
        return socket.create_connection((host, int(port)), timeout=_SECONDS)


def _answer(line: socket.socket) -> str:
    answer = b""
    while not answer.endswith(b"\0") and len(answer) < _LONGEST_ANSWER:
        more = line.recv(_LONGEST_ANSWER)
        if not more:
            break
        answer += more
    return answer.rstrip(b"\0").decode("ascii", "replace").strip()


def _found(answer: str) -> str:
    """ "stream: OK", "stream: Eicar-Signature FOUND", or an error of clamd's own, which is no verdict."""
    verdict = answer.partition(": ")[2] or answer
    if verdict == "OK":
        return ""
    if verdict.endswith(" FOUND"):
        return verdict.removesuffix(" FOUND")[:64] or "unnamed"
    raise ScannerDown(verdict[:64] or "no answer")


def scanner(address: str) -> Scanner:
    return Clamd(address) if address else NoScanner()
