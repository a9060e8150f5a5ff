"""`python -m bot worker`: answers, sends and opens tickets, until it is told to stop."""

import argparse
import os
from typing import TYPE_CHECKING

from bot import cli
from bot.worker import Job, Stop, run

if TYPE_CHECKING:
    from bot.build import Product

HUNG = 70  # exit code: the supervisor starts another worker


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--threads", type=int, default=4, help="conversations answered at once (default 4)")


def main(args: argparse.Namespace) -> int:
    with cli.product() as product:
        stop = Stop().on_signals()
        if not run(jobs_of(product, max(1, args.threads), stop), product.bell, stop):
            os._exit(HUNG)  # nothing that is tidied up would come past the thread that hangs
        return 0


def jobs_of(product: "Product", threads: int, stop: Stop) -> list[Job]:
    """What a worker process repeats, each in a thread of its own, until `stop`."""
    turns = [product.turns() for _ in range(threads)]
    for one in turns:
        one.stopping = stop.asked
    senders = [product.sender() for _ in range(2)]
    ticketing = product.ticketing()
    return [
        *(Job(f"turns-{n}", "work", one.work_once, one.overdue) for n, one in enumerate(turns)),
        *(Job(f"send-{n}", "send", one.send_once, one.overdue) for n, one in enumerate(senders)),
        Job("tickets", "tickets", ticketing.open_once, ticketing.overdue),
        Job("desk", "tickets", product.desk_work().do_once),
        Job("waiting", "closing time", product.waiting().end_hopeless_waits),
        Job("retention", "retention", product.retention().sweep_when_due),
    ]
