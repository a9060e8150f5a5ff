"""Pages for what cannot be done: refused, not there, moved on, broken; in the reader's language."""

from typing import cast

import structlog
from flask import Flask, g, render_template, request
from werkzeug.exceptions import HTTPException
from werkzeug.wrappers import Response

from bot.store.database import TROUBLE
from console.page import product

log = structlog.get_logger(__name__)

_WITH_OWN_WORDS = frozenset({400, 403, 404, 405, 409, 413, 500, 503})


def install(app: Flask) -> None:
    app.register_error_handler(HTTPException, _refused)
    for away in TROUBLE:
        app.register_error_handler(away, _database_away)
    app.register_error_handler(Exception, _broken)


def _page(status: int) -> tuple[str, int]:
    product().measures.refused("console", str(status))
    known = status if status in _WITH_OWN_WORDS else (400 if status < 500 else 500)
    return render_template("problem.html", status=status, known=known), status


def _refused(error: Exception) -> tuple[str, int] | Response:
    """Redirects of the router (a missing slash) are no problem."""
    code = cast(HTTPException, error).code
    if code is None or code < 400:
        return cast(HTTPException, error).get_response()
    return _page(code)


def _database_away(error: Exception) -> tuple[str, int]:
    """Without a database there is no session either: the page speaks the browser's language."""
    g.session = None
    log.warning("console.database_away", error=type(error).__name__, endpoint=request.endpoint)
    return _page(503)


def _broken(error: Exception) -> tuple[str, int]:
    """The log gets the kind of error and its places in our code, never what was typed."""
    log.exception("console.broken", error=type(error).__name__, endpoint=request.endpoint)  # noqa: LOG004 - Flask calls this inside its handler
    return _page(500)
