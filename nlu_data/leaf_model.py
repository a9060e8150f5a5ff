"""A linear text classifier over character n-grams, Latin words and hand-written cues, kept as plain arrays (no pickle)."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from scipy.sparse import csr_matrix, hstack  # type: ignore[import-untyped]  # ships no types
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression

_LATIN = re.compile(r"[a-z][a-z']+")
_LONGEST_GRAM = 3
_MOST_CUES = 2
_CUE_WEIGHT = 0.3


@dataclass(frozen=True)
class LeafModel:
    """One-against-the-rest logistic regressions; `weights` is labels × (n-grams + one feature per list of cues)."""

    labels: list[str]
    cues: list[list[str]]
    vectorizer: Any
    weights: Any
    intercepts: Any

    @classmethod
    def fitted(cls, texts: Sequence[str], labels: Sequence[str], cues: list[list[str]]) -> LeafModel:
        """Texts and cues are normalised; each list of cues is one feature: how many of them a text contains."""
        vectorizer = TfidfVectorizer(analyzer=_features, sublinear_tf=True).fit(texts)
        # C and the cues' weight by cross-validation over the training data, see README.md.
        model = LogisticRegression(solver="liblinear", C=10.0, class_weight="balanced", max_iter=300)
        model.fit(_rows(texts, vectorizer, cues), labels)
        return cls([str(label) for label in model.classes_], cues, vectorizer, model.coef_, model.intercept_)

    def save(self, folder: Path) -> None:
        words = {word: int(place) for word, place in self.vectorizer.vocabulary_.items()}
        (folder / "leaf.json").write_text(
            json.dumps({"labels": self.labels, "cues": self.cues, "words": words}), encoding="utf-8"
        )
        arrays = {
            "weights": self.weights.astype(np.float32),
            "intercepts": self.intercepts,
            "idf": self.vectorizer.idf_,
        }
        np.savez(folder / "leaf.npz", **arrays)

    @classmethod
    def loaded(cls, folder: Path) -> LeafModel | None:
        """The saved model, None where training had no examples."""
        if not (folder / "leaf.json").exists():
            return None
        named = json.loads((folder / "leaf.json").read_text(encoding="utf-8"))
        arrays = np.load(folder / "leaf.npz", allow_pickle=False)
        vectorizer = TfidfVectorizer(analyzer=_features, sublinear_tf=True, vocabulary=named["words"])
        vectorizer.idf_ = arrays["idf"]
        return cls(named["labels"], named["cues"], vectorizer, arrays["weights"], arrays["intercepts"])

    def ranking(self, text: str) -> list[tuple[str, float]]:
        """All labels with their chances (adding up to 1), best first."""
        row = _rows([text], self.vectorizer, self.cues)
        scores = np.asarray(row @ self.weights.T).ravel() + self.intercepts
        chances = 1.0 / (1.0 + np.exp(-scores))
        chances = chances / chances.sum()
        order = np.argsort(-chances, kind="stable")
        return [(self.labels[place], float(chances[place])) for place in order]


def _rows(texts: Sequence[str], vectorizer: Any, cues: list[list[str]]) -> Any:
    counts = [[min(_MOST_CUES, sum(cue in text for cue in row)) for row in cues] for text in texts]
    return hstack([vectorizer.transform(texts), csr_matrix(np.array(counts, dtype=float) * _CUE_WEIGHT)]).tocsr()


def _features(text: str) -> list[str]:
    """Character 1- to 3-grams, Latin words and their pairs, of normalised text."""
    grams = [text[at : at + size] for size in range(1, _LONGEST_GRAM + 1) for at in range(len(text) - size + 1)]
    words = _LATIN.findall(text)
    return grams + [f"w:{word}" for word in words] + [f"w:{a} {b}" for a, b in pairwise(words)]
