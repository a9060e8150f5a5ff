"""People at work: who gets in, who does not, how often one may guess, and when a session ends."""

import threading
from dataclasses import dataclass
from datetime import timedelta

import pytest
from argon2 import PasswordHasher, Type
from sqlalchemy import select, update

from bot import users as subject
from bot.sealing import Seal
from bot.store import users as store
from bot.store.conversations import now
from bot.store.database import Database
from bot.users import LoginRefused, TooManyAttempts, UserRefused, Users

PASSWORD = "correct horse 电池"
IN_EARNEST = subject._HASHER


@dataclass(frozen=True)
class Hours:
    session_hours: int = 12


@pytest.fixture
def people(database: Database) -> Users:
    return Users(database, Hours(), Seal("k" * 40))


@pytest.fixture(autouse=True)
def cheap_hashes(monkeypatch: pytest.MonkeyPatch) -> None:
    """As many hashes as in earnest, but each takes no time."""
    monkeypatch.setattr(subject, "_HASHER", PasswordHasher(time_cost=1, memory_cost=8, parallelism=1))


def _age(database: Database, table: object, column: str, by: timedelta) -> None:
    """Makes all rows older by so much: tests do not wait."""
    with database.write() as db:
        for row in db.execute(select(table)).all():  # type: ignore[call-overload]
            key = next(iter(table.primary_key))  # type: ignore[attr-defined]
            when = getattr(row, column) - by
            db.execute(update(table).where(key == row[0]).values({column: when}))  # type: ignore[arg-type]


def test_hashes_in_earnest_are_as_owasp_says() -> None:
    hasher = IN_EARNEST
    assert (hasher.type, hasher.memory_cost, hasher.time_cost, hasher.parallelism) == (Type.ID, 19_456, 2, 1)


def test_a_login_gives_a_session_whose_token_is_not_stored(people: Users, database: Database) -> None:
    people.add("Li.Ting", "agent", PASSWORD)
    token, session = people.login("  LI.TING ", PASSWORD, "10.0.0.1")
    assert (session.user.name, session.user.role) == ("li.ting", "agent")
    again = people.session(token)
    assert again is not None and again.csrf == session.csrf
    with database.read() as db:
        row = db.execute(select(store.session)).one()
    assert token not in str(row)


def test_the_password_is_kept_as_argon2id_only(people: Users) -> None:
    user = people.add("a1", "agent", PASSWORD)
    assert user.password_hash.startswith("$argon2id$")
    assert PASSWORD not in repr(user.password_hash)


def test_the_same_password_in_another_unicode_form_is_the_same(people: Users) -> None:
    people.add("a1", "agent", "pässword-1234")
    people.login("a1", "pa\u0308ssword-1234", "10.0.0.1")


def test_names(people: Users) -> None:
    for name in ("", "a", "-ab", "a b", "a" * 33, "a\x00b", "<b>", "a\ud800"):
        with pytest.raises(UserRefused, match="a name has"):
            people.add(name, "agent", PASSWORD)
    for name in ("李婷", "li-ting", "a.b@c", "工号0571"):
        assert people.add(name, "agent", PASSWORD).name == name


def test_passwords_that_will_not_do(people: Users) -> None:
    bad = {"short": "shorter", "x" * 201: "longer", "aaaaabbbbb": "different", "I am li.ting!": "contains"}
    for password, why in bad.items():
        with pytest.raises(UserRefused, match=why):
            people.add("li.ting", "agent", password)


def test_unknown_role_and_taken_name(people: Users) -> None:
    with pytest.raises(UserRefused, match="unknown role"):
        people.add("a1", "root", PASSWORD)
    people.add("a1", "agent", PASSWORD)
    with pytest.raises(UserRefused, match="taken"):
        people.add("A1", "admin", PASSWORD)


def test_the_first_admin_is_made_once(people: Users) -> None:
    password = people.ensure_admin()
    assert password is not None
    assert people.ensure_admin() is None
    _, session = people.login("admin", password, "10.0.0.1")
    assert session.user.role == "admin"


def test_the_first_admin_is_not_made_beside_others(people: Users) -> None:
    people.add("a1", "agent", PASSWORD)
    assert people.ensure_admin() is None


def test_unknown_names_are_refused_like_wrong_passwords(people: Users) -> None:
    people.add("a1", "agent", PASSWORD)
    with pytest.raises(LoginRefused) as wrong:
        people.login("a1", "not this one", "10.0.0.1")
    for name in ("nobody", "", "\x00", "a\ud800b", "' OR 1=1 --", "x" * 5000):
        with pytest.raises(LoginRefused) as unknown:
            people.login(name, PASSWORD, "10.0.0.1")
        assert str(wrong.value) == str(unknown.value)


def test_every_refusal_costs_one_hash(people: Users, database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same work, therefore the same time: unknown, wrong, no longer active."""
    off = people.add("off", "agent", PASSWORD)
    people.add("on", "agent", PASSWORD)
    with database.write() as db:
        store.change(db, off.id, active=False)
    hashes: list[str] = []
    real = subject._right

    def counted(known: str, typed: str) -> bool:
        hashes.append(known)
        return real(known, typed)

    monkeypatch.setattr(subject, "_right", counted)
    for name, password in (("nobody", PASSWORD), ("on", "not this one"), ("off", PASSWORD)):
        with pytest.raises(LoginRefused):
            people.login(name, password, "10.0.0.1")
    assert len(hashes) == 3
    assert len({part.split("$")[3] for part in hashes}) == 1


def test_guesses_at_one_name_end(people: Users, monkeypatch: pytest.MonkeyPatch, database: Database) -> None:
    monkeypatch.setattr(subject, "NAME_LIMIT", 3)
    people.add("a1", "agent", PASSWORD)
    for n in range(3):
        with pytest.raises(LoginRefused):
            people.login("a1", "guess", f"10.0.0.{n}")
    with pytest.raises(TooManyAttempts):
        people.login("a1", PASSWORD, "10.0.0.9")
    _age(database, store.login_attempt, "at", subject.WINDOW)
    people.login("a1", PASSWORD, "10.0.0.9")


def test_unknown_names_are_throttled_as_well(people: Users, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(subject, "NAME_LIMIT", 1)
    with pytest.raises(LoginRefused):
        people.login("nobody", "guess", "10.0.0.1")
    with pytest.raises(TooManyAttempts):
        people.login("nobody", "guess", "10.0.0.1")


def test_guesses_from_one_address_end_but_logins_do_not_count(people: Users, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(subject, "ADDRESS_LIMIT", 2)
    people.add("a1", "agent", PASSWORD)
    for _ in range(3):
        people.login("a1", PASSWORD, "10.0.0.1")
    for n in range(2):
        with pytest.raises(LoginRefused):
            people.login(f"guess{n}", "guess", "10.0.0.1")
    with pytest.raises(TooManyAttempts):
        people.login("a1", PASSWORD, "10.0.0.1")
    people.login("a1", PASSWORD, "10.0.0.2")


def test_refused_attempts_do_not_lengthen_the_wait(
    people: Users, monkeypatch: pytest.MonkeyPatch, database: Database
) -> None:
    monkeypatch.setattr(subject, "NAME_LIMIT", 1)
    with pytest.raises(LoginRefused):
        people.login("a1", "guess", "10.0.0.1")
    for _ in range(5):
        with pytest.raises(TooManyAttempts):
            people.login("a1", "guess", "10.0.0.1")
    with database.read() as db:
        assert len(db.execute(select(store.login_attempt)).all()) == 2  # one for the name, one for the address


def test_guesses_side_by_side_count_as_well(people: Users, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(subject, "NAME_LIMIT", 3)
    looked: list[str] = []

    def wrong(_known: str, typed: str) -> bool:
        looked.append(typed)
        return False

    monkeypatch.setattr(subject, "_right", wrong)
    people.add("a1", "agent", PASSWORD)
    ready = threading.Barrier(8)

    def guess() -> None:
        ready.wait()
        with pytest.raises((LoginRefused, TooManyAttempts)):
            people.login("a1", "guess", "10.0.0.1")

    threads = [threading.Thread(target=guess) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(looked) <= 3


def test_at_most_two_hashes_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(subject, "_PATIENCE", 0.01)
    with subject._a_turn_to_hash(), subject._a_turn_to_hash(), pytest.raises(TooManyAttempts):
        subject._hashed(PASSWORD)


def test_a_session_ends_when_idle_and_work_keeps_it(people: Users, database: Database) -> None:
    people.add("a1", "agent", PASSWORD)
    token, first = people.login("a1", PASSWORD, "10.0.0.1")
    _age(database, store.session, "seen_at", timedelta(minutes=5))
    people.session(token, touch=False)
    with database.read() as db:
        assert db.scalar(select(store.session.c.expires_at)) == first.expires_at
    people.session(token)
    with database.read() as db:
        later = db.scalar(select(store.session.c.expires_at))
    assert later is not None and later > first.expires_at
    _age(database, store.session, "expires_at", subject.IDLE)
    assert people.session(token) is None


def test_a_session_ends_for_good_after_its_hours(people: Users, database: Database) -> None:
    people.add("a1", "agent", PASSWORD)
    token, _ = people.login("a1", PASSWORD, "10.0.0.1")
    _age(database, store.session, "created_at", timedelta(hours=11, minutes=59))
    _age(database, store.session, "seen_at", timedelta(minutes=5))
    people.session(token)
    with database.read() as db:
        ends = db.scalar(select(store.session.c.expires_at))
        assert ends is not None and ends - now(db) <= timedelta(minutes=1)


def test_logout_and_losing_the_job_end_the_session(people: Users, database: Database) -> None:
    user = people.add("a1", "agent", PASSWORD)
    token, _ = people.login("a1", PASSWORD, "10.0.0.1")
    people.logout(token)
    assert people.session(token) is None
    token, _ = people.login("a1", PASSWORD, "10.0.0.1")
    with database.write() as db:
        store.change(db, user.id, active=False)
    assert people.session(token) is None


def test_made_up_tokens_are_no_session(people: Users) -> None:
    for token in ("", "nonsense", "\x00", "\u540d" * 500):
        assert people.session(token) is None


def test_language(people: Users, database: Database) -> None:
    user = people.add("a1", "agent", PASSWORD)
    people.set_language(user.id, "en")
    with database.read() as db:
        again = store.read(db, user.id)
    assert again is not None and again.language == "en"
    with pytest.raises(UserRefused):
        people.set_language(user.id, "xx")
