"""Looks into a file before it is kept: its real type, a virus scanner's word, and pictures written anew."""

from bot import pictures
from bot.filetypes import detect
from bot.scanner import Scanner

LARGEST = 20 * 1024 * 1024  # bytes; Telegram's getFile gives no more either


class Refused(Exception):
    """The file is not kept. `reason` names the text that tells its sender why: empty, size, type, infected, damaged."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class Inspection:
    """The same for every way in."""

    def __init__(self, scanner: Scanner) -> None:
        self._scanner = scanner

    def look(self, content: bytes) -> tuple[bytes, str]:
        """What is kept of the file, and its type. Raises Refused or ScannerDown."""
        if not content:
            raise Refused("empty")
        if len(content) > LARGEST:
            raise Refused("size")
        kind = detect(content)
        if kind is None:
            raise Refused("type")
        if self._scanner.scan(content):
            raise Refused("infected")
        return (_anew(content, kind.mime) if kind.picture else content), kind.mime


def _anew(content: bytes, mime: str) -> bytes:
    try:
        return pictures.clean(content, mime)
    except pictures.TooManyPixels:
        raise Refused("size") from None
    except pictures.Unreadable:
        raise Refused("damaged") from None
