"""Logging in and out, and one's own account."""

from urllib.parse import urlsplit

from flask import Blueprint, Response, abort, g, make_response, redirect, render_template, request, url_for
from werkzeug.wrappers import Response as AnyResponse

from bot.users import LoginRefused, TooManyAttempts, UserRefused
from console import access
from console.page import language as spoken
from console.page import product

routes = Blueprint("login", __name__)

_NONCE_SECONDS = 24 * 3600  # a login page may stay open over night


@routes.get("/login")
def form() -> AnyResponse:
    if g.session is not None:
        return redirect(_home(g.session.user.role), 303)
    return _form()


@routes.post("/login")
def enter() -> AnyResponse:
    name, password = request.form.get("name", ""), request.form.get("password", "")
    if not name.strip() or not password:
        return _form("incomplete", 400, name=name)
    try:
        token, session = product().people.login(name, password, request.remote_addr or "")
    except LoginRefused:
        return _form("refused", 401, name=name)
    except TooManyAttempts as error:
        return _throttled(name, error.minutes)
    _adopt_language(session.user.id, session.user.language)
    answer = redirect(_local(request.form.get("next", "")) or _home(session.user.role), 303)
    _set_cookie(answer, access.session_cookie(), token, product().settings.session_hours * 3600)
    return answer


@routes.post("/logout")
def leave() -> AnyResponse:
    product().people.logout(request.cookies.get(access.session_cookie(), ""))
    answer = redirect(url_for("login.form", language=spoken()), 303)
    answer.delete_cookie(access.session_cookie())
    answer.headers["Clear-Site-Data"] = '"storage"'  # drafts that are kept in the tab
    return answer


@routes.get("/account")
def account() -> str:
    return render_template("account.html")


@routes.post("/account/language")
def language() -> AnyResponse:
    try:
        product().people.set_language(access.user().id, request.form.get("language", ""))
    except UserRefused:
        abort(400)
    return redirect(_local(request.form.get("next", "")) or url_for("login.account"), 303)


def _form(problem: str = "", status: int = 200, *, name: str = "", minutes: int = 0) -> Response:
    nonce = access.login_nonce()
    g.login_token = access.login_proof(nonce)
    shown = render_template(
        "login.html", problem=problem, name=name, minutes=minutes, next=_local(request.values.get("next", ""))
    )
    answer = make_response(shown, status)
    _set_cookie(answer, access.NONCE_COOKIE, nonce, _NONCE_SECONDS)
    return answer


def _throttled(name: str, minutes: int) -> Response:
    answer = _form("throttled", 429, name=name, minutes=minutes)
    answer.headers["Retry-After"] = str(minutes * 60)
    return answer


def _set_cookie(answer: AnyResponse, name: str, value: str, seconds: int) -> None:
    answer.set_cookie(name, value, max_age=seconds, httponly=True, samesite="Lax", secure=access.secure())


def _adopt_language(user_id: int, known: str) -> None:
    """Who switched the login page's language wants to go on in it."""
    asked = request.form.get("switched", "")
    if asked in ("zh", "en") and asked != known:
        product().people.set_language(user_id, asked)


def _home(role: str) -> str:
    return url_for("queue.inbox" if role in access.STAFF else "login.account")


def _local(target: str) -> str:
    """The target if it is a page of ours, else nothing: a link to the login page must not lead astray."""
    parts = urlsplit(target)
    inside = target.startswith("/") and not target.startswith(("//", "/\\")) and not (parts.scheme or parts.netloc)
    return target if inside and target.isprintable() else ""
