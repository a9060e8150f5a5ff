"""Which language a message is in: Chinese characters decide, else a few Latin words."""

import re

_HAN = re.compile(r"[\u3400-\u9fff\uf900-\ufaff]")
_WORD = re.compile(r"\b[A-Za-z]{2,}\b")
_ENOUGH_WORDS = 2  # "wifi", "ok" and "5G" say nothing about the language
# Single words that only someone who wants English types.
_ALONE = frozenset(
    [
        "human",
        "agent",
        "person",
        "operator",
        "hello",
        "help",
        "status",
        "complaint",
        "complain",
        "cancel",
        "thanks",
        "thank",
        "english",
    ]
)


def detect(text: str, current: str) -> str:
    """zh or en; `current` when the text does not tell (digits, references, emoji, "ok")."""
    if _HAN.search(text):
        return "zh"
    words = [word for word in _WORD.findall(text) if not word.isupper()]
    english = len(words) >= _ENOUGH_WORDS or any(word.lower() in _ALONE for word in _WORD.findall(text))
    return "en" if english else current


def from_tag(tag: str, default: str = "zh") -> str:
    """zh or en from a platform's language tag such as zh-hans or en-GB."""
    if tag.lower().startswith("zh"):
        return "zh"
    return "en" if tag else default
