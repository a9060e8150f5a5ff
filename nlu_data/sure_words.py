"""Short texts that must never be misread, whatever the classifier thinks: 投诉, human, a bare reference, bare digits."""

from __future__ import annotations

import re
from typing import Any

from rasa.engine.graph import ExecutionContext, GraphComponent
from rasa.engine.recipes.default_recipe import DefaultV1Recipe
from rasa.engine.storage.resource import Resource
from rasa.engine.storage.storage import ModelStorage
from rasa.shared.nlu.training_data.message import Message

from nlu_data.wording import normalised

_END = r"[\s。.!！~～?？,，、]*"
_SURE = {
    intent: re.compile(rf"(?:{words}){_END}")
    for intent, words in {
        "complain": r"(?:我)?(?:想|要)?(?:要|想)?投诉(?:你们|一下)?|(?:我)?(?:要|想)(?:反映|反馈)(?:个|一个|一下)?(?:问题|情况)?|"
        r"(?:i (?:want|need|would like|wish) to |i'd like to )?(?:make a |file a |lodge a )?compla(?:in|int)(?: please)?",
        "ask_human": r"(?:转|找|要|我要|接|换)?(?:人工|真人)(?:客服|服务|坐席)?|(?:a |real )?(?:human|agent|person)(?: please)?",
        "complaint_status": r"(?:查询?|查一下)?(?:投诉|工单)?(?:进度|状态)|(?:check )?status",
        "affirm": r"是的?|对的?|好的?|嗯+|行|可以|确认|确定|提交|没错|没问题|ok(?:ay)?|yes|y|yep|yeah|sure|correct|confirm|submit",
        "deny": r"不是?|不对|没有|否|修改|no|nope|n|change",
        "skip": r"跳过|略过?|不知道|不清楚|不记得了?|忘了|skip|pass|i (?:don't|do not) know|no idea",
        "cancel": r"取消|算了|退出|不投诉了|不填了|cancel|quit|exit|forget it|never ?mind",
        "greet": r"你好|您好|嗨|哈喽|在吗|开始|hi|hello|hey|/?start",  # the last is what Telegram says first
        "thanks": r"谢谢你?|多谢|感谢|thanks?|thank you|thx",
        "goodbye": r"再见|拜拜|bye(?: ?bye)?|goodbye|88",
    }.items()
}


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
    for intent, pattern in _SURE.items():
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
