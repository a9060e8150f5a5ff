"""Keeps Rasa from talking: no telemetry, no error reporting, no customer text in any log. Import before Rasa."""

from __future__ import annotations

import json
import logging
import os
import sys
import warnings

# Texts that Rasa itself logs at these names can hold what customers wrote.
_TALKATIVE = ("rasa", "rasa_sdk", "sanic", "sanic.root", "sanic.error", "sanic.access", "apscheduler", "matplotlib")
_EXTRAS = ("turn_id", "reason", "ms")


class _Line(logging.Formatter):
    """One JSON object per line; of the extra values only ours, which hold no customer's words."""

    def format(self, record: logging.LogRecord) -> str:
        row = {"event": record.getMessage(), "level": record.levelname.lower(), "logger": record.name}
        row.update({name: getattr(record, name) for name in _EXTRAS if hasattr(record, name)})
        return json.dumps(row)


def hush(level: int = logging.INFO) -> None:
    """Sets the environment and the logging of this process. Call once, before Rasa is imported."""
    os.environ.update(RASA_TELEMETRY_ENABLED="false", SANIC_HOST="127.0.0.1", TF_CPP_MIN_LOG_LEVEL="3",
                      LOG_LEVEL_LIBRARIES="ERROR", TQDM_DISABLE="1",
                      RASA_MAX_CACHE_SIZE="0", SANIC_WORKERS="1", ACTION_SERVER_SANIC_WORKERS="1")  # fmt: skip
    os.environ.pop("SENTRY_DSN", None)
    # All from Rasa's dependencies, which also reset filters; our own modules are tested with warnings as errors.
    warnings.showwarning = lambda *_, **__: None
    own = logging.getLogger("tingsu")  # its own handler: TensorFlow and Rasa rearrange the root logger's
    own.setLevel(level)
    own.propagate = False
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Line())
    own.handlers = [handler]
    for name in _TALKATIVE:
        logging.getLogger(name).setLevel(logging.CRITICAL)


def hush_structlog() -> None:
    """Drops every structlog event: they carry messages, slots and parse data in full."""
    import structlog

    def drop(*_: object) -> dict[str, object]:
        raise structlog.DropEvent

    structlog.configure(processors=[drop], cache_logger_on_first_use=False)


def import_skops_first() -> None:
    """Imports skops while few modules are loaded: it searches all of them 765 times, 8 seconds after TensorFlow."""
    import skops.io  # noqa: F401
