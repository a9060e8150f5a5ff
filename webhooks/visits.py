"""Who is calling the web chat API: the session behind a token, from where, and how often."""

import secrets
from dataclasses import dataclass
from hashlib import sha256
from ipaddress import ip_address
from urllib.parse import urlsplit

from flask import Response, g, request

from bot.store import conversations, webchat
from webhooks.problems import Problem
from webhooks.product import product
from webhooks.product import webchat as webchat_account

COOKIE = "tingsu_chat"
_COOKIE_SECONDS = 90 * 24 * 3600  # a complaint may take 15 days, its follow-ups longer
_TOKEN_BYTES = 32
_VISITOR_BYTES = 16

# Whole provinces of mobile customers share a few addresses (carrier NAT): per address it is generous.
SESSIONS_PER_ADDRESS = "120/minute"
REQUESTS_PER_ADDRESS = "3000/minute"
MESSAGES_PER_SESSION = "30/minute"
READS_PER_SESSION = "120/minute"
UPLOADS_PER_SESSION = "30/hour"
UPLOADS_PER_ADDRESS = "600/hour"


@dataclass(frozen=True)
class Visit:
    """A valid session. `visitor` is the identity's external id; it does not give away the token."""

    token_hash: str
    visitor: str
    language: str
    by_cookie: bool


def begin(language: str) -> str:
    """Opens a session and gives its token, the only time that it is readable."""
    token = secrets.token_urlsafe(_TOKEN_BYTES)
    with product().database.write() as db:
        webchat.open_session(db, _hash(token), secrets.token_urlsafe(_VISITOR_BYTES), language)
    return token


def current() -> Visit:
    """Raises Problem: 401 without a valid token, 403 for a write by cookie from a foreign page."""
    token, by_cookie = _token()
    if by_cookie and request.method != "GET" and not from_our_page() and not _allowed_origin():
        raise Problem(403, "origin")
    visit = _find(token, by_cookie)
    if visit is None:
        raise Problem(401, "no_session")
    g.language = visit.language
    return visit


def by_cookie() -> Visit | None:
    """The session that the browser's cookie stands for, if it still does."""
    return _find(request.cookies.get(COOKIE, ""), True)


def _find(token: str, by_cookie: bool) -> Visit | None:
    if not token:
        return None
    with product().database.read() as db:
        visitor = webchat.visitor_of(db, _hash(token))
        return Visit(_hash(token), visitor, webchat.language_of(db, _hash(token)), by_cookie) if visitor else None


def _token() -> tuple[str, bool]:
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() == "bearer":
        return token.strip(), False
    return request.cookies.get(COOKIE, ""), True


def _hash(token: str) -> str:
    return sha256(token.encode("utf-8", "surrogatepass")).hexdigest()


def speak(visit: Visit, language: str) -> None:
    """The session and its conversation go on in this language."""
    with product().database.write() as db:
        webchat.speak(db, visit.token_hash, language)
        found = conversations.of_sender(db, webchat_account().id, visit.visitor)
        if found is not None:
            conversations.change(db, found.id, language=language)
    g.language = language


def seen(visit: Visit) -> None:
    with product().database.write() as db:
        webchat.seen(db, visit.token_hash)


def limit(scope: str, who: str, rate: str) -> None:
    """Raises Problem 429 when `who` has used up `rate`."""
    limiter = product().limiter
    if not limiter.allow(f"webchat.{scope}", who, rate):
        wait = limiter.retry_after(f"webchat.{scope}", who, rate)
        raise Problem(429, "too_often", {"seconds": wait}, retry_after=wait)


def limit_address() -> None:
    """Raises Problem 429 when too much comes from this address. A browser's question whether it may ask is free."""
    if request.method != "OPTIONS":
        limit("request", address(), REQUESTS_PER_ADDRESS)


def address() -> str:
    """Where the request comes from: the nearest address in the chain of proxies that is none of our own.

    Each proxy appends whom it heard (X-Forwarded-For); what stands before the first stranger, anybody can have written.
    """
    forwarded = [part.strip() for part in request.headers.get("X-Forwarded-For", "").split(",") if part.strip()]
    chain = [*forwarded, request.remote_addr or ""]
    while len(chain) > 1 and _is_ours(chain[-1]):
        chain.pop()
    return chain[-1]


def _is_ours(peer: str) -> bool:
    try:
        known = ip_address(peer)
    except ValueError:
        return False
    return any(known in network for network in product().settings.trusted_proxies)


def from_our_page() -> bool:
    """Whether the browser says that our own page made this request. Browsers send Origin with every POST."""
    origin = request.headers.get("Origin", "")
    if not origin:
        return False
    return urlsplit(origin).netloc == request.host or origin == product().settings.public_url


def _allowed_origin() -> bool:
    return request.headers.get("Origin", "") in product().settings.webchat_origins


def allow_origin(response: Response) -> Response:
    """CORS for the origins in TINGSU_WEBCHAT_ORIGINS, by bearer token only: no credentials."""
    response.headers.add("Vary", "Origin")
    if _allowed_origin():
        response.headers["Access-Control-Allow-Origin"] = request.headers["Origin"]
        response.headers["Access-Control-Allow-Headers"] = "Authorization, Content-Type, Last-Event-ID"
        response.headers["Access-Control-Allow-Methods"] = "GET, POST"
        response.headers["Access-Control-Expose-Headers"] = "Retry-After"
        response.headers["Access-Control-Max-Age"] = "600"
    return response


def keep_cookie(response: Response, token: str) -> None:
    """For our own page: out of reach of scripts, not sent along by other sites' posts."""
    # In a frame of another site only a partitioned cookie lives, and only over https; a write needs our own Origin anyway.
    framed = bool(product().settings.webchat_origins) and request.is_secure
    response.set_cookie(
        COOKIE,
        token,
        max_age=_COOKIE_SECONDS,
        path="/chat",
        secure=request.is_secure,
        httponly=True,
        samesite="None" if framed else "Lax",
        partitioned=framed,
    )
