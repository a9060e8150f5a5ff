"""Names the complaint's category: 40 leaves by a linear model over character n-grams of the whole text."""

from __future__ import annotations

from typing import Any

from rasa.engine.graph import ExecutionContext, GraphComponent
from rasa.engine.recipes.default_recipe import DefaultV1Recipe
from rasa.engine.storage.resource import Resource
from rasa.engine.storage.storage import ModelStorage
from rasa.shared.nlu.training_data.message import Message
from rasa.shared.nlu.training_data.training_data import TrainingData

from nlu_data.leaf_model import LeafModel
from nlu_data.problems import problems
from nlu_data.wording import has_words, normalised, without_references

NO_TOPIC = "none"
"""Class of complaints that name no problem ("我要投诉"); never shown outside."""

COMPLAINT_INTENTS = frozenset({"complain", "appeal", "not_resolved", "urge", "add_information", "report_misconduct"})
_RANKED = 5
_CLEAR_TOPIC = 0.2
_LONGEST = 4000


@DefaultV1Recipe.register(DefaultV1Recipe.ComponentType.INTENT_CLASSIFIER, is_trainable=True)
class LeafClassifier(GraphComponent):  # type: ignore[misc]  # Rasa is untyped here
    """Sets `category` (a leaf slug or None), `categories` (best first) and `problems` (two, if two are told).

    Training examples carry their leaf as intent metadata `leaf`; complaints without one teach the class "none".
    A lookup table named like a leaf lists words that speak for it.
    """

    def __init__(self, config: dict[str, Any], storage: ModelStorage, resource: Resource) -> None:
        self._threshold: float = config["threshold"]
        self._storage = storage
        self._resource = resource
        self._model: LeafModel | None = None

    @staticmethod
    def get_default_config() -> dict[str, Any]:
        return {"threshold": 0.05}

    @classmethod
    def create(
        cls,
        config: dict[str, Any],
        model_storage: ModelStorage,
        resource: Resource,
        execution_context: ExecutionContext,
    ) -> LeafClassifier:
        return cls(config, model_storage, resource)

    def train(self, training_data: TrainingData) -> Resource:
        rows = [(example.get("text"), leaf_of(example)) for example in training_data.intent_examples]
        labelled = [(normalised(text), leaf) for text, leaf in rows if leaf is not None]
        if labelled:
            texts, leaves = [text for text, _ in labelled], [leaf for _, leaf in labelled]
            self._model = LeafModel.fitted(texts, leaves, _cues(training_data))
            with self._storage.write_to(self._resource) as folder:
                self._model.save(folder)
        return self._resource

    @classmethod
    def load(
        cls,
        config: dict[str, Any],
        model_storage: ModelStorage,
        resource: Resource,
        execution_context: ExecutionContext,
        **_: Any,
    ) -> LeafClassifier:
        component = cls(config, model_storage, resource)
        with model_storage.read_from(resource) as folder:
            component._model = LeafModel.loaded(folder)
        return component

    def process_training_data(self, training_data: TrainingData) -> TrainingData:
        return training_data

    def process(self, messages: list[Message]) -> list[Message]:
        for message in messages:
            ranking = self.ranking(message.get("text") or "")
            _lift(message, ranking)
            message.set("categories", ranking[:_RANKED], add_to_output=True)
            message.set("category", self._chosen(message, ranking), add_to_output=True)
            told = problems(message.get("text") or "", self.ranking)
            message.set("problems", told, add_to_output=True)
        return messages

    def ranking(self, text: str) -> list[dict[str, Any]]:
        """All leaves, best first, as `{"category", "confidence"}`; the class "none" keeps its place."""
        if self._model is None or not has_words(text):
            return []
        return [
            {"category": leaf, "confidence": round(chance, 4)}
            for leaf, chance in self._model.ranking(normalised(without_references(text[:_LONGEST])))
        ]

    def _chosen(self, message: Message, ranking: list[dict[str, Any]]) -> str | None:
        if not ranking or _likely_intent(message) not in COMPLAINT_INTENTS:
            return None
        best = ranking[0]
        if best["category"] == NO_TOPIC or best["confidence"] < self._threshold:
            return None
        return str(best["category"])


def _lift(message: Message, ranking: list[dict[str, Any]]) -> None:
    """A text of unsure intent that clearly names a problem ("我的宽带断了") is a complaint."""
    intent = message.get("intent") or {}
    best: dict[str, Any] = ranking[0] if ranking else {"category": NO_TOPIC, "confidence": 0.0}
    if (
        intent.get("name") not in ("nlu_fallback", "correct")
        or best["category"] == NO_TOPIC
        or best["confidence"] < _CLEAR_TOPIC
    ):
        return
    lifted = {"name": "complain", "confidence": 0.5}
    others = [row for row in message.get("intent_ranking") or [] if row["name"] not in ("complain", intent["name"])]
    message.set("intent", lifted, add_to_output=True)
    message.set("intent_ranking", [lifted, *others], add_to_output=True)


def _likely_intent(message: Message) -> str | None:
    """The best intent of our own, also where the model was too unsure to act on it."""
    named = [message.get("intent") or {}, *(message.get("intent_ranking") or [])]
    return next((row["name"] for row in named if row.get("name") not in (None, "nlu_fallback")), None)


def _cues(training_data: TrainingData) -> list[list[str]]:
    tables = sorted(training_data.lookup_tables, key=lambda table: str(table["name"]))
    return [[normalised(cue) for cue in table["elements"]] for table in tables]


def leaf_of(example: Message) -> str | None:
    """The leaf label of a training example, "none" for a complaint without topic, None for other intents."""
    if example.get("intent") != "complain":
        return None
    metadata = (example.get("metadata") or {}).get("intent") or {}
    return str(metadata.get("leaf") or NO_TOPIC)
