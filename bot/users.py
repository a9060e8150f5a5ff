"""People at work: their passwords (Argon2id), their logins with a limit on guesses, and their sessions."""

import re
import secrets
import threading
import unicodedata
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Protocol

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError, VerifyMismatchError
from sqlalchemy import Connection, delete, select, update

from bot.errors import TingsuError
from bot.sealing import Seal
from bot.store import users as store
from bot.store.conversations import now
from bot.store.database import Database
from bot.store.sql import inserted_id
from bot.store.users import Session, User
from bot.texts import LANGUAGES

ROLES = ("agent", "supervisor", "marketing", "admin")

SHORTEST_PASSWORD = 10  # characters
LONGEST_PASSWORD = 200  # hashing is what costs us: no one may hand us a book
_NAME = re.compile(r"^\w[\w.@-]{1,31}$")
_FEWEST_DIFFERENT = 4  # characters: "aaaaaaaaaa" is ten long, too

WINDOW = timedelta(minutes=15)
NAME_LIMIT = 10  # attempts per name and window: ten guesses find nothing, and ten slips happen
ADDRESS_LIMIT = 50  # failures per address and window: a whole office may share one
_KEPT = timedelta(days=1)  # attempts older than this are removed

IDLE = timedelta(hours=2)
_SEEN_EVERY = timedelta(minutes=1)  # one write per minute and session is enough to know who is there

# OWASP's Password Storage Cheat Sheet, Argon2id: 19 MiB, 2 passes, 1 lane. More would hold up every open
# stream of the process for the length of a hash.
_HASHER = PasswordHasher(time_cost=2, memory_cost=19_456, parallelism=1)
_AT_ONCE = threading.BoundedSemaphore(2)
_PATIENCE = 10.0  # seconds to wait for one's turn to hash


class LoginRefused(TingsuError):
    """Unknown name, wrong password or no longer active: deliberately not said which."""


class TooManyAttempts(TingsuError):
    """Too many attempts for this name or from this address: wait `minutes`."""

    def __init__(self) -> None:
        self.minutes = int(WINDOW.total_seconds() // 60)
        super().__init__(f"too many attempts to log in; wait {self.minutes} minutes")


class UserRefused(TingsuError):
    """This login cannot be made; the message says why, for the person at the keyboard."""


class Lasting(Protocol):
    """The one setting that this file needs."""

    @property
    def session_hours(self) -> int: ...


class Users:
    """Every question about people at work. No hash is ever made inside a transaction."""

    def __init__(self, database: Database, settings: Lasting, seal: Seal) -> None:
        self._database = database
        self._seal = seal
        self._absolute = timedelta(hours=settings.session_hours)
        self._nobody = _HASHER.hash(secrets.token_urlsafe(16))  # what unknown names are compared with

    def add(self, name: str, role: str, password: str) -> User:
        """Raises UserRefused for a name, role or password that will not do, or a name that is taken."""
        name = _checked_name(name)
        if role not in ROLES:
            raise UserRefused(f"unknown role {role!r}: expected one of {', '.join(ROLES)}")
        hashed = _hashed(_checked_password(password, name))
        with self._database.write() as db:
            made = store.add(db, name, hashed, role)
            user = store.read(db, made) if made is not None else None
        if user is None:
            raise UserRefused(f"the name {name} is taken")
        return user

    def ensure_admin(self) -> str | None:
        """The password of a freshly made `admin`, when there is no login at all yet; else None."""
        with self._database.read() as db:
            if store.count(db):
                return None
        password = "-".join(secrets.token_hex(2) for _ in range(5))
        try:
            self.add("admin", "admin", password)
        except UserRefused:  # another process has just made it
            return None
        return password

    def login(self, name: str, password: str, address: str) -> tuple[str, Session]:
        """(token for the cookie, session). Raises LoginRefused or TooManyAttempts."""
        name = _folded(name)
        scopes = self._scopes(name, address)
        user, attempts = self._admit(name, scopes)
        known = user is not None and user.active
        right = _right(user.password_hash if user else self._nobody, password)
        if user is None or not (known and right):
            raise LoginRefused("name or password is wrong")
        if _HASHER.check_needs_rehash(user.password_hash):
            self._rehash(user, password)
        return self._open(user, scopes[0], attempts)

    def session(self, token: str, *, touch: bool = True) -> Session | None:
        """The living session of this token; `touch` moves its idle end, for what a person did."""
        if not token:
            return None
        token_hash = self._seal.digest("session", token)
        with self._database.read() as db:
            found = store.session_by_hash(db, token_hash)
            due = found is not None and touch and self._unseen_for(db, token_hash) > _SEEN_EVERY
        if found is not None and due:
            self._touch(token_hash)
        return found

    def logout(self, token: str) -> None:
        token_hash = self._seal.digest("session", token)
        with self._database.write() as db:
            found = store.session_by_hash(db, token_hash)
            store.close_session(db, token_hash)
            if found is not None:
                store.log(db, found.user.id, "logout", {})

    def set_language(self, user_id: int, language: str) -> None:
        """Raises UserRefused for a language that we do not speak."""
        if language not in LANGUAGES:
            raise UserRefused(f"unknown language {language!r}")
        with self._database.write() as db:
            store.change(db, user_id, language=language)

    def _scopes(self, name: str, address: str) -> tuple[str, str]:
        """The scopes under which attempts are counted, as hashes: names typed wrong may be passwords."""
        return (
            f"name:{self._seal.digest('login name', name)}",
            f"address:{self._seal.digest('login address', address)}",
        )

    def _admit(self, name: str, scopes: tuple[str, str]) -> tuple[User | None, list[int]]:
        """Notes the attempt before the password is looked at, so that guesses side by side count, too.

        A refused attempt is taken back: knocking on a closed door must not keep it closed.
        """
        with self._database.write() as db:
            if _over(db, scopes, 1):
                raise TooManyAttempts
            attempts = [_note(db, scope) for scope in scopes]
            user = store.by_name(db, name) if _NAME.match(name) else None
        with self._database.write() as db:  # a second look sees those who came at the same instant
            over = _over(db, scopes, 0)
            if over:
                _take_back(db, attempts)
        if over:
            raise TooManyAttempts
        return user, attempts

    def _open(self, user: User, name_scope: str, attempts: list[int]) -> tuple[str, Session]:
        token = secrets.token_urlsafe(32)
        token_hash = self._seal.digest("session", token)
        with self._database.write() as db:
            store.forget_attempts(db, name_scope)
            _take_back(db, attempts)
            _prune(db)
            lasts = min(IDLE, self._absolute)
            store.open_session(db, token_hash, user.id, secrets.token_urlsafe(32), lasts)
            store.log(db, user.id, "login", {})
            session = store.session_by_hash(db, token_hash)
        if session is None:  # made inactive while the password was being checked
            raise LoginRefused("name or password is wrong")
        return token, session

    def _rehash(self, user: User, password: str) -> None:
        hashed = _hashed(password)
        with self._database.write() as db:
            store.change(db, user.id, password_hash=hashed)

    def _unseen_for(self, db: Connection, token_hash: str) -> timedelta:
        seen = db.scalar(select(store.session.c.seen_at).where(store.session.c.token_hash == token_hash))
        return now(db) - seen if seen is not None else timedelta(0)

    def _touch(self, token_hash: str) -> None:
        table = store.session
        with self._database.write() as db:
            row = db.execute(select(table.c.created_at).where(table.c.token_hash == token_hash)).first()
            if row is None:
                return
            clock = now(db)
            ends = min(clock + IDLE, row.created_at + self._absolute)
            db.execute(update(table).where(table.c.token_hash == token_hash).values(seen_at=clock, expires_at=ends))


def _folded(name: str) -> str:
    """The form in which names are kept; what cannot be encoded (lone surrogates) becomes a question mark."""
    encodable = name.encode("utf-8", "replace").decode()
    return unicodedata.normalize("NFKC", encodable).strip().lower()


def _checked_name(name: str) -> str:
    folded = _folded(name)
    if not _NAME.match(folded):
        raise UserRefused("a name has 2 to 32 letters (of any script), digits, or . _ @ - inside")
    return folded


def _checked_password(password: str, name: str) -> str:
    if len(password) < SHORTEST_PASSWORD:
        raise UserRefused(f"the password is shorter than {SHORTEST_PASSWORD} characters")
    if len(password) > LONGEST_PASSWORD:
        raise UserRefused(f"the password is longer than {LONGEST_PASSWORD} characters")
    if len(set(password)) < _FEWEST_DIFFERENT:
        raise UserRefused(f"the password has fewer than {_FEWEST_DIFFERENT} different characters")
    if name in password.lower():
        raise UserRefused("the password contains the name")
    return password


@contextmanager
def _a_turn_to_hash() -> Iterator[None]:
    """Two hashes at a time: a storm of logins may cost neither memory nor the other streams."""
    if not _AT_ONCE.acquire(timeout=_PATIENCE):
        raise TooManyAttempts
    try:
        yield
    finally:
        _AT_ONCE.release()


def _bytes(password: str) -> bytes:
    """NFKC, so that the same password typed on another keyboard is the same (NIST SP 800-63B, 5.1.1.2)."""
    return unicodedata.normalize("NFKC", password).encode("utf-8", "surrogatepass")


def _hashed(password: str) -> str:
    with _a_turn_to_hash():
        return _HASHER.hash(_bytes(password))


def _right(password_hash: str, password: str) -> bool:
    with _a_turn_to_hash():
        try:
            return _HASHER.verify(password_hash, _bytes(password[:LONGEST_PASSWORD]))
        except (VerifyMismatchError, VerificationError, InvalidHashError):
            return False


def _over(db: Connection, scopes: tuple[str, str], more: int) -> bool:
    """Whether `more` attempts would exceed a limit."""
    since = now(db) - WINDOW
    limits = zip(scopes, (NAME_LIMIT, ADDRESS_LIMIT), strict=True)
    return any(store.attempts_since(db, scope, since) + more > limit for scope, limit in limits)


def _note(db: Connection, scope: str) -> int:
    made = inserted_id(db, store.login_attempt, scope=scope, at=now(db))
    assert made is not None  # noqa: S101 - an attempt has no unique key but its id
    return made


def _take_back(db: Connection, attempts: list[int]) -> None:
    db.execute(delete(store.login_attempt).where(store.login_attempt.c.id.in_(attempts)))


def _prune(db: Connection) -> None:
    """Removes what no one asks for any more: old attempts and ended sessions."""
    clock = now(db)
    db.execute(delete(store.login_attempt).where(store.login_attempt.c.at < clock - _KEPT))
    db.execute(delete(store.session).where(store.session.c.expires_at < clock))
