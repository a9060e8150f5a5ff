"""`python -m bot worker`: answers, sends and opens tickets, until it is told to stop."""

import argparse

from bot import cli
from bot.worker import Job, Stop, run


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--threads", type=int, default=4, help="conversations answered at once (default 4)")


def main(args: argparse.Namespace) -> int:
    with cli.product() as product:
        stop = Stop().on_signals()
        jobs = [Job(f"turns-{n}", "work", product.turns().work_once) for n in range(max(1, args.threads))]
        jobs += [Job(f"send-{n}", "send", product.sender().send_once) for n in range(2)]
        jobs.append(Job("tickets", "tickets", product.ticketing().open_once))
        jobs.append(Job("waiting", "closing time", product.waiting().end_hopeless_waits))
        run(jobs, product.bell, stop)
        return 0
