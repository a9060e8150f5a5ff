"""Starts the two private servers, each on loopback: `serve.py rasa --port P --actions-port A --model FILE`, `serve.py actions --port P`."""

from __future__ import annotations

import argparse
import asyncio
import logging
import os
import signal
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path[0] = str(ROOT)

from nlu_data.quiet import hush, hush_structlog, import_skops_first  # noqa: E402  (the path must be set first)

log = logging.getLogger("tingsu.rasa")


def main(arguments: list[str] | None = None) -> None:
    wanted = _arguments(arguments)
    hush()
    if wanted.server == "rasa":
        _serve(_rasa_app(Path(wanted.model), wanted.actions_port), wanted.port)
    else:
        _serve(_actions_app(), wanted.port)


def _arguments(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    servers = parser.add_subparsers(dest="server", required=True)
    rasa = servers.add_parser("rasa", help="the turn server")
    rasa.add_argument("--port", type=int, required=True)
    rasa.add_argument("--actions-port", type=int, required=True)
    rasa.add_argument("--model", required=True, help="file printed by train.py --check")
    actions = servers.add_parser("actions", help="the action server")
    actions.add_argument("--port", type=int, required=True)
    return parser.parse_args(arguments)


def _rasa_app(model: Path, actions_port: int) -> Any:
    """A Sanic app that listens only once the model is loaded. Rasa would take another model for a missing one."""
    if not model.is_file():
        raise SystemExit(f"no model at {model}: run nlu_data/train.py")
    import_skops_first()
    import sanic

    from nlu_data.turn_channel import Understanding, blueprint

    hush_structlog()
    app = sanic.Sanic("tingsu_rasa", configure_logging=False)
    app.blueprint(blueprint(model.name.partition(".")[0]))
    app.ctx.understanding = Understanding(model, f"http://127.0.0.1:{actions_port}/webhook")
    return app


def _actions_app() -> Any:
    from rasa_sdk import endpoint

    app = endpoint.create_app("actions", cors_origins=None)
    hush_structlog()
    return app


def _serve(app: Any, port: int) -> None:
    """Serves until SIGTERM or SIGINT; open turns are cut, since the caller repeats them."""
    app.config.ACCESS_LOG = False
    app.config.REQUEST_MAX_SIZE = 4_000_000
    app.config.GRACEFUL_SHUTDOWN_TIMEOUT = 0.5
    app.config.MOTD = False
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: os._exit(0))

    async def announce(*_: Any) -> None:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, os._exit, 0)
        log.info("listening on 127.0.0.1:%s", port)

    app.register_listener(announce, "after_server_start")
    app.run(host="127.0.0.1", port=port, workers=1, register_sys_signals=False, motd=False, access_log=False)


if __name__ == "__main__":
    main()
