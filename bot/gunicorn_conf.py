"""How gunicorn serves the two doors; the supervisor gives the port and the application."""

import os
from typing import Any

worker_class = "gevent"  # an open event stream costs a greenlet
workers = 1  # on SQLite a second process would only wait for the first one's write lock
graceful_timeout = 5  # seconds for requests under way; an accept takes far less, an open event stream never ends
control_socket_disable = True  # gunicorn >= 25 would put a socket into the home directory
errorlog = "-"
accesslog = "-"
# Address, method, path without its query, status, bytes, milliseconds: no query, header or body is logged.
access_log_format = "%(t)s %(h)s %(m)s %(U)s %(s)s %(B)s %(M)s"


def child_exit(_server: Any, worker: Any) -> None:
    """What a dead process has counted stays in the sums; only its momentary values go."""
    if os.environ.get("PROMETHEUS_MULTIPROC_DIR"):
        from prometheus_client.multiprocess import mark_process_dead

        mark_process_dead(worker.pid)  # type: ignore[no-untyped-call]


def post_worker_init(worker: Any) -> None:
    """From SIGTERM on /ready says 503, while requests that are under way and kept connections are still served."""
    worker.wsgi.extensions["stopping"] = lambda: not worker.alive
