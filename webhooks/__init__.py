"""The public door: platforms' posts, the web chat and its API, health pages. Nothing is sent from here."""

import os
import traceback
from types import TracebackType

import structlog
from flask import Flask

from bot import logs, settings
from bot.build import Product, build
from webhooks import channels, headers, health, pages, problems, uploads, webchat
from webhooks.product import KEY

log = structlog.get_logger(__name__)


class Door(Flask):
    """Flask, but what it logs of a failure holds no value of a request: a database error quotes its parameters."""

    def log_exception(self, exc_info: tuple[type, BaseException, TracebackType] | tuple[None, None, None]) -> None:
        kind, _error, trace = exc_info
        frames = [f"{frame.name}:{frame.lineno}" for frame in traceback.extract_tb(trace)[-6:]]
        log.error("door.failed", error=kind.__name__ if kind else "", frames=frames)


def _from_environment() -> Product:
    read = settings.read(os.environ)
    logs.configure(read.log_level)
    return build(read)


def create_app(product: Product | None = None) -> Flask:
    """Raises SettingsWrong when there is no product and the environment does not give one."""
    app = Door(__name__)
    app.config["MAX_CONTENT_LENGTH"] = channels.LARGEST_BODY
    app.config["MAX_FORM_MEMORY_SIZE"] = channels.LARGEST_BODY
    app.json.ensure_ascii = False  # type: ignore[attr-defined]  # of Flask's default provider
    app.extensions[KEY] = product if product is not None else _from_environment()
    problems.register(app)
    headers.register(app)
    for part in (channels, health, pages, uploads, webchat):
        app.register_blueprint(part.blueprint)
    return app
