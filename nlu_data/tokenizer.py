"""Cuts Chinese and English text into tokens for one model: runs of Chinese characters, Latin words, numbers, emoji."""

from __future__ import annotations

import re
from typing import Any

from rasa.engine.recipes.default_recipe import DefaultV1Recipe
from rasa.nlu.tokenizers.tokenizer import Token, Tokenizer
from rasa.shared.nlu.training_data.message import Message

from nlu_data.wording import normalised, without_references

# A Chinese run stays whole: the character n-grams of the featuriser do not cross token borders.
_TOKEN = re.compile(r"[\u3400-\u9fff]+|[^\W\d_\u3400-\u9fff]+(?:['’][^\W\d_]+)?|\d+|[?？!！]|[^\w\s]")
_LONGEST = 4000


@DefaultV1Recipe.register(DefaultV1Recipe.ComponentType.MESSAGE_TOKENIZER, is_trainable=False)
class BilingualTokenizer(Tokenizer):  # type: ignore[misc]  # Rasa is untyped here
    """One tokeniser for both languages; tokens carry normalised text and offsets into the original."""

    @staticmethod
    def get_default_config() -> dict[str, Any]:
        return {"intent_tokenization_flag": False, "intent_split_symbol": "_", "token_pattern": None}

    def tokenize(self, message: Message, attribute: str) -> list[Token]:
        """Tokens of the first 4,000 characters; never empty, since the classifiers cannot take an empty row."""
        text = without_references(str(message.get(attribute) or "")[:_LONGEST])
        found = [_token(match) for match in _TOKEN.finditer(text)]
        return [token for token in found if token.text] or [Token(text[:1] or " ", 0)]


def _token(match: re.Match[str]) -> Token:
    word = normalised(match.group())
    # All long numbers look alike: which digits they have tells nothing about the intent.
    return Token("000000" if word.isdigit() and len(word) >= 6 else word, match.start(), end=match.end())
