"""The journey with real Rasa: complaint, receipt, status, a person, back to the bot, solved; on both channels.

Once on the embedded defaults (SQLite, Valkey) and once on PostgreSQL and Redis, started as operators start it.
"""

import re
import subprocess
import sys
import uuid
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

import psycopg
import pytest
from psycopg import sql
from redis import Redis
from sqlalchemy import select

from bot.store import conversations
from bot.store.database import Database
from bot.store.metadata import metadata
from tests.channels.conftest import TelegramEmulator
from tests.conftest import PG_HOST, absent, pg_available
from tests.running import ROOT, Agent, Running, WebCustomer, running, wait_for

pytestmark = [pytest.mark.journey, pytest.mark.timeout(400)]  # starting Rasa on a busy machine takes minutes

REFERENCE = re.compile(r"TS-[2-9A-Z]{4}-[2-9A-Z]{4}-[2-9A-Z]")
SOLVED = {"zh": "换了光猫，网速已恢复", "en": "We replaced the modem"}

WORDS = {
    "zh": {
        "complaint": "我家宽带从昨晚一直断网，光猫红灯，报修电话也打不通",
        "number": "13800138000",
        "place": "南京市江宁区东山街道金盛路8号",
        "when": "昨天晚上八点",
        "skip": "跳过",
        "status": "我的投诉怎么样了",
        "human": "转人工",
        "queued": "人工",
        "released": "智能客服",
        "thanks": "谢谢",
        "stranger": "查询凭证",
        "changed": "有新进展",
        "greet": "你好",
        "receipt": "受理编号",
    },
    "en": {
        "complaint": "My home broadband has been dead since last night and the modem light is red",
        "number": "13800138000",
        "place": "8 Jinsheng Road, Jiangning, Nanjing",
        "when": "last night around eight",
        "skip": "skip",
        "status": "how is my complaint going",
        "human": "I want to talk to a human",
        "queued": "person",
        "released": "the bot, carry on",
        "thanks": "thanks",
        "stranger": "receipt code",
        "changed": "News on your complaint",
        "greet": "hello there",
        "receipt": "Your reference is",
    },
}


class Customer(Protocol):
    """A customer on some channel."""

    def say(self, text: str) -> None: ...

    def tap(self, wire: str) -> None: ...

    def hear(self, pattern: str, seconds: float = 60) -> dict[str, object]: ...


class TelegramCustomer:
    """A customer at the Telegram emulator."""

    def __init__(self, emulator: TelegramEmulator, chat_id: int) -> None:
        self._emulator = emulator
        self._chat_id = chat_id
        self._read = 0

    def say(self, text: str) -> None:
        self._emulator.push_text(self._chat_id, text)

    def tap(self, wire: str) -> None:
        asked = [one for one in self._emulator.sent(self._chat_id) if wire in [data for _, data in one.buttons]][-1]
        self._emulator.push_tap(self._chat_id, wire, asked.message_id)

    def hear(self, pattern: str, seconds: float = 60) -> dict[str, object]:
        def look() -> dict[str, object] | None:
            for place, one in enumerate(self._emulator.sent(self._chat_id)):
                if place >= self._read and re.search(pattern, one.text):
                    self._read = place + 1
                    buttons = [{"label": label, "payload": data} for label, data in one.buttons]
                    return {"text": one.text, "buttons": buttons}
            return None

        try:
            return wait_for(pattern, look, seconds)
        except AssertionError:
            said = "\n".join(one.text for one in self._emulator.sent(self._chat_id))
            raise AssertionError(f"never heard {pattern!r}; heard:\n{said}") from None


@pytest.fixture(scope="module")
def emulator() -> Iterator[TelegramEmulator]:
    started = TelegramEmulator()
    yield started
    started.close()


@pytest.fixture(scope="module", params=["embedded", "postgresql and redis"])
def product(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, emulator: TelegramEmulator
) -> Iterator[Running]:
    home = tmp_path_factory.mktemp("home")
    telegram = {"TINGSU_TELEGRAM_TOKEN": emulator.token, "TINGSU_TELEGRAM_API_URL": emulator.base_url}
    if request.param == "embedded":
        with running(home, **telegram) as started:
            started.add_user("lin")
            yield started
        return
    if not pg_available():
        absent("PostgreSQL server on 127.0.0.1:5432")
    name = f"tingsu_journey_{uuid.uuid4().hex[:8]}"
    with psycopg.connect(PG_HOST, autocommit=True) as admin:
        admin.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
    outside = {
        "TINGSU_DATABASE_URL": f"{PG_HOST.rsplit('/', 1)[0]}/{name}",
        "TINGSU_REDIS_URL": "redis://127.0.0.1:6379/9",
    }
    try:
        with running(home, **telegram, **outside) as started:
            started.add_user("lin")
            yield started
    finally:
        with psycopg.connect(PG_HOST, autocommit=True) as admin:
            admin.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


@pytest.fixture
def agent(product: Running) -> Iterator[Agent]:
    logged_in = Agent(product.console, "lin")
    yield logged_in
    logged_in.close()


@contextmanager
def database_of(product: Running) -> Iterator[Database]:
    url = product.environ.get("TINGSU_DATABASE_URL", f"sqlite:///{product.home}/tingsu.sqlite3")
    database = Database(url.replace("postgresql://", "postgresql+psycopg://"))
    try:
        yield database
    finally:
        database.close()


def newest_conversation(product: Running) -> int:
    with database_of(product) as database, database.read() as db:
        return conversations.recent(db, 1)[0].id


def whole_database(product: Running) -> str:
    with database_of(product) as database, database.read() as db:
        rows = [row for table in metadata.sorted_tables for row in db.execute(select(table))]
    return "\n".join(str(value) for row in rows for value in row)


def whole_redis(product: Running) -> str:
    """Every key with its value, of the embedded Valkey or of this run's Redis number."""
    port = product.run_file()["children"].get("valkey", {}).get("port")
    with Redis.from_url(product.environ.get("TINGSU_REDIS_URL") or f"redis://127.0.0.1:{port}/0") as redis:
        return "\n".join(f"{key!r} {redis.dump(key)!r}" for key in redis.scan_iter())


def command(product: Running, *arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "bot", *arguments],
        cwd=ROOT,
        env=product.environ,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def payload(line: dict[str, object], place: int) -> str:
    buttons = line["buttons"]
    assert isinstance(buttons, list) and buttons, line
    return str(buttons[place]["payload"])


def complain(customer: Customer, words: dict[str, str]) -> str:
    """From the first words to the receipt; gives the reference. Answers what is asked, whatever the order."""
    customer.say(words["complaint"])
    answers = {
        r"号码|手机号|账号|number|account": words["number"],
        r"什么时候|时间|几点|when|time": words["when"],
        r"地址|地方|哪里|地点|位置|where|address|place": words["place"],
        r"希望|诉求|怎么解决|like us to|want|remedy": words["skip"],
    }
    for _ in range(16):
        line = customer.hear(r".+")
        said, buttons = str(line["text"]), line["buttons"]
        if not buttons:  # a question always has at least a button to skip it
            continue
        if isinstance(buttons, list) and len(buttons) == 3 and words["number"] in said:
            customer.tap(payload(line, 0))
            receipt = customer.hear(words["receipt"])
            found = REFERENCE.search(str(receipt["text"]))
            assert found, receipt
            return found[0]
        answer = next((answer for asked, answer in answers.items() if re.search(asked, said, re.IGNORECASE)), None)
        assert answer, f"what is asked here? {said}"
        customer.say(answer)
    raise AssertionError("sixteen lines and no read-back")


class Customers:
    """Makes customers and sees them off."""

    def __init__(self, product: Running, emulator: TelegramEmulator) -> None:
        self._product = product
        self._emulator = emulator
        self._web: list[WebCustomer] = []

    def on(self, channel: str, language: str = "zh") -> Customer:
        if channel == "telegram":
            return TelegramCustomer(self._emulator, hash((self._product.public, language)) % 10**8 + 1)
        self._web.append(WebCustomer(self._product.public, language))
        return self._web[-1]

    def close(self) -> None:
        for one in self._web:
            one.close()


@pytest.fixture
def customers(product: Running, emulator: TelegramEmulator) -> Iterator[Customers]:
    made = Customers(product, emulator)
    yield made
    made.close()


@pytest.mark.parametrize("channel", ["telegram", "webchat"])
@pytest.mark.parametrize("language", ["zh", "en"])
def test_the_whole_journey(product: Running, customers: Customers, agent: Agent, channel: str, language: str) -> None:
    words = WORDS[language]
    customer = customers.on(channel, language)
    reference = complain(customer, words)
    conversation_id = newest_conversation(product)

    customer.say(words["status"])
    assert reference in str(customer.hear(reference)["text"])

    stranger = customers.on("webchat", language)
    stranger.say(f"{reference}")
    told = stranger.hear(words["stranger"])
    assert reference not in str(told["text"]), "a stranger learns nothing, not even that it exists"

    customer.say(words["human"])
    customer.hear(words["queued"])
    assert agent.do(conversation_id, "claim").status_code == 200
    customer.say(words["thanks"])
    assert agent.do(conversation_id, "reply", text=f"agent speaking to {language}").status_code == 200
    customer.hear(f"agent speaking to {language}")
    assert agent.do(conversation_id, "release").status_code == 200
    customer.hear(words["released"])
    customer.say(words["status"])
    customer.hear(reference)

    assert agent.set_state(conversation_id, "resolved", SOLVED[language]).status_code == 200
    changed = customer.hear(words["changed"])
    assert SOLVED[language] in str(changed["text"]) and reference in str(changed["text"])
    agent.do(conversation_id, "claim")
    assert agent.do(conversation_id, "close").status_code == 200


def test_a_customer_leaves_no_words_in_logs_and_redis_and_none_at_all_once_erased(
    product: Running, customers: Customers, tmp_path: Path
) -> None:
    canary = "金丝雀" + uuid.uuid4().hex[:8]
    phone = "13912345670"
    customer = customers.on("webchat")
    customer.say(f"宽带断了 {canary} {phone}")
    customer.hear(r".+")
    for path in [product.home / "supervisor.out", *(product.home / "logs").glob("*")]:
        logged = path.read_text(encoding="utf-8", errors="replace")
        assert canary not in logged and phone not in logged, path.name
    kept = whole_redis(product)
    assert canary not in kept and phone not in kept
    assert canary in whole_database(product)
    who = f"identity:{identity_of(product, newest_conversation(product))}"
    command(product, "export", who, "--to", str(tmp_path / "copy.zip"))
    with zipfile.ZipFile(tmp_path / "copy.zip") as pack:
        assert canary in pack.read("data.json").decode()
    assert "Erased" in command(product, "erase", who, "--yes")
    left = whole_database(product)
    assert canary not in left and phone not in left


def identity_of(product: Running, conversation_id: int) -> int:
    with database_of(product) as database, database.read() as db:
        found = conversations.read(db, conversation_id)
    assert found is not None
    return found.identity_id
