"""/live: the process is up. /ready: it can take customers now, and what works only in part."""

from collections.abc import Callable

from flask import Blueprint, Response, current_app, jsonify
from sqlalchemy.exc import SQLAlchemyError

from bot.pressure import REASONS
from bot.store import database
from webhooks.problems import stored_lately
from webhooks.product import product

blueprint = Blueprint("health", __name__)


@blueprint.get("/live")
def live() -> Response:
    return jsonify(live=True)


@blueprint.get("/ready")
def ready() -> tuple[Response, int]:
    """503 unless the tables fit and real writes get through. Redis and Rasa away: slower, but ready.

    Under pressure (bot/pressure.py) it stays ready: only so does a wish for a person get in.
    """
    checks = {
        "staying": not current_app.extensions.get("stopping", bool)(),
        "migrations": _holds(lambda: database.is_current(product().database)),
        "write": stored_lately() and _holds(lambda: database.writable(product().database)),
    }
    parts = {"redis": _redis(), "rasa": _rasa()}
    degraded = [name for name, works in parts.items() if works is False]
    degraded += [reason for reason in REASONS if reason in product().pressure.reasons()]
    ok = all(checks.values())
    return jsonify(ready=ok, checks=checks, parts=parts, degraded=degraded), 200 if ok else 503


def _holds(check: Callable[[], bool]) -> bool:
    try:
        return check()
    except SQLAlchemyError:
        return False


def _redis() -> bool | None:
    """None: not part of this installation."""
    return product().bell.alive() if product().settings.redis_url else None


def _rasa() -> bool | None:
    return product().dialogue.alive() if product().settings.rasa_url else None
