"""Which fields a complaint needs, from nlu_data/required_fields.yml (read once)."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import yaml

_FILE = Path(__file__).parent.parent / "nlu_data" / "required_fields.yml"


@dataclass(frozen=True)
class Field:
    """One field of a complaint: the text key of its question, and whether it may be left out."""

    name: str
    question: str
    skippable: bool


@cache
def _table() -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load(_FILE.read_text(encoding="utf-8"))
    return loaded


@cache
def fields() -> dict[str, Field]:
    """All fields by name, in the order in which a complaint is read back."""
    return {name: Field(name, row["question"], row["skippable"]) for name, row in _table()["fields"].items()}


def required(category: str | None) -> list[str]:
    """Names of the fields that a complaint of this leaf (or of none yet) needs, in the order of asking."""
    table = _table()["required"]
    leaf = category or "default"
    names: list[str] = table.get(leaf) or table.get(leaf.partition(".")[0]) or table["default"]
    return names
