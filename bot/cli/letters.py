"""`python -m bot letters`: dead letters and uncertain sends, for whoever runs the machine. Shows no customer's words."""

import argparse
import json
import re
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from bot import cli
from bot.build import Product
from bot.letters import REASONS, Letters, Outcome, named
from bot.store.letters import TABLES, Letter, Which

_UNITS = {"m": "minutes", "h": "hours", "d": "days"}


def arguments(parser: argparse.ArgumentParser) -> None:
    actions = parser.add_subparsers(dest="action", required=True)
    listed = actions.add_parser("list", help="what stopped, what matters most first")
    listed.add_argument("--limit", type=int, default=200, help="how many at most (default 200)")
    _which(listed)
    show = actions.add_parser("show", help="everything that is known about one")
    show.add_argument("--id", type=_name, required=True, help="its name in the list, as message-17")
    replay = actions.add_parser("replay", help="do it again under its old key; an uncertain one may arrive twice")
    discard = actions.add_parser("discard", help="take it off the list with a reason; its row stays")
    discard.add_argument("--reason", choices=REASONS, required=True)
    for chosen in (replay, discard):
        chosen.add_argument("--id", type=_name, action="append", help="one of them; may be repeated")
        chosen.add_argument("--all", action="store_true", help="all of them, or all of what the filters leave")
        _which(chosen)
    for action in (listed, show, replay, discard):
        action.add_argument("--json", action="store_true", help="for programs")


def _which(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--kind", choices=tuple(TABLES), default="")
    parser.add_argument("--since", type=_moment, help="stopped since: 30m, 2h, 3d, or a time as 2026-07-01T09:00")
    parser.add_argument("--conversation", type=int, help="only of this conversation")


def _name(typed: str) -> tuple[str, int]:
    found = named(typed)
    if found is None:
        raise argparse.ArgumentTypeError(f"{typed!r} is no name of a letter; it looks like message-17")
    return found


def _moment(typed: str) -> datetime | timedelta:
    """A length of time back from now, or a time; one without an offset is in the operator's zone."""
    ago = re.fullmatch(r"(\d{1,6})([mhd])", typed)
    if ago:
        return timedelta(**{_UNITS[ago[2]]: int(ago[1])})
    try:
        return datetime.fromisoformat(typed)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{typed!r} is no time; it looks like 2h or 2026-07-01T09:00") from None


def main(args: argparse.Namespace) -> int:
    """Exit code 1 when something that was named, or chosen, could not be done."""
    with cli.product() as product:
        return _ACTIONS[args.action](product, args)


def _chosen(product: Product, args: argparse.Namespace) -> Which:
    return Which(args.kind, _since(args.since, product.settings.timezone), args.conversation)


def _since(given: datetime | timedelta | None, zone: ZoneInfo) -> datetime | None:
    if isinstance(given, timedelta):
        return datetime.now(UTC) - given
    return given if given is None or given.tzinfo else given.replace(tzinfo=zone)


def _list(product: Product, args: argparse.Namespace) -> int:
    found = product.letters.find(_chosen(product, args), limit=args.limit)
    if args.json:
        _print_json(_as_json(letter) for letter in found)
        return 0
    for letter in found:
        print(_line(letter, product.settings.timezone))
    print(f"{len(found)} found." if found else "Nothing is dead or uncertain.", file=sys.stderr)
    return 0


def _show(product: Product, args: argparse.Namespace) -> int:
    shown = product.letters.show(*args.id)
    if shown is None:
        print("There is no such letter.", file=sys.stderr)
        return 1
    known = _as_json(shown.letter) | {name: _plain(value) for name, value in shown.details.items()}
    if args.json:
        _print_json([known])
        return 0
    for name, value in known.items():
        print(f"{name:.<20} {value}")
    return 0


def _replay(product: Product, args: argparse.Namespace) -> int:
    return _do(product, args, lambda letters, kind, number: letters.replay(kind, number, None))


def _discard(product: Product, args: argparse.Namespace) -> int:
    return _do(product, args, lambda letters, kind, number: letters.discard(kind, number, args.reason, None))


def _do(product: Product, args: argparse.Namespace, act: Callable[[Letters, str, int], Outcome]) -> int:
    """Everything named by --id; without it what the filters leave, and everything only by --all."""
    which = _chosen(product, args)
    if not (args.id or args.all or which != Which()):
        print("Say which: --id, --since, --kind, --conversation, or --all.", file=sys.stderr)
        return 2
    outcomes = {name: act(product.letters, *name) for name in args.id or product.letters.names(which)}
    _tell(outcomes, args.json)
    return int(any(outcome not in (Outcome.REPLAYED, Outcome.DISCARDED) for outcome in outcomes.values()))


def _tell(outcomes: Mapping[tuple[str, int], Outcome], as_json: bool) -> None:
    if as_json:
        _print_json({"name": f"{kind}-{number}", "outcome": outcome} for (kind, number), outcome in outcomes.items())
        return
    for outcome, count in Counter(outcomes.values()).items():
        print(f"{outcome.value}: {count}")
    for (kind, number), outcome in outcomes.items():
        if outcome not in (Outcome.REPLAYED, Outcome.DISCARDED):
            print(f"  {kind}-{number}: {outcome.value}", file=sys.stderr)


def _line(letter: Letter, zone: ZoneInfo) -> str:
    where = f"conversation {letter.conversation_id}" if letter.conversation_id else ""
    if letter.complaint_id:
        where = f"{where} complaint {letter.complaint_id}".strip()
    when = f"{letter.at.astimezone(zone):%Y-%m-%d %H:%M:%S}"
    return f"{letter.name:<14} {when}  {letter.state:<9} {letter.topic:<12} {letter.reason}  ({where})"


def _as_json(letter: Letter) -> dict[str, Any]:
    return {"name": letter.name} | {name: _plain(value) for name, value in asdict(letter).items()}


def _plain(value: Any) -> Any:
    return value.isoformat() if isinstance(value, datetime) else value


def _print_json(rows: Iterable[Mapping[str, Any]]) -> None:
    """One object a line."""
    for row in rows:
        print(json.dumps(row, ensure_ascii=False))


_ACTIONS: Mapping[str, Callable[[Product, argparse.Namespace], int]] = {
    "list": _list,
    "show": _show,
    "replay": _replay,
    "discard": _discard,
}
