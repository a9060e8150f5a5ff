"""The commands' refusals: one clear sentence, exit code 1, no traceback."""

from pathlib import Path

import pytest

from bot import logs
from bot.__main__ import main


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TINGSU_HOME", str(tmp_path))
    monkeypatch.setattr(logs, "configure", lambda level: None)  # this test's stderr ends with it
    return tmp_path


@pytest.mark.parametrize("command", ["worker", "poller", "talk"])
def test_a_database_without_tables_is_said(home: Path, capsys: pytest.CaptureFixture[str], command: str) -> None:
    assert main([command]) == 1
    assert "python -m bot migrate" in capsys.readouterr().err


def test_a_database_that_is_away_is_said(
    home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("TINGSU_DATABASE_URL", "postgresql://nobody@127.0.0.1:9/none")
    assert main(["migrate"]) == 1
    assert "The database cannot be used" in capsys.readouterr().err


def test_wrong_settings_are_listed(
    home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("TINGSU_PUBLIC_PORT", "nine")
    monkeypatch.setenv("TINGSU_HOURS", "never")
    assert main(["worker"]) == 1
    said = capsys.readouterr().err
    assert "TINGSU_PUBLIC_PORT" in said and "TINGSU_HOURS" in said


def test_a_login_is_made_once(home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    import io

    for expected in (0, 1):
        monkeypatch.setattr("sys.stdin", io.StringIO("a long enough password\n"))
        assert main(["user", "add", "lin", "--role", "agent", "--password-stdin"]) == expected
    assert "lin (agent) can log in now." in capsys.readouterr().out
