"""Who may do what: one table of routes and roles, and the checks that every request passes before its view."""

import hmac
import secrets
from collections.abc import Mapping
from urllib.parse import urlsplit

from flask import Flask, Response, abort, g, redirect, request, url_for
from werkzeug.wrappers import Response as AnyResponse

from bot.conversation import LEADING
from bot.patience import patience
from bot.store.users import Session, User
from bot.users import ROLES
from console import figures
from console.page import product

ANYONE: frozenset[str] = frozenset({"(no login)"})
MACHINES: frozenset[str] = frozenset({"(a program: console/figures.py)"})
EVERYONE = frozenset(ROLES)
STAFF = frozenset({"agent", "supervisor", "admin"})  # marketing reads no conversation


# Every route there is. A route without an entry, or an entry without a route, stops the start.
ACCESS: Mapping[str, frozenset[str]] = {
    "static": ANYONE,
    "live": ANYONE,
    "figures.metrics": MACHINES,
    "login.form": ANYONE,
    "login.enter": ANYONE,
    "login.leave": EVERYONE,
    "login.account": EVERYONE,
    "login.language": EVERYONE,
    "queue.inbox": STAFF,
    "queue.live": STAFF,
    "queue.numbers": STAFF,
    "stream.events": STAFF,
    "chat.show": STAFF,
    "chat.live": STAFF,
    "chat.attachment": STAFF,
    "chat.claim": STAFF,
    "chat.reply": STAFF,
    "chat.release": STAFF,
    "chat.close": STAFF,
    "chat.held": STAFF,
    "chat.again": STAFF,  # who leads, or has the conversation: the view looks
    "chat.leave": STAFF,
    "complaints.state": STAFF,
    "letters.page": LEADING,
    "letters.live": LEADING,
    "letters.replay": LEADING,
    "letters.discard": LEADING,
}

# Requests that pages make by themselves: they keep no one logged in.
BACKGROUND = frozenset({"queue.live", "queue.numbers", "chat.live", "letters.live", "stream.events"})

NONCE_COOKIE = "tingsu_login"
_READING = frozenset({"GET", "HEAD", "OPTIONS"})


def install(app: Flask) -> None:
    """Raises RuntimeError when routes and table differ."""
    routes = {rule.endpoint for rule in app.url_map.iter_rules()}
    if routes != ACCESS.keys():
        raise RuntimeError(f"routes and access table differ: {sorted(routes ^ ACCESS.keys())}")
    app.before_request(_check)


def session_cookie() -> str:
    """Named by the port, because cookies do not tell two consoles on one host apart."""
    return f"tingsu_console_{product().settings.console_port}"


def secure() -> bool:
    """Whether people reach us by https, directly or through a proxy that the settings name."""
    return request.is_secure or any(o.startswith("https:") for o in product().settings.console_origins)


def user() -> User:
    """Who is logged in; only in views that need a login."""
    session: Session = g.session
    return session.user


def login_proof(nonce: str) -> str:
    """The login form's token. It is bound to a cookie, since there is no session yet."""
    return product().seal.digest("login form", nonce)


def login_nonce() -> str:
    """The browser's, so that several open login pages all work; a new one if it has none."""
    return request.cookies.get(NONCE_COOKIE) or secrets.token_urlsafe(24)


def _check() -> AnyResponse | None:
    endpoint = request.endpoint
    if endpoint is None:  # 404 or 405: their pages need no login
        return None
    allowed = ACCESS[endpoint]
    if allowed is MACHINES:  # never to the login page: a scraper would take it for an answer
        return None if figures.allowed() else figures.refused()
    token = request.cookies.get(session_cookie(), "")
    g.session = None if endpoint == "static" else product().people.session(token, touch=endpoint not in BACKGROUND)
    if allowed is not ANYONE:
        if g.session is None:
            return _to_login()
        if g.session.user.role not in allowed:
            abort(403)
    if request.method not in _READING:
        _take_body()
        _check_write()
    return None


def _take_body() -> None:
    """Whole, in bounded memory and time."""
    with patience(request.environ.get("gunicorn.socket")):
        body = request.get_data()
    if len(body) >= (request.max_content_length or 0):  # of unknown length: werkzeug cuts it there and says nothing
        abort(413)


def _to_login() -> AnyResponse:
    target = url_for("login.form", next=request.path if request.method == "GET" else "/")
    if "HX-Request" in request.headers:
        page_path = urlsplit(request.headers.get("HX-Current-URL", "")).path or "/"
        return Response(status=401, headers={"HX-Redirect": url_for("login.form", next=page_path)})
    if request.endpoint == "stream.events":
        return Response(status=401)
    return redirect(target, 303)


def _check_write() -> None:
    """Refuses a write that another site may have caused."""
    if not _own_origin(request.headers.get("Origin")):
        abort(403)
    logging_in = g.session is None or request.endpoint == "login.enter"
    expected = login_proof(login_nonce()) if logging_in else g.session.csrf
    given = request.form.get("csrf") or request.headers.get("X-CSRF-Token", "")
    if not hmac.compare_digest(given.encode("utf-8", "replace"), expected.encode()):
        abort(403)


def _own_origin(origin: str | None) -> bool:
    """Browsers send Origin with every POST; without one the token alone decides."""
    if origin is None:
        return True
    return urlsplit(origin).netloc == request.host or origin in product().settings.console_origins
