"""The chaos customers understand the product's own texts, and every victim dies as planned."""

import random
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from bot.texts import Texts
from tests.chaos import killer
from tests.chaos.customers import Heard, kind_of

ARGS: dict[str, Any] = {
    "reference": "TS-2345-6789-A",
    "code": "ABCD2345",
    "category": "billing.roaming",
    "due_at": datetime(2026, 1, 1, tzinfo=UTC),
    "as_of_at": datetime(2026, 1, 1, tzinfo=UTC),
    "state": "acknowledged",
    "wish": "",
    "next": "…",
    "ahead": 2,
} | dict.fromkeys(("what", "number", "when", "place", "amount", "remedy"), "…")

MEANT = {
    "receipt.filed": "receipt",
    "receipt.incomplete": "receipt",
    "receipt.repeat": "receipt",
    "system.one_moment": "moment",
    "handoff.trouble": "trouble",
    "queue.position": "queued",
    "queue.next": "queued",
    "queue.left": "left",
    "handoff.released": "released",
    "system.stale_tap": "stale",
    "status.one": "other",
    "answer.greet": "other",
    "sorry.broadband": "other",
}


@pytest.fixture(scope="module")
def texts() -> Texts:
    return Texts(ZoneInfo("Asia/Shanghai"), {"zh": "示例", "en": "Example"})


@pytest.mark.parametrize("language", ["zh", "en"])
@pytest.mark.parametrize("key", MEANT)
def test_a_line_is_what_it_says(texts: Texts, key: str, language: str) -> None:
    assert kind_of(Heard(1, texts.render(key, language, **ARGS), [])) == MEANT[key]


@pytest.mark.parametrize("language", ["zh", "en"])
@pytest.mark.parametrize(("button", "kind"), [("affirm", "read back"), ("skip", "question"), ("human", "other")])
def test_a_question_is_known_by_its_buttons(texts: Texts, button: str, kind: str, language: str) -> None:
    asked = texts.render("ask.number", language)
    assert kind_of(Heard(1, asked, [(texts.render(f"button.{button}", language), "1.0")])) == kind


@pytest.mark.parametrize("embedded", [True, False])
def test_everybody_dies_at_least_once(embedded: bool) -> None:
    for seed in range(20):
        plan = killer.plan(random.Random(seed), embedded)
        assert {"public", "worker", "rasa", "actions"} <= {victim for _, victim in plan}
        assert embedded == ("valkey" in {victim for _, victim in plan})
        assert plan == killer.plan(random.Random(seed), embedded), "a seed repeats its kills"
