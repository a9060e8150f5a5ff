"""Follows docs/add-a-topic.md to the letter: its file, its words, trained and said."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tests.rasa.servers import ROOT

PAGE = (ROOT / "docs" / "add-a-topic.md").read_text(encoding="utf-8")


def block(name: str) -> str:
    found = re.search(rf"```yaml {name}\n(.*?)```", PAGE, re.DOTALL)
    assert found, f"the page has no block {name}"
    return found[1]


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkout with the page's topic in it, trained."""
    home = tmp_path_factory.mktemp("checkout")
    for name in ("nlu_data", "actions", "requirements"):
        shutil.copytree(ROOT / name, home / name, ignore=shutil.ignore_patterns("models", "__pycache__"))
    (home / "nlu_data" / "topics" / "shops.yml").write_text(block("topic"), encoding="utf-8")
    train = [sys.executable, str(home / "nlu_data" / "train.py")]
    subprocess.run(train, check=True, capture_output=True, cwd=home)
    return home


def test_the_topic_is_understood(copy: Path) -> None:
    lines = "离我最近的营业厅在哪\nfind me a store near here\n我的宽带断了\n"
    parse = [sys.executable, str(copy / "nlu_data" / "parse.py")]
    done = subprocess.run(parse, input=lines, capture_output=True, text=True, check=True, cwd=copy)
    assert [json.loads(line)["intent"] for line in done.stdout.splitlines()] == ["ask_shop", "ask_shop", "complain"]


def test_the_words_are_there_in_both_languages_and_fit_the_answer() -> None:
    topic = yaml.safe_load(block("topic"))
    (response,) = topic["responses"]["utter_ask_shop"]
    group, _, key = response["custom"]["reply"]["key"].partition(".")
    assert group == "answer"
    for language in ("zh", "en"):
        assert set(yaml.safe_load(block(language))) == {key}
        known = yaml.safe_load((ROOT / "bot" / "texts" / f"dialogue.{language}.yml").read_text(encoding="utf-8"))
        assert key not in known[group], "the page's topic is an example and not ours"


def test_the_talk_uses_steps_that_there_are() -> None:
    steps = yaml.safe_load(block("talk"))["talk"]
    player = (ROOT / "tests" / "scripted.py").read_text(encoding="utf-8")
    for step in steps:
        (name,) = step
        assert f"def _{name}(self" in player


def test_what_the_page_names_exists() -> None:
    named = set(re.findall(r"`((?:actions|bot|nlu_data|tests)/[\w/.]+)`", PAGE))
    assert {path for path in named if not (ROOT / path).exists()} == {"nlu_data/topics/shops.yml"}
