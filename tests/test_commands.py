"""The commands: each in its file, and refusals in one clear sentence, exit code 1, no traceback."""

import subprocess
import sys
from pathlib import Path

import pytest

from bot import cli, logs
from bot.__main__ import main


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TINGSU_HOME", str(tmp_path))
    monkeypatch.setattr(logs, "configure", lambda level: None)  # this test's stderr ends with it
    return tmp_path


def test_every_command_has_its_file() -> None:
    assert {file.stem for file in Path(cli.__file__).parent.glob("*.py")} - {"__init__"} == cli.COMMANDS.keys()


@pytest.mark.parametrize("command", cli.COMMANDS)
def test_every_command_has_its_help(capsys: pytest.CaptureFixture[str], command: str) -> None:
    with pytest.raises(SystemExit) as left:
        main([command, "--help"])
    assert left.value.code == 0 and f"python -m bot {command}" in capsys.readouterr().out


@pytest.mark.parametrize("given", [[], ["nonsense"], ["user", "add", "lin"]])
def test_wrong_use_is_exit_code_2(given: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as left:
        main(given)
    assert left.value.code == 2 and "usage:" in capsys.readouterr().err


def test_parse_loads_no_database() -> None:
    look = "import sys, bot.__main__ as m; m._parser('parse'); sys.exit('sqlalchemy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", look], check=False).returncode == 0


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
