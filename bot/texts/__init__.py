"""Everything we say to people, in Chinese and English, rendered at the moment it is sent."""

import re
from collections.abc import Mapping
from datetime import datetime
from functools import cache
from pathlib import Path
from string import Formatter
from typing import Any
from zoneinfo import ZoneInfo

import yaml

LANGUAGES = ("zh", "en")
_HERE = Path(__file__).parent
_TIME = {"zh": "{0.month}月{0.day}日 {0:%H:%M}", "en": "{0.day} {0:%b} {0:%H:%M}"}
_LABELS = frozenset({"category", "state", "wish", "request"})  # arguments that are shown by their names
_FIELD = re.compile(r"\{(\w+)\}")


@cache
def load() -> dict[str, dict[str, str]]:
    """language -> key -> template, merged from `<subject>.<language>.yml`; keys are joined by dots."""
    return {language: _load_language(language) for language in LANGUAGES}


def _load_language(language: str) -> dict[str, str]:
    merged: dict[str, str] = {}
    for path in sorted(_HERE.glob(f"*.{language}.yml")):
        for key, template in _flat(yaml.safe_load(path.read_text(encoding="utf-8")) or {}, ""):
            if key in merged:
                raise ValueError(f"{path.name}: {key} is in another file too")
            merged[key] = template
    return merged


def _flat(node: Mapping[str, Any], prefix: str) -> list[tuple[str, str]]:
    found: list[tuple[str, str]] = []
    for name, value in node.items():
        key = f"{prefix}{name}"
        if isinstance(value, Mapping):
            found += _flat(value, f"{key}.")
        else:
            found.append((key, str(value).strip("\n")))
    return found


def arguments(template: str) -> frozenset[str]:
    """The names between braces."""
    return frozenset(name for _, name, _, _ in Formatter().parse(template) if name)


class Texts:
    """Renders text keys. `operator` gives the operator's name per language, for `{operator}`."""

    def __init__(self, zone: ZoneInfo, operator: Mapping[str, str]) -> None:
        self._templates = load()
        self._zone = zone
        self._operator = operator

    def has(self, key: str) -> bool:
        return key in self._templates["zh"]

    def render(self, key: str, language: str, /, **args: Any) -> str:
        """Raises KeyError for an unknown key or a missing argument.

        Arguments named `…_at` are times (ISO text or datetime) and shown in the operator's zone; labels
        (`category`, `state`, …) are shown by their names; a line whose arguments are all empty is left out.
        """
        spoken = {name: self._speak(name, value, language) for name, value in args.items()}
        spoken["operator"] = self._operator[language]
        lines = self._templates[language][key].split("\n")
        return "\n".join(_fill(line, spoken) for line in lines if _wanted(line, spoken))

    def _speak(self, name: str, value: Any, language: str) -> str:
        if value is None or value == "":
            return ""
        if name.endswith("_at"):
            return self.time(value, language)
        if (group := name.partition("_")[0]) in _LABELS:
            key = f"{group}.{value}"
            return self._templates[language].get(key, str(value))
        return str(value)

    def time(self, value: str | datetime, language: str) -> str:
        moment = datetime.fromisoformat(value) if isinstance(value, str) else value
        return _TIME[language].format(moment.astimezone(self._zone))


def _wanted(line: str, spoken: Mapping[str, str]) -> bool:
    names = _FIELD.findall(line)
    return not names or any(spoken[name] for name in names)


def _fill(line: str, spoken: Mapping[str, str]) -> str:
    return _FIELD.sub(lambda match: spoken[match[1]], line)
