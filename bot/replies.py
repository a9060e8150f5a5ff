"""Replies in the dialogue's shape: text key, arguments, question, buttons; for what the worker itself has to say."""

from collections.abc import Mapping, Sequence
from typing import Any

Reply = Mapping[str, Any]

# Offers under a reply that asks nothing. They decide nothing that is not looked at again when it is carried out.
OFFERS = frozenset({"complain", "status", "urge", "add", "withdraw", "solved", "unsolved"})


def button(payload: str, **args: Any) -> Mapping[str, Any]:
    """`kind` or `kind:subject`; its label is the text `button.<kind>`."""
    spec: dict[str, Any] = {"payload": payload, "key": f"button.{payload.partition(':')[0]}"}
    return {**spec, "args": args} if args else spec


def reply(key: str, buttons: Sequence[str] = (), **args: Any) -> Reply:
    """Something that is said and asks nothing."""
    return {"key": key, "args": args, "question": None, "buttons": [button(payload) for payload in buttons]}


def in_one_bubble(replies: Sequence[Reply]) -> Reply:
    """The last reply, with what is said before it: people read one message with one question, not three."""
    *before, last = replies
    if not before:
        return last
    said = [{"key": one["key"], "args": dict(one.get("args") or {})} for one in before]
    return {**last, "args": {**dict(last.get("args") or {}), "before": said}}
