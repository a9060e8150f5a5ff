"""A real door for tests: gunicorn with a gevent worker in its own process, and a worker beside it."""

import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import httpx

from bot.build import Product
from tests.talking import Hands


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def door(environ: Mapping[str, str], port: int | None = None, app: str = "webhooks:create_app()") -> Iterator[str]:
    """Gives the address of a door that runs on this environment; it is killed at the end."""
    port = port or free_port()
    command = [sys.executable, "-m", "gunicorn", "--worker-class", "gevent", "--workers", "1"]
    command += ["--bind", f"127.0.0.1:{port}", "--graceful-timeout", "1", "--no-control-socket", app]
    process = subprocess.Popen(command, env={**os.environ, **environ}, stderr=subprocess.DEVNULL)
    try:
        _wait_for(f"http://127.0.0.1:{port}/live", process)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        _bury(process)


def _bury(process: "subprocess.Popen[bytes]") -> None:
    try:
        process.wait(15)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait(15)


def _wait_for(url: str, process: "subprocess.Popen[bytes]") -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and process.poll() is None:
        try:
            if httpx.get(url, timeout=1).is_success:
                return
        except httpx.TransportError:
            time.sleep(0.1)
    raise AssertionError("the door did not open")


@contextmanager
def worker(product: Product) -> Iterator[None]:
    """Works in a thread until the end, looking every 50 ms."""
    stop = threading.Event()

    def run() -> None:
        hands = Hands(product)
        while not stop.wait(0.05):
            hands.work()

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join(10)
