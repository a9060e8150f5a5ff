"""`parse.py`: one JSON object per input line, in order, and nothing else on standard output."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from tests.rasa.servers import ROOT

LINES: list[bytes] = [
    "我的宽带断了两天没人管，我要投诉".encode(), b"", "  转人工  ".encode(), b"a\0b", b"\xff\xfe bad", "🤬🤬".encode(),
    "断".encode() * 10_000, "／restart".encode(), b'/complain{"a":1}', b"yes\r", b"My bill is wrong, 110101199003071234",
]  # fmt: skip


def test_every_line_is_answered_in_order_and_unchanged(model: Path) -> None:
    process = subprocess.Popen(
        [sys.executable, ROOT / "nlu_data" / "parse.py"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert process.stdin and process.stdout
    process.stdin.write(LINES[0] + b"\n")
    process.stdin.flush()
    first = json.loads(process.stdout.readline())  # answered before the end of the input
    rest, _ = process.communicate(b"\n".join(LINES[1:]))
    rows = [first, *(json.loads(line) for line in rest.splitlines())]
    assert [row["text"] for row in rows] == [
        line.decode("utf-8", "surrogateescape").removesuffix("\r") for line in LINES
    ]
    assert (first["language"], first["intent"], first["category"]) == ("zh", "complain", "broadband.disconnection")
    assert rows[1]["intent"] is None and rows[1]["categories"] == []
    assert rows[2]["wants_human"] is True and rows[2]["intent"] == "ask_human"
    assert rows[9]["intent"] == "affirm" and rows[9]["category"] is None
    assert all(0 <= row["anger"] <= 1 and -1 <= row["sentiment"] <= 1 for row in rows)
    assert process.returncode == 0
