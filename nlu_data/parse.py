"""Reads utterances from standard input, one per line, and prints what the model reads in each as one line of JSON."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

ROOT = Path(__file__).resolve().parent.parent
sys.path[0] = str(ROOT)

from nlu_data.quiet import hush, hush_structlog, import_skops_first  # noqa: E402  (the path must be set first)
from nlu_data.train import model_file  # noqa: E402

_NOWHERE = "http://127.0.0.1:9/webhook"


def main() -> None:
    """Standard output carries the answers alone: whatever a library prints goes to standard error."""
    answers = os.fdopen(os.dup(1), "wb", buffering=0)
    os.dup2(2, 1)
    hush()
    model = model_file()
    if not model.is_file():
        raise SystemExit("the model is not trained: run nlu_data/train.py (make train)")
    import_skops_first()
    from nlu_data.turn_channel import Understanding

    hush_structlog()
    asyncio.run(_answer_all(Understanding(model, _NOWHERE), sys.stdin.buffer, answers))


async def _answer_all(understanding: Any, lines: BinaryIO, answers: Any) -> None:
    for text in _texts(lines):
        row = json.dumps(await read(understanding, text), ensure_ascii=True)
        answers.write(row.encode("ascii") + b"\n")


def _texts(lines: BinaryIO) -> Iterator[str]:
    """The lines without their line ends; bytes that are no UTF-8 become lone surrogates, as JSON can carry them."""
    for line in lines:
        yield line.removesuffix(b"\n").removesuffix(b"\r").decode("utf-8", "surrogateescape")


async def read(understanding: Any, text: str) -> dict[str, Any]:
    """What the model reads in one text; `text` comes back exactly as it was given."""
    from nlu_data.turn_channel import best_intent, leaves
    from nlu_data.wording import language_of

    parsed = await understanding.parse(text, {})
    intent, signals = best_intent(parsed), parsed["signals"]
    return {
        "text": text,
        "language": language_of(text),
        "intent": intent["name"],
        "confidence": intent["confidence"],
        "category": parsed.get("category"),
        "categories": leaves(parsed),
        "entities": parsed.get("entities") or [],
        "sentiment": signals["sentiment"],
        "anger": signals["anger"],
        "wants_human": signals["wants_human"],
    }


if __name__ == "__main__":
    main()
