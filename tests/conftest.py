"""Fixtures that everyone uses: both databases, and a product on them without Rasa and Redis."""

import os
import shutil
import tempfile
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NoReturn

import psycopg
import pytest
from psycopg import sql

from bot import logs
from bot import settings as settings_file
from bot.build import Product, build
from bot.dialogue import Script
from bot.settings import Settings
from bot.store.database import Database, upgrade
from bot.store.metadata import metadata

# A thousand tests that wait for a disk at every commit take minutes; what needs a real disk says so itself.
MEMORY = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
PG_HOST = os.environ.get("TINGSU_TEST_PG", "postgresql://postgres@127.0.0.1:5432/postgres")


def absent(what: str) -> NoReturn:
    """A service that a test needs is not here: said and skipped, but never in CI, which has them all."""
    if os.environ.get("CI"):
        pytest.fail(f"CI has a {what}, but it does not answer")
    pytest.skip(f"no {what}")


def pg_available() -> bool:
    try:
        psycopg.connect(PG_HOST, connect_timeout=2).close()
    except psycopg.OperationalError:
        return False
    return True


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What keeps its data in a database is not one of the fast tests."""
    for item in items:
        if "database_url" in getattr(item, "fixturenames", ()):
            item.add_marker("store")


FIGURES = "figures"  # property of a test's report that is printed at the end, also of tests in other processes (xdist)


@pytest.fixture
def tell(record_property: Callable[[str, object], None]) -> Callable[[str], None]:
    """Lines for the end of the run: what a test has measured."""
    return lambda lines: record_property(FIGURES, lines)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    reports = [one for outcome in ("passed", "failed") for one in terminalreporter.getreports(outcome)]
    told = [(one.nodeid, lines) for one in reports for name, lines in one.user_properties if name == FIGURES]
    if told:
        terminalreporter.section(FIGURES)
    for test, lines in told:
        terminalreporter.line(f"{test.rpartition('::')[2]}\n{lines}")


@pytest.fixture(scope="session", autouse=True)
def _logs() -> None:
    logs.configure("info")


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("template") / "tingsu.sqlite3"
    database = Database(f"sqlite:///{path}")
    upgrade(database)
    database.close()
    return path


@pytest.fixture(scope="session")
def pg_url() -> Iterator[str]:
    """A database of this run's own on the PostgreSQL server, migrated; dropped at the end."""
    if not pg_available():
        absent("PostgreSQL server on 127.0.0.1:5432")
    name = f"tingsu_test_{uuid.uuid4().hex[:12]}"
    with psycopg.connect(PG_HOST, autocommit=True) as admin:
        admin.execute(f'CREATE DATABASE "{name}"')
    url = f"postgresql+psycopg{PG_HOST.removeprefix('postgresql').rsplit('/', 1)[0]}/{name}"
    database = Database(url)
    upgrade(database)
    database.close()
    yield url
    with psycopg.connect(PG_HOST, autocommit=True) as admin:
        admin.execute(f'DROP DATABASE "{name}" WITH (FORCE)')


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.real)])
def database_url(request: pytest.FixtureRequest) -> Iterator[str]:
    """An empty, migrated database: once per test on SQLite, emptied before the test on PostgreSQL."""
    if request.param == "sqlite":
        with tempfile.TemporaryDirectory(dir=MEMORY, prefix="tingsu-test-") as folder:
            path = Path(folder) / "tingsu.sqlite3"
            shutil.copy(request.getfixturevalue("sqlite_template"), path)
            yield f"sqlite:///{path}"
        return
    url: str = request.getfixturevalue("pg_url")
    with psycopg.connect(url.replace("+psycopg", "")) as db:
        for table in reversed(metadata.sorted_tables):  # TRUNCATE would cost half a second
            db.execute(sql.SQL("DELETE FROM {}").format(sql.Identifier(table.name)))
    yield url


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    opened = Database(database_url)
    yield opened
    opened.close()


@pytest.fixture
def environ(tmp_path: Path, database_url: str) -> dict[str, str]:
    """What a test product is started with; tests add to it before they ask for `make_product`."""
    return {
        "TINGSU_HOME": str(tmp_path / "home"),
        "TINGSU_DATABASE_URL": database_url,
        "TINGSU_SECRET_KEY": "for tests only, and long enough to pass",
    }


@pytest.fixture
def settings(environ: dict[str, str]) -> Settings:
    return settings_file.read(environ)


@pytest.fixture
def script() -> Script:
    """The dialogue of `product`; tests replace its function."""
    return Script()


@pytest.fixture
def make_product(environ: dict[str, str], script: Script) -> Iterator[Callable[..., Product]]:
    made: list[Product] = []

    def make(**more: str) -> Product:
        product = build(settings_file.read(environ | more), dialogue=script)
        made.append(product)
        return product

    yield make
    for product in made:
        product.close()


@pytest.fixture
def product(make_product: Callable[..., Product]) -> Product:
    return make_product()


@pytest.fixture(scope="session")
def rasa_url() -> Iterator[str]:
    """A real Rasa, started once for all tests that talk to it."""
    from tests.understanding import rasa

    with rasa() as url:
        yield url


@pytest.fixture
def make_talking(rasa_url: str, tmp_path: Path, sqlite_template: Path) -> Iterator[Callable[[], Product]]:
    """Makes a product with real Rasa on this test's own SQLite database; again after a restart."""
    path = tmp_path / "tingsu.sqlite3"
    path.write_bytes(sqlite_template.read_bytes())
    environ = {
        "TINGSU_HOME": str(tmp_path),
        "TINGSU_DATABASE_URL": f"sqlite:///{path}",
        "TINGSU_SECRET_KEY": "for tests only, and long enough to pass",
        "TINGSU_RASA_URL": rasa_url,
    }
    made: list[Product] = []

    def make() -> Product:
        made.append(build(settings_file.read(environ)))
        return made[-1]

    yield make
    for product in made:
        product.close()
