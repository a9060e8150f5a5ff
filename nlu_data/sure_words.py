"""Short texts that must never be misread, whatever the classifier thinks: 投诉, human, a bare reference, bare digits."""

from __future__ import annotations

import re
from typing import Any

from rasa.engine.graph import ExecutionContext, GraphComponent
from rasa.engine.recipes.default_recipe import DefaultV1Recipe
from rasa.engine.storage.resource import Resource
from rasa.engine.storage.storage import ModelStorage
from rasa.shared.nlu.training_data.message import Message

from nlu_data.short_words import PATTERNS
from nlu_data.wording import normalised


@DefaultV1Recipe.register(DefaultV1Recipe.ComponentType.INTENT_CLASSIFIER, is_trainable=False)
class SureWords(GraphComponent):  # type: ignore[misc]  # Rasa is untyped here
    """Overrides the intent of a few whole texts; runs after the facts are picked out."""

    @classmethod
    def create(
        cls,
        config: dict[str, Any],
        model_storage: ModelStorage,
        resource: Resource,
        execution_context: ExecutionContext,
    ) -> SureWords:
        return cls()

    def process_training_data(self, training_data: Any) -> Any:
        return training_data

    def process(self, messages: list[Message]) -> list[Message]:
        for message in messages:
            sure = sure_intent(message.get("text") or "", message.get("entities") or [])
            if sure:
                message.set("intent", sure, add_to_output=True)
                others = [row for row in message.get("intent_ranking") or [] if row["name"] != sure["name"]]
                message.set("intent_ranking", [sure, *others], add_to_output=True)
        return messages


def sure_intent(text: str, entities: list[dict[str, Any]]) -> dict[str, Any] | None:
    """The intent of a text that leaves no doubt; digits alone are no intent at all unless they prove a complaint."""
    words = normalised(text)
    for intent, pattern in PATTERNS.items():
        if pattern.fullmatch(words):
            return {"name": intent, "confidence": 0.99}
    proofs = [entity for entity in entities if entity["entity"] in ("reference", "receipt_code")]
    rest = _without(text, proofs)
    if proofs and not re.search(r"[^\W\d_]{2,}", rest):
        return {"name": "complaint_status", "confidence": 0.99}
    if not re.search(r"[^\W\d_]", text):
        return {"name": "nlu_fallback", "confidence": 0.9}
    return None


def _without(text: str, entities: list[dict[str, Any]]) -> str:
    for entity in sorted(entities, key=lambda found: -found["start"]):
        text = text[: entity["start"]] + " " + text[entity["end"] :]
    return text
