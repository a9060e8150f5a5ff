"""The terminal conversation, over the real path with a scripted dialogue."""

import io
import threading
from collections.abc import Callable, Iterator

import pytest

from bot import talk
from bot.build import Product
from bot.dialogue import Script
from bot.talk import Talk
from bot.worker import Job, Stop, run
from tests.talking import complaint_talk


@pytest.fixture
def working(product: Product, script: Script, monkeypatch: pytest.MonkeyPatch) -> Iterator[Product]:
    """The product with a worker in threads, which looks often because no bell rings without Redis."""
    monkeypatch.setattr("bot.worker.TICK", 0.02)
    script.answer = complaint_talk
    stop = Stop()
    jobs = [Job("turns", "work", product.turns().work_once), Job("send", "send", product.sender().send_once)]
    worker = threading.Thread(target=run, args=(jobs, product.bell, stop))
    worker.start()
    yield product
    stop.now()
    worker.join(10)


def piped(monkeypatch: pytest.MonkeyPatch, product: Product, *lines: str, language: str = "zh") -> int:
    monkeypatch.setattr("sys.stdin", io.StringIO("".join(f"{line}\n" for line in lines)))
    return talk.main(product, language)


def test_a_complaint_from_a_pipe(
    working: Product, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert piped(monkeypatch, working, "宽带断了三天", "13800138000", "1", "/quit", "not read any more") == 0
    said = capsys.readouterr().out
    assert "> 宽带断了三天" in said
    assert "[1]" in said and "我选：" in said
    assert "TS" in said, "the receipt with its reference"
    assert "not read" not in said


def test_in_english(working: Product, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert piped(monkeypatch, working, "my broadband is down", language="en") == 0
    said = capsys.readouterr().out
    assert "Goodbye" in said and "Tingsu>" in said


def test_without_a_worker_it_says_so(
    product: Product, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(talk, "HINT_AFTER", 0.3)
    monkeypatch.setattr(talk, "PATIENCE", 1.0)
    assert piped(monkeypatch, product, "宽带断了") == 1
    said = capsys.readouterr().out
    assert "make run" in said
    assert said.count("make run") == 1


def test_every_run_is_another_customer(product: Product) -> None:
    first, second = Talk(product, "zh", io.StringIO()), Talk(product, "zh", io.StringIO())
    first.take("你好")
    second.take("你好")
    assert first._conversation_id != second._conversation_id


@pytest.mark.parametrize("line", ["0", "3", "99", "٣", "1.0", "-1", "/restart", "", "\x00", "x" * 30_000])
def test_what_is_no_shown_number_is_text(product: Product, line: str) -> None:
    terminal = Talk(product, "zh", io.StringIO())
    assert terminal._incoming("k", line).payload == ""
    terminal.take(line)


def test_anything_may_come_through_the_pipe(
    working: Product, monkeypatch: pytest.MonkeyPatch, make_stdin: Callable[[bytes], None]
) -> None:
    make_stdin(b"\xff\xfe broken\n\n\x00\n")
    assert talk.main(working, "zh") == 0


@pytest.fixture
def make_stdin(monkeypatch: pytest.MonkeyPatch) -> Callable[[bytes], None]:
    def make(content: bytes) -> None:
        monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(content), encoding="utf-8"))

    return make
