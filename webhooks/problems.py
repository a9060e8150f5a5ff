"""What goes wrong in a request: JSON with a code and a readable reason for programs, a small page for people."""

import time
from collections.abc import Mapping

from flask import Flask, Response, current_app, g, jsonify, render_template, request
from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from werkzeug.exceptions import HTTPException
from werkzeug.wrappers import Response as WsgiResponse

from bot.channels.webchat import LANGUAGES, Refused
from bot.store.database import TROUBLE
from webhooks.product import product

_FOR_PROGRAMS = ("/chat/v1/", "/chat/openapi.json", "/channels/", "/live", "/ready")
_CODES = {400: "bad_request", 404: "not_found", 405: "method", 413: "too_large", 415: "bad_type"}
RETRY_AFTER_OUTAGE = 5  # seconds
REMEMBERED = 10.0  # seconds: a full disk takes the health check's small write, and not what customers send
_OUTAGE = "outage"  # in the application's extensions: when something could not be stored, by the monotonic clock


class Problem(Exception):
    """Ends the request. `code` names a text `webchat.refused.<code>`."""

    def __init__(
        self, status: int, code: str, args: Mapping[str, str | int] | None = None, *, retry_after: int = 0
    ) -> None:
        super().__init__(code)
        self.status = status
        self.code = code
        self.retry_after = retry_after
        self.args_for_text = args or {}


def language() -> str:
    """Of the session if there is one, else as the address or the browser asks; Chinese if nothing tells."""
    known = g.get("language") or request.args.get("lang", "")
    return known if known in LANGUAGES else request.accept_languages.best_match(LANGUAGES, "zh")


def answer(problem: Problem) -> Response:
    product().measures.refused("public", problem.code)
    if request.path.startswith(_FOR_PROGRAMS):
        response = jsonify(error={"code": problem.code, "message": _reason(problem, language())})
    else:
        response = Response(_page(problem))
    response.status_code = problem.status
    if problem.retry_after:
        response.headers["Retry-After"] = str(problem.retry_after)
    return response


def _reason(problem: Problem, spoken: str) -> str:
    return product().texts.render(f"webchat.refused.{problem.code}", spoken, **problem.args_for_text)


def _page(problem: Problem) -> str:
    """In both languages, the reader's first."""
    first = language()
    render = product().texts.render
    return render_template(
        "problem.html",
        language=first,
        title=render("webchat.problem.title", first),
        back=render("webchat.problem.back", first),
        reasons=[
            {"lang": spoken, "text": _reason(problem, spoken)} for spoken in sorted(LANGUAGES, key=lambda s: s != first)
        ],
    )


def register(app: Flask) -> None:
    app.register_error_handler(Problem, answer)
    app.register_error_handler(Refused, _refused)
    app.register_error_handler(HTTPException, _http)
    app.register_error_handler(SQLAlchemyError, _database)


def _refused(error: Refused) -> Response:
    return answer(Problem(400, error.code, error.args_for_text))


def _http(error: HTTPException) -> WsgiResponse:
    """Werkzeug's redirects and its Allow header stay; its English pages do not."""
    if error.code is None or error.code < 400:
        return error.get_response()
    response = answer(Problem(error.code, _CODES.get(error.code, "failed")))
    allowed = dict(error.get_headers()).get("Allow")
    if allowed:
        response.headers["Allow"] = allowed
    return response


def _database(error: SQLAlchemyError) -> Response:
    """Nothing was committed, so the sender shall repeat it. All but the database's own trouble is our mistake."""
    if not isinstance(error, TROUBLE) and not (isinstance(error, DBAPIError) and error.connection_invalidated):
        raise error
    return outage()


def outage() -> Response:
    current_app.extensions[_OUTAGE] = time.monotonic()
    return answer(Problem(503, "unavailable", retry_after=RETRY_AFTER_OUTAGE))


def stored_lately() -> bool:
    """False for a while after something could not be stored."""
    last: float = current_app.extensions.get(_OUTAGE, -REMEMBERED)
    return time.monotonic() - last >= REMEMBERED
