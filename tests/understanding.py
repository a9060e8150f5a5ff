"""Real Rasa for tests of the product: both private servers, started from the Rasa environment on free ports."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import httpx

from tests.running import ROOT, free_port, wait_for

PYTHON = ROOT / ".venv-rasa" / "bin" / "python"
_SERVE = ROOT / "nlu_data" / "serve.py"


def trained() -> str:
    """The model's file; trained here where `make train` has not run."""
    done = subprocess.run([PYTHON, ROOT / "nlu_data" / "train.py"], capture_output=True, text=True, check=True)
    return done.stdout.strip().splitlines()[-1]


@contextmanager
def rasa() -> Iterator[str]:
    """The address of a Rasa that answers, with its action server."""
    model, actions_port, port = trained(), free_port(), free_port()
    with ExitStack() as running:
        running.enter_context(_server("actions", "--port", f"{actions_port}"))
        address = ("--port", f"{port}", "--actions-port", f"{actions_port}")
        running.enter_context(_server("rasa", *address, "--model", model))
        url = f"http://127.0.0.1:{port}"
        wait_for("Rasa", lambda: _answers(url), 240)
        wait_for("the action server", lambda: _answers(f"http://127.0.0.1:{actions_port}", "/health"), 60)
        yield url


@contextmanager
def _server(*arguments: str) -> Iterator[None]:
    quiet = {**os.environ, "CUDA_VISIBLE_DEVICES": ""}
    process = subprocess.Popen([PYTHON, _SERVE, *arguments], env=quiet, stderr=subprocess.DEVNULL)
    try:
        yield
    finally:
        process.terminate()
        process.wait(timeout=10)


def _answers(url: str, path: str = "/webhooks/turn/health") -> bool:
    try:
        return httpx.get(f"{url}{path}", timeout=2).status_code == httpx.codes.OK
    except httpx.HTTPError:
        return False
