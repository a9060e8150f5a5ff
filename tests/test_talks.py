"""The scripted talks of tests/talks/, in both languages, with real Rasa; and how many turns a receipt takes."""

import statistics
from collections import Counter
from collections.abc import Callable

import pytest

from bot.build import Product
from tests.scripted import Stage, Talk, load

pytestmark = [pytest.mark.journey, pytest.mark.timeout(300)]

TURNS: dict[str, int] = {}  # talk -> customer turns to its first receipt
MOST_IN_THE_MEDIAN = 5


@pytest.mark.parametrize("talk", load(), ids=lambda talk: talk.name)
def test_a_talk_goes_as_written(talk: Talk, make_talking: Callable[[], Product]) -> None:
    stage = Stage(make_talking, talk.language)
    stage.play(talk.steps)
    if stage.receipts:
        TURNS[talk.name] = stage.receipts[0]


def test_there_are_sixty_talks() -> None:
    assert Counter(talk.language for talk in load()) == {"zh": 30, "en": 30}


def test_a_receipt_takes_few_turns(capsys: pytest.CaptureFixture[str]) -> None:
    """After all talks: the distribution of customer turns from the first word to the receipt."""
    if len(TURNS) < 40:  # somebody runs one talk only; in a whole run, CI's, all of them have gone before
        pytest.skip("needs the talks above in the same run")
    counts = Counter(TURNS.values())
    with capsys.disabled():
        print("\nturns to the receipt:", *(f"{turns}: {counts[turns]} talks" for turns in sorted(counts)), sep="\n  ")
        print(f"  median {statistics.median(TURNS.values()):g} over {len(TURNS)} talks")
    assert statistics.median(TURNS.values()) <= MOST_IN_THE_MEDIAN
