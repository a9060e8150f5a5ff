"""The one table of required fields, as the product reads it."""

from pathlib import Path

import pytest

from bot import required, texts

LEAVES = [
    line.split("\t")[0]
    for line in (Path(required.FILE).parent / "taxonomy.tsv").read_text(encoding="utf-8").splitlines()[1:]
]


def test_every_leaf_has_its_list_of_known_fields() -> None:
    assert len(LEAVES) == 40
    for leaf in LEAVES:
        assert set(required.required(leaf)) <= set(required.table()["fields"])
        assert required.required(leaf)[0] == "what"


def test_every_question_has_its_text() -> None:
    known = texts.load()["zh"]
    assert all(row["question"] in known for row in required.table()["fields"].values())


def test_lists_are_for_categories_that_exist() -> None:
    tops = {leaf.partition(".")[0] for leaf in LEAVES}
    assert set(required.table()["required"]) <= {"default", *tops, *LEAVES}


@pytest.mark.parametrize(
    ("category", "fields", "expected"),
    [
        ("broadband.disconnection", {"what": "断网"}, ["number", "when", "place", "remedy"]),
        ("billing.unknown_charge", {"what": "x", "number": "1", "when": {"text": "昨天"}, "amount": None}, ["amount", "remedy"]),
        ("no.such", {}, ["what", "number", "when", "remedy"]),
    ],
)  # fmt: skip
def test_what_is_missing(category: str, fields: dict[str, object], expected: list[str]) -> None:
    assert required.missing(category, fields) == expected
