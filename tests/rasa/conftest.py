"""The two private servers, really started once, for all tests that talk."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.rasa.servers import ROOT, Server, Talk, free_port, running, wait_for


@pytest.fixture(scope="session")
def model() -> Path:
    """The trained model; trained here where `make train` has not run."""
    done = subprocess.run([sys.executable, ROOT / "nlu_data" / "train.py"], capture_output=True, text=True, check=True)
    return Path(done.stdout.strip())


@pytest.fixture(scope="session")
def server(model: Path) -> Iterator[Server]:
    actions_port, port = free_port(), free_port()
    with (
        running("actions", "--port", str(actions_port)),
        running("rasa", "--port", str(port), "--actions-port", str(actions_port), "--model", str(model)),
    ):
        started = Server(port, model)
        wait_for(started)
        yield started


@pytest.fixture
def talk(server: Server) -> Talk:
    return Talk(server)


@pytest.fixture
def english(server: Server) -> Talk:
    return Talk(server, "en")
