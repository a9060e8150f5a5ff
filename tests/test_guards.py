"""R8: what we do not start on, what we warn of, and that `python -m bot check` says so with exit codes."""

import socket
import uuid
from pathlib import Path

import pytest
from redis import Redis, RedisError
from sqlalchemy import event, text

from bot import __main__ as commands
from bot import guards
from bot.bell import Bell
from bot.build import build
from bot.errors import Unsafe
from bot.limiter import Limiter
from bot.sealing import Seal
from bot.settings import Settings, read
from bot.store.database import Database, upgrade
from tests.conftest import absent

REDIS = "redis://127.0.0.1:6379/15"


def settings_of(home: Path, **more: str) -> Settings:
    return read({"TINGSU_HOME": str(home), **{f"TINGSU_{name}": value for name, value in more.items()}})


def found(settings: Settings) -> list[str]:
    database = Database(settings.database_url)
    try:
        return [str(one) for one in guards.findings(settings, database)]
    finally:
        database.close()


@pytest.fixture
def home(tmp_path: Path, sqlite_template: Path) -> Path:
    (tmp_path / "tingsu.sqlite3").write_bytes(sqlite_template.read_bytes())
    return tmp_path


@pytest.fixture
def checked(monkeypatch: pytest.MonkeyPatch, home: Path) -> pytest.MonkeyPatch:
    monkeypatch.setenv("TINGSU_HOME", str(home))
    for name in ("DATABASE_URL", "REDIS_URL"):
        monkeypatch.delenv(f"TINGSU_{name}", raising=False)
    return monkeypatch


def own_redis() -> str:
    try:
        Redis.from_url(REDIS, socket_timeout=1).ping()
    except (RedisError, OSError):
        absent("Redis on 127.0.0.1:6379")
    return REDIS


def test_nothing_is_wrong_with_the_embedded_installation(home: Path) -> None:
    assert found(settings_of(home)) == []


def test_sqlite_below_full_is_refused(home: Path) -> None:
    settings = settings_of(home)
    database = Database(settings.database_url)

    def careless(connection: object, _record: object) -> None:
        connection.execute("PRAGMA synchronous=NORMAL")  # type: ignore[attr-defined]  # sqlite3's

    event.listen(database.engine, "connect", careless)
    with pytest.raises(Unsafe, match="below FULL"):
        guards.enforce(settings, database)
    database.close()


@pytest.mark.real
@pytest.mark.parametrize("parameter", ["synchronous_commit", "fsync", "full_page_writes"])
def test_postgresql_that_may_lose_a_commit(pg_url: str, tmp_path: Path, parameter: str) -> None:
    """As SHOW tells it. What cannot be set for one session is said in its place."""
    settings = settings_of(tmp_path, DATABASE_URL=pg_url)
    database = Database(settings.database_url)

    def pretend(statement: str) -> str:
        return "SELECT 'off'" if statement == f"SHOW {parameter}" else statement

    def before(
        _c: object, _cursor: object, statement: str, parameters: object, _x: object, _m: bool
    ) -> tuple[str, object]:
        return pretend(statement), parameters

    event.listen(database.engine, "before_cursor_execute", before, retval=True)
    [one] = guards.findings(settings, database)
    assert parameter in one.what and one.refuses == (parameter != "full_page_writes")
    database.close()


@pytest.mark.real
def test_synchronous_commit_off_for_our_sessions_is_refused(pg_url: str, tmp_path: Path) -> None:
    address = f"{pg_url}?options=-c%20synchronous_commit%3Doff"
    with pytest.raises(Unsafe, match="synchronous_commit is off"):
        build(settings_of(tmp_path, DATABASE_URL=address))


@pytest.mark.parametrize(
    ("address", "refused"),
    [
        ("redis://10.0.0.5:6379/0", True),
        ("redis://cache.example:6379/0", True),
        ("redis://:secret@10.0.0.5:6379/0", False),
        ("rediss://user:secret@cache.example:6379/0", False),
        ("redis://127.0.0.2:6379/0", False),
        ("redis://[::1]:6379/0", False),
        ("redis://localhost/0", False),
        ("unix:///run/redis.sock", False),
    ],
)
def test_redis_across_a_network_needs_a_password(home: Path, address: str, refused: bool) -> None:
    assert bool([*guards._redis_address(settings_of(home, REDIS_URL=address))]) is refused


def test_a_redis_that_is_away_is_a_warning(home: Path) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        [line] = found(settings_of(home, REDIS_URL=f"redis://127.0.0.1:{probe.getsockname()[1]}/0"))
    assert line.startswith("warning: Redis does not answer")


@pytest.mark.parametrize(
    ("memory", "warned"),
    [
        ({"maxmemory": 1, "maxmemory_policy": "allkeys-lru"}, True),
        ({"maxmemory": 1, "maxmemory_policy": "volatile-ttl"}, True),
        ({"maxmemory": 1, "maxmemory_policy": "noeviction"}, False),
        ({"maxmemory": 0, "maxmemory_policy": "allkeys-lru"}, False),
        ({}, False),
    ],
)
def test_a_redis_that_evicts_is_a_warning(memory: dict[str, object], warned: bool) -> None:
    assert [one.refuses for one in guards._eviction(memory)] == [False] * warned


@pytest.mark.real
def test_another_installation_on_our_prefix_is_a_warning(home: Path) -> None:
    prefix = f"test-{uuid.uuid4().hex}"
    ours = settings_of(home, REDIS_URL=own_redis(), REDIS_PREFIX=prefix)
    theirs = settings_of(home, REDIS_URL=REDIS, REDIS_PREFIX=prefix, DATABASE_URL="postgresql://a@b/c")
    for neighbour, warnings in ((ours, 0), (theirs, 1)):
        bell = Bell(REDIS, prefix, neighbour.installation)
        listener = bell.listener(["work"])
        listener.wait(0.2)
        assert len(found(ours)) == warnings
        listener.close()
        bell.close()
    assert found(ours) == [], "it is gone, and so is what it left in Redis"


@pytest.mark.real
def test_nobody_can_be_read_from_redis() -> None:
    prefix = f"test-{uuid.uuid4().hex}"
    limiter = Limiter(own_redis(), prefix, lambda who: f"hash-of-{len(who)}")
    assert limiter.allow("webchat.visit", "203.0.113.7", "3/minute")
    redis = Redis.from_url(REDIS)
    keys = [*redis.scan_iter(f"*{prefix}*")]
    assert keys and all(key.startswith(f"{prefix}.limit".encode()) for key in keys)
    assert not [key for key in redis.scan_iter() if b"203.0.113.7" in key]
    redis.delete(*keys)
    redis.close()


def test_the_product_names_who_it_counts_by_a_keyed_hash(home: Path) -> None:
    product = build(settings_of(home, SECRET_KEY="a" * 40))
    named = product.limiter._named("203.0.113.7")
    product.close()
    assert named == Seal("a" * 40).digest("limit", "203.0.113.7") != Seal("b" * 40).digest("limit", "203.0.113.7")


@pytest.mark.parametrize(("revision", "word"), [("head", ""), ("0001", "older"), ("9999", "newer")])
def test_tables_of_another_version_are_a_warning(tmp_path: Path, revision: str, word: str) -> None:
    settings = settings_of(tmp_path)
    database = Database(settings.database_url)
    upgrade(database, "0001" if revision == "0001" else "head")
    if revision == "9999":
        with database.write() as db:
            db.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    database.close()
    lines = found(settings)
    assert len(lines) == bool(word) and all(line.startswith("warning:") and word in line for line in lines)


def test_check_says_that_nothing_is_wrong(checked: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert commands.main(["check"]) == 0
    assert capsys.readouterr().out == "Nothing stands in the way.\n"


def test_check_refuses_with_exit_code_one(checked: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    checked.setenv("TINGSU_REDIS_URL", "redis://192.0.2.1:6379/0")
    checked.setattr(guards, "_redis", lambda _settings: [])
    assert commands.main(["check"]) == 1
    out = capsys.readouterr().out
    assert out.startswith("refused: Redis on 192.0.2.1 has no password") and "TINGSU_REDIS_URL=" in out


def test_check_without_a_database(checked: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    checked.setenv("TINGSU_DATABASE_URL", "postgresql://nobody@127.0.0.1:9/none")
    assert commands.main(["check"]) == 1
    assert "the database cannot be used" in capsys.readouterr().out


@pytest.mark.parametrize("command", ["worker", "poller", "talk"])
def test_no_command_works_on_it(command: str, checked: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    checked.setenv("TINGSU_REDIS_URL", "redis://192.0.2.1:6379/0")
    checked.setattr(guards, "_redis", lambda _settings: [])
    assert commands.main([command]) == 1
    assert "has no password" in capsys.readouterr().err


def test_no_door_opens_on_it(checked: pytest.MonkeyPatch) -> None:
    import console
    import webhooks

    checked.setenv("TINGSU_REDIS_URL", "redis://192.0.2.1:6379/0")
    checked.setattr(guards, "_redis", lambda _settings: [])
    for door in (webhooks, console):
        with pytest.raises(Unsafe, match="no password"):
            door.create_app()


def test_a_prefix_is_a_plain_word(tmp_path: Path) -> None:
    from bot.errors import SettingsWrong

    with pytest.raises(SettingsWrong, match="TINGSU_REDIS_PREFIX"):
        settings_of(tmp_path, REDIS_PREFIX="two words")
