"""The training data: enough examples, labels that equal the tables, every text key in both languages."""

from __future__ import annotations

import csv
import re
from collections import Counter
from pathlib import Path
from typing import Any

import yaml

from actions import filed, privacy
from actions.asking import GOES_WITH_NUMBER
from actions.draft import CHANGE, CONFIRM, TWO
from actions.required_fields import fields
from nlu_data.wording import language_of, normalised

ROOT = Path(__file__).resolve().parents[2]
NLU = ROOT / "nlu_data"


def topics() -> list[dict[str, Any]]:
    return [yaml.safe_load(path.read_text(encoding="utf-8")) for path in sorted((NLU / "topics").rglob("*.yml"))]


def examples() -> list[tuple[str, str, str | None]]:
    """(text, intent, leaf) of every training example."""
    blocks = [block for topic in topics() for block in topic.get("nlu", []) if "intent" in block]
    return [
        (line[2:], block["intent"], (block.get("metadata") or {}).get("leaf"))
        for block in blocks
        for line in block["examples"].splitlines()
        if line.startswith("- ")
    ]


def column(file: str, name: str) -> set[str]:
    with (NLU / file).open(encoding="utf-8") as table:
        return {row[name] for row in csv.DictReader(table, delimiter="\t")}


def counted(place: int) -> dict[str, Counter[str]]:
    """language -> how many examples per intent (1) or leaf (2)."""
    counts: dict[str, Counter[str]] = {"zh": Counter(), "en": Counter()}
    for example in examples():
        counts[language_of(example[0])][str(example[place])] += 1
    return counts


def test_labels_equal_the_tables() -> None:
    assert {intent for _, intent, _ in examples()} == column("intents.tsv", "intent")
    assert {leaf for *_, leaf in examples() if leaf} == column("taxonomy.tsv", "slug")
    assert {intent for _, intent, leaf in examples() if leaf} == {"complain"}


def test_enough_examples_per_intent() -> None:
    counts = counted(1)
    assert {name: n for name, n in counts["zh"].items() if n < 12} == {}
    assert {name: counts["en"][name] for name in column("intents.tsv", "intent") if counts["en"][name] < 6} == {}


def test_enough_examples_per_leaf() -> None:
    counts = counted(2)
    assert {leaf: counts["zh"][leaf] for leaf in column("taxonomy.tsv", "slug") if counts["zh"][leaf] < 6} == {}
    assert {leaf: counts["en"][leaf] for leaf in column("taxonomy.tsv", "slug") if counts["en"][leaf] < 3} == {}


def test_every_leaf_has_cues_in_both_languages() -> None:
    blocks = [block for topic in topics() for block in topic.get("nlu", []) if "lookup" in block]
    tables = {block["lookup"]: block["examples"] for block in blocks}
    assert tables.keys() == column("taxonomy.tsv", "slug")
    for cues in tables.values():
        languages = Counter(language_of(line[2:]) for line in cues.splitlines())
        assert languages["zh"] >= 6 and languages["en"] >= 3, cues


def test_no_example_twice_and_none_with_two_labels() -> None:
    texts = Counter(normalised(text) for text, *_ in examples())
    assert [text for text, n in texts.items() if n > 1] == []


def texts(language: str, subject: str = "dialogue") -> dict[str, str]:
    loaded = yaml.safe_load((ROOT / "bot" / "texts" / f"{subject}.{language}.yml").read_text(encoding="utf-8"))
    groups = {group: rows for group, rows in loaded.items() if isinstance(rows, dict)}
    return {f"{group}.{name}": text for group, rows in groups.items() for name, text in rows.items()}


def test_texts_are_complete_in_both_languages_with_the_same_arguments() -> None:
    chinese, english = texts("zh"), texts("en")
    assert chinese.keys() == english.keys()
    differing = [
        key for key in chinese if set(re.findall(r"{(\w+)}", chinese[key])) != set(re.findall(r"{(\w+)}", english[key]))
    ]
    assert differing == []


def test_every_key_that_is_said_exists_and_every_text_is_said() -> None:
    own, theirs = texts("zh"), texts("zh", "service")
    assert {key for key in said_keys() if key not in own and key not in theirs} == set()
    assert {key for key in own if not key.startswith("category.") and key not in said_keys()} == set()


def test_every_category_has_a_name() -> None:
    leaves = column("taxonomy.tsv", "slug")
    tops = {leaf.partition(".")[0] for leaf in leaves}
    assert {key.partition(".")[2] for key in texts("zh") if key.startswith("category.")} == leaves | tops


def test_required_fields_name_real_categories_and_fields() -> None:
    table = yaml.safe_load((NLU / "required_fields.yml").read_text(encoding="utf-8"))
    leaves = column("taxonomy.tsv", "slug")
    known = leaves | {leaf.partition(".")[0] for leaf in leaves} | {"default"}
    assert set(table["required"]) <= known
    assert {name for names in table["required"].values() for name in names} <= set(table["fields"])


def said_keys() -> set[str]:
    """Keys in the topics' responses and in the actions' code, with those that the code puts together."""
    replies = [
        row["custom"]["reply"]
        for topic in topics()
        for responses in topic.get("responses", {}).values()
        for row in responses
    ]
    code = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "actions").glob("*.py"))
    keys = {reply["key"] for reply in replies} | {row.question for row in fields().values()}
    keys |= set(re.findall(r'"((?:[a-z]+)\.[a-z_]+)"', code)) - set(column("taxonomy.tsv", "slug"))
    keys |= {f"retry.{question}" for question in (*fields(), CONFIRM, CHANGE, TWO)}
    keys |= {f"and.{name}" for name in GOES_WITH_NUMBER} | {f"which.{wish}" for wish in set(filed.WISHES.values())}
    keys |= {f"sorry.{leaf.partition('.')[0]}" for leaf in column("taxonomy.tsv", "slug")}
    keys |= {f"ask.{question}" for question in filed.BUTTONS} | {f"request.{kind}" for kind in privacy.KINDS}
    shown = [button for buttons in filed.BUTTONS.values() for button in buttons]
    keys |= {str(button["key"]) for button in shown if isinstance(button, dict)}
    buttons = {item for reply in replies for item in reply.get("buttons", [])}
    buttons |= {"affirm", "deny", "skip", "cancel", "split", "join", "urge", "add"}
    return keys | {f"button.{payload}" for payload in buttons} | {f"field.{name}" for name in fields()}
