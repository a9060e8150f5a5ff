"""Trains the model if its data changed: `train.py` trains and prints the file, `train.py --check` only prints where it is."""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path[0] = str(ROOT)

from nlu_data.quiet import hush, hush_structlog, import_skops_first  # noqa: E402  (the path must be set first)

HERE = ROOT / "nlu_data"
MODELS = HERE / "models"
# What decides about the model; the servers and the actions do not.
_COMPONENTS = (
    "wording",
    "tokenizer",
    "leaf",
    "leaf_model",
    "problems",
    "entities",
    "sure_words",
    "short_words",
    "moments",
    "amounts",
    "numerals",
    "signals",
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--check", action="store_true", help="print the model's path; exit 1 where it is not trained yet"
    )
    model = model_file()
    if parser.parse_args().check:
        print(model)
        raise SystemExit(0 if model.is_file() else 1)
    if not model.is_file():
        _train(model)
    print(model)


def model_file() -> Path:
    """Where the model for the present data, configuration, components and lock is or would be."""
    digest = hashlib.sha256()
    for path in _inputs():
        digest.update(str(path.relative_to(ROOT)).encode() + b"\0" + path.read_bytes() + b"\0")
    return MODELS / f"{digest.hexdigest()}.tar.gz"


def _inputs() -> list[Path]:
    topics = sorted((HERE / "topics").rglob("*.yml"))
    code = [HERE / f"{name}.py" for name in _COMPONENTS]
    return [HERE / "config.yml", ROOT / "requirements" / "rasa.txt", *topics, *code]


def _train(model: Path) -> None:
    hush()
    started = time.monotonic()
    print("training: loading Rasa", file=sys.stderr, flush=True)
    import_skops_first()
    from rasa.model_training import train

    hush_structlog()
    print(f"training: {_examples()} examples", file=sys.stderr, flush=True)
    MODELS.mkdir(exist_ok=True)
    topics = str(HERE / "topics")
    unfinished = f"training-{model.name[:12]}"
    with contextlib.redirect_stdout(sys.stderr):  # our standard output is the path alone
        result = train(
            domain=topics, config=str(HERE / "config.yml"), training_files=topics, output=str(MODELS),
            fixed_model_name=unfinished, force_training=True,
        )  # fmt: skip
    if not result.model:
        raise SystemExit("training failed")
    Path(result.model).replace(model)
    print(f"training: done in {time.monotonic() - started:.0f} s", file=sys.stderr, flush=True)


def _examples() -> int:
    lines = (
        line for path in (HERE / "topics").rglob("*.yml") for line in path.read_text(encoding="utf-8").splitlines()
    )
    return sum(line.startswith("      - ") for line in lines)


if __name__ == "__main__":
    main()
