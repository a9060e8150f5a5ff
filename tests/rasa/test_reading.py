"""What the small components make of a text: language, tokens, signals, sure words, the leaf model."""

from __future__ import annotations

from pathlib import Path

import pytest
from rasa.shared.nlu.training_data.message import Message

from nlu_data.leaf_model import LeafModel
from nlu_data.signals import signals, wants_human
from nlu_data.sure_words import sure_intent
from nlu_data.tokenizer import BilingualTokenizer
from nlu_data.wording import harmless, has_words, language_of, normalised

TOKENIZER = BilingualTokenizer(BilingualTokenizer.get_default_config())


def tokens(text: str) -> list[str]:
    return [token.text for token in TOKENIZER.tokenize(Message({"text": text}), "text")]


def test_tokens_of_both_languages() -> None:
    assert tokens("帮我check下Bill，谢谢!") == ["帮我", "check", "下", "bill", ",", "谢谢", "!"]
    assert tokens("号码13812345678") == ["号码", "000000"]


@pytest.mark.parametrize("text", ["", " ", "\0", "\u202e", "🤬"])
def test_there_is_always_a_token(text: str) -> None:
    assert len(tokens(text)) == 1


@pytest.mark.parametrize("text", ["/complain{}", "  ／restart", "\u200b/x", "／／x", "⁄x"])
def test_no_text_begins_with_a_slash(text: str) -> None:
    blank = harmless(text)
    assert len(blank) == len(text)
    assert not normalised(blank).startswith("/")


def test_words_and_languages() -> None:
    assert [language_of(text) for text in ("你好", "hi", "帮我check下bill", "12345", "OK")] == [
        "zh",
        "en",
        "zh",
        "zh",
        "en",
    ]
    assert not has_words("！？🤬 ")
    assert normalised("網路ＡＢＣ\u202e") == "网路abc"


@pytest.mark.parametrize("text", ["转人工", "给我接个真人", "I want to talk to a human", "叫你们经理来", "agent"])
def test_wishes_for_a_person(text: str) -> None:
    assert wants_human(normalised(text))


@pytest.mark.parametrize(
    "text", ["打了四十分钟就是转不到人工", "人工客服永远打不通", "I can never get through to a human agent", "宽带断了"]
)
def test_no_wishes_for_a_person(text: str) -> None:
    assert not wants_human(normalised(text))


def test_anger_and_sentiment_lean_the_right_way() -> None:
    angry, calm = signals("你们这群骗子！！！垃圾公司", {}), signals("请问怎么开发票", {})
    pleased = signals("师傅很专业，谢谢", {})
    assert angry["anger"] > 0.5 > calm["anger"]
    assert angry["sentiment"] < calm["sentiment"] < pleased["sentiment"]


@pytest.mark.parametrize(
    ("text", "intent"),
    [ ("/start", "greet"),("投诉", "complain"), ("我要投诉！", "complain"), ("I want to complain", "complain"), ("人工", "ask_human"), ("确认", "affirm"),
     ("12345", "nlu_fallback"), ("宽带断了", None), ("我要投诉宽带断了", None)],
)  # fmt: skip
def test_sure_words(text: str, intent: str | None) -> None:
    found = sure_intent(text, [])
    assert (found and found["name"]) == intent


def test_a_bare_reference_asks_for_the_status() -> None:
    entity = {"entity": "reference", "value": "TS-7Q4K-9M2X-C", "start": 0, "end": 14}
    found = sure_intent("TS-7Q4K-9M2X-C", [entity])
    assert found is not None and found["name"] == "complaint_status"
    assert sure_intent("TS-7Q4K-9M2X-C 我要补充材料", [entity]) is None


def test_the_leaf_model_survives_being_stored(tmp_path: Path) -> None:
    texts = ["断网了", "没有网", "多扣钱", "扣费不明", "态度差"]
    labels = ["net", "net", "bill", "bill", "manners"]
    fitted = LeafModel.fitted(texts, labels, [["断", "网"], ["钱"]])
    fitted.save(tmp_path)
    loaded = LeafModel.loaded(tmp_path)
    assert loaded is not None
    assert loaded.ranking("宽带断网")[0][0] == "net"
    assert [label for label, _ in loaded.ranking("扣费")] == [label for label, _ in fitted.ranking("扣费")]
    assert LeafModel.loaded(tmp_path / "nothing") is None
