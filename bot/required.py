"""What a complaint must tell, per category: nlu_data/required_fields.yml, which Rasa's actions read too."""

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import yaml

FILE = Path(__file__).parent.parent / "nlu_data" / "required_fields.yml"


@cache
def table() -> dict[str, Any]:
    """The file's `fields` and `required`."""
    loaded: dict[str, Any] = yaml.safe_load(FILE.read_text(encoding="utf-8"))
    return loaded


def required(category: str) -> list[str]:
    """The leaf's own list, else its top category's, else the default; in the order of asking."""
    lists: dict[str, list[str]] = table()["required"]
    return lists.get(category) or lists.get(category.partition(".")[0]) or lists["default"]


def missing(category: str, fields: Mapping[str, Any]) -> list[str]:
    """Names of the fields that the customer has not told; the category itself is never missing."""
    return [name for name in required(category) if name != "category" and not fields.get(name)]
