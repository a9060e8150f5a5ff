"""/metrics: every figure has its alert or its row in the docs, the numbers are SQL's, and the questions use indexes."""

import re
import time
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml
from flask.testing import FlaskClient
from prometheus_client.parser import text_string_to_metric_families
from sqlalchemy import event, insert, select
from sqlalchemy.exc import OperationalError

from bot.build import Product
from bot.dialogue import Question, Said, Script
from bot.errors import SendFailed, TurnFailed
from bot.metrics import exposition
from bot.pressure import Pressure
from bot.store import conversations, leases, tickets
from bot.store.conversations import conversation
from bot.store.database import Database
from bot.store.inbox import inbox
from bot.store.people import identity
from console import create_app
from tests.talking import Hands, chat, text
from tests.test_sending import FakeChannel

_clock = datetime(2026, 1, 1, tzinfo=UTC)
DOCS = Path(__file__).parent.parent / "docs"
MANY = 50_000
_BIG = "(conversation|inbox|outbox|turn|fact|ticket)"
WHOLE = re.compile(rf"Seq Scan on {_BIG}\b|SCAN {_BIG}(?! USING)\b")


def scrape(product: Product) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    """(sample, labels) -> value; what was kept from the scrape before is forgotten."""
    product.figures._looked_at = product.pressure._looked_at = -1000.0
    families = text_string_to_metric_families(exposition(product.measures, product.figures).decode())
    return {(s.name, frozenset(s.labels.items())): s.value for family in families for s in family.samples}


def value(product: Product, name: str, **labels: str) -> float:
    return scrape(product)[name, frozenset(labels.items())]


def names(product: Product) -> set[str]:
    """Families, without the suffixes of their samples."""
    text = exposition(product.measures, product.figures).decode()
    return {line.split()[2].removesuffix("_total") for line in text.splitlines() if line.startswith("# TYPE")}


def test_what_waits_is_counted_and_dated(product: Product, script: Script) -> None:
    accepted = product.inbox.accept(chat(product), text("ann", "宽带断了"))
    with product.database.write() as db:
        before = conversations.now(db) - timedelta(minutes=10)
        db.execute(inbox.update().values(received_at=before))
        conversations.change(db, accepted.conversation_id or 0, work_at=before)
    assert value(product, "tingsu_open_messages", state="bot") == 1
    assert value(product, "tingsu_oldest_unanswered_seconds") >= 600
    assert value(product, "tingsu_oldest_due_work_seconds") >= 600
    assert value(product, "tingsu_accept_duration_seconds_count", channel="webchat") == 1
    Hands(product).work()
    assert value(product, "tingsu_open_messages", state="bot") == 0
    assert value(product, "tingsu_oldest_unanswered_seconds") == 0
    assert value(product, "tingsu_recent_facts", kind="turn.done") == 1


def test_turns_and_sends_that_fail_are_told_apart(product: Product, script: Script) -> None:
    hands = Hands(product)
    channel = FakeChannel()
    screen = product.accounts["screen", "main"]
    product.channels._made[screen.id] = channel

    def once_nothing(question: Question) -> Said:
        if len(script.asked) == 1:
            raise TurnFailed("empty")
        return Said([{"key": "system.one_moment", "args": {}, "buttons": []}], [], {})

    def blocked() -> None:
        raise SendFailed("blocked", permanent=True)

    script.answer = once_nothing
    channel.plan = [blocked]
    product.inbox.accept(screen, text("bob", "hello"))
    hands.turns.work_once()
    assert value(product, "tingsu_turns", state="failing") == 1
    assert value(product, "tingsu_turn_duration_seconds_count", outcome="failed") == 1
    hands.sender.send_once()
    assert value(product, "tingsu_send_duration_seconds_count", channel="screen", outcome="refused") == 1
    assert value(product, "tingsu_outbox_messages", **{"class": "courtesy", "state": "dead"}) == 1


def test_a_dead_workers_lease_is_seen(product: Product) -> None:
    product.inbox.accept(chat(product), text("ann", "宽带断了"))
    with product.database.write() as db:
        leased = leases.claim_work(db, 45)
        assert leased is not None
        conversations.change(db, leased.id, lease_until=conversations.now(db) - timedelta(seconds=30))
    assert value(product, "tingsu_expired_leases", kind="turn") == 1
    assert value(product, "tingsu_expired_lease_age_seconds", kind="turn") >= 30
    assert value(product, "tingsu_expired_leases", kind="send") == 0


def test_a_database_that_is_away_is_a_figure(product: Product, monkeypatch: pytest.MonkeyPatch) -> None:
    def away(_self: Database) -> Any:
        raise OperationalError("SELECT", {}, Exception("gone"))

    monkeypatch.setattr(Database, "read", away)
    found = scrape(product)
    assert found["tingsu_database_up", frozenset()] == 0
    assert ("tingsu_disk_free_bytes", frozenset()) in found


def test_figures_are_kept_for_some_seconds(product: Product) -> None:
    assert value(product, "tingsu_open_messages", state="bot") == 0
    product.inbox.accept(chat(product), text("ann", "宽带断了"))
    assert b'tingsu_open_messages{state="bot"} 0.0' in exposition(product.measures, product.figures)


@pytest.mark.parametrize(
    ("token", "headers", "address", "status"),
    [
        ("", {}, "127.0.0.1", 200),
        ("", {}, "10.0.0.7", 403),
        ("", {"X-Forwarded-For": "127.0.0.1"}, "127.0.0.1", 403),
        ("", {"Authorization": "Bearer "}, "10.0.0.7", 403),
        ("s3cret", {}, "127.0.0.1", 403),
        ("s3cret", {"Authorization": "Bearer s3cret"}, "10.0.0.7", 200),
        ("s3cret", {"Authorization": "Bearer wröng"}, "10.0.0.7", 403),
    ],
)
def test_who_may_read_them(make_product: Any, token: str, headers: dict[str, str], address: str, status: int) -> None:
    client: FlaskClient = create_app(make_product(TINGSU_METRICS_TOKEN=token)).test_client()
    answer = client.get("/metrics", headers=headers, environ_base={"REMOTE_ADDR": address})
    assert answer.status_code == status
    assert (b"tingsu_open_messages" in answer.data) is (status == 200)


def rules() -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = yaml.safe_load((DOCS / "alerts.yml").read_text())["groups"][0]["rules"]
    return found


def in_expression(expression: str) -> set[str]:
    sample = re.compile(r"\btingsu_[a-z_]+")
    return {re.sub(r"_(bucket|count|sum|total)$", "", name) for name in sample.findall(expression)}


def test_every_alert_is_about_a_figure_that_exists_and_every_figure_has_one(product: Product) -> None:
    alarmed = set().union(*(in_expression(rule["expr"]) for rule in rules()))
    assert alarmed == names(product), "a figure without an alert, or an alert without its figure"
    assert all(rule["annotations"]["summary"] and rule["labels"]["severity"] in ("page", "ticket") for rule in rules())


def test_the_page_for_operators_has_every_figure_and_every_alert(product: Product) -> None:
    page = (DOCS / "operations.md").read_text()
    assert {name for name in names(product) if f"`{name}" not in page} == set()
    assert {rule["alert"] for rule in rules() if rule["alert"] not in page} == set()


def test_labels_name_nobody(product: Product, script: Script) -> None:
    """Only words of ours: no id, no name, no text."""
    Hands(product).say("13800138000", "我是王小明，身份证丢了")
    labels = {label for name, labels in scrape(product) for label in labels}
    allowed = re.compile(r"[a-z]+(\.[a-z]+)?|desk:local|channel:[a-z]+/[a-z0-9-]+|\d+\.\d+|\+Inf")
    assert [pair for pair in labels if not allowed.fullmatch(pair[1])] == []


@pytest.fixture
def crowded(product: Product) -> Product:
    """So many conversations, nearly all of them quiet, as after a year."""
    account = chat(product)
    with product.database.write() as db:
        rows = [{"account_id": account.id, "external_id": f"v{n}", "created_at": _clock} for n in range(MANY)]
        db.execute(insert(identity), rows)
        ids = db.scalars(select(identity.c.id).order_by(identity.c.id)).all()
        quiet = {
            "account_id": account.id, "state": "bot", "epoch": 1, "next_sequence": 2, "next_stream": 1,
            "language": "zh", "dialogue": {}, "lease_token": 0, "send_lease_token": 0, "created_at": _clock,
        }  # fmt: skip
        due = {"work_at": _clock, "send_at": _clock}
        idle: dict[str, Any] = {"work_at": None, "send_at": None}
        db.execute(
            insert(conversation),
            [{**quiet, **(due if n % 100 == 0 else idle), "identity_id": id_} for n, id_ in enumerate(ids)],
        )
        if not product.database.sqlite:
            db.exec_driver_sql("ANALYZE")
    return product


class Plans:
    """Explains every SELECT that is asked meanwhile. `forced`: PostgreSQL reads a table whole only if it has to, since
    the tables are empty here and it would else not care for their indexes."""

    def __init__(self, database: Database, *, forced: bool = False) -> None:
        self._database = database
        self._forced = forced and not database.sqlite
        self._how = "EXPLAIN QUERY PLAN" if database.sqlite else "EXPLAIN"
        self.seen: list[tuple[str, str]] = []

    def __enter__(self) -> "Plans":
        event.listen(self._database.engine, "before_cursor_execute", self._explain)
        return self

    def __exit__(self, *_: object) -> None:
        event.remove(self._database.engine, "before_cursor_execute", self._explain)

    def _explain(self, connection: Any, _cursor: Any, statement: str, parameters: Any, *_: Any) -> None:
        if not statement.lstrip().startswith("SELECT"):
            return
        with closing(connection.connection.cursor()) as cursor:
            if self._forced:
                cursor.execute("SET LOCAL enable_seqscan = off")
            cursor.execute(f"{self._how} {statement}", parameters)
            self.seen.append((statement, "\n".join(str(row[-1]) for row in cursor.fetchall())))

    def scans(self) -> list[tuple[str, str]]:
        """Statements that read a whole table."""
        return [(statement, plan) for statement, plan in self.seen if WHOLE.search(plan)]


def test_claims_read_indexes_at_fifty_thousand_conversations(crowded: Product) -> None:
    database = crowded.database
    with Plans(database) as plans, database.write() as db:
        assert leases.claim_work(db, 45) is not None
        assert leases.claim_sending(db, 24) is not None
    assert len(plans.seen) >= 4
    assert plans.scans() == []
    sorts = [seen for seen in plans.seen if re.search(r"\bSort\b|TEMP B-TREE", seen[1])]
    assert sorts == [], "a claim would sort everybody who is due to find the first"


def test_figures_read_indexes(crowded: Product) -> None:
    with Plans(crowded.database, forced=True) as plans:
        began = time.perf_counter()
        scrape(crowded)
        print(f"one look at all figures, explained: {time.perf_counter() - began:.2f} s")
        with crowded.database.write() as db:
            tickets.due(db, conversations.now(db))
        Pressure(crowded.database, crowded.settings.home, 1, timedelta(1)).reasons()
    assert len(plans.seen) > 12
    assert plans.scans() == []
