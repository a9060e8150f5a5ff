"""Logs: one JSON object a line on standard error, and nothing of what customers say in them."""

import logging
import sys

import structlog

_LEVELS = {"debug": 10, "info": 20, "warning": 30, "error": 40}
# Libraries that print whole URLs (Telegram's hold the bot's token), or bodies.
_QUIET = ("httpx", "httpcore", "telegram", "urllib3", "alembic")


def configure(level: str) -> None:
    """Once per process, before anything logs."""
    logging.basicConfig(level=logging.WARNING, stream=sys.stderr, format="%(levelname)s %(name)s %(message)s")
    for name in _QUIET:
        logging.getLogger(name).setLevel(logging.WARNING)
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            _where_only,
            structlog.processors.JSONRenderer(ensure_ascii=False),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(_LEVELS[level]),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )


def _where_only(_logger: object, _method: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
    """A traceback's places without its message: messages of database errors quote the row."""
    if event.pop("exc_info", None):
        _kind, _error, traceback = sys.exc_info()
        frames = []
        while traceback is not None:
            frames.append(f"{traceback.tb_frame.f_code.co_filename.rsplit('/', 1)[-1]}:{traceback.tb_lineno}")
            traceback = traceback.tb_next
        event["where"] = frames[-8:]
    return event
