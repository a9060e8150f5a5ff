"""Which language a message is in: Chinese characters decide, else a few Latin words."""

import re

_HAN = re.compile(r"[\u3400-\u9fff\uf900-\ufaff]")
_WORD = re.compile(r"\b[A-Za-z]{2,}\b")
_ENOUGH_LETTERS = 4  # "ok" and "hi" say nothing about the language


def detect(text: str, current: str) -> str:
    """zh or en; `current` when the text does not tell (digits, references, emoji, "ok")."""
    if _HAN.search(text):
        return "zh"
    words = [w for w in _WORD.findall(text) if not w.isupper() or len(w) > _ENOUGH_LETTERS]
    return "en" if sum(map(len, words)) >= _ENOUGH_LETTERS else current


def from_tag(tag: str, default: str = "zh") -> str:
    """zh or en from a platform's language tag such as zh-hans or en-GB."""
    if tag.lower().startswith("zh"):
        return "zh"
    return "en" if tag else default
