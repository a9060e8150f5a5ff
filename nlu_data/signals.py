"""Reads how a customer feels and whether a person is wanted: cheap word lists and rules, no training."""

from __future__ import annotations

import re
from typing import Any

from rasa.engine.graph import ExecutionContext, GraphComponent
from rasa.engine.recipes.default_recipe import DefaultV1Recipe
from rasa.engine.storage.resource import Resource
from rasa.engine.storage.storage import ModelStorage
from rasa.shared.nlu.training_data.message import Message

from nlu_data.wording import normalised

_ANGRY = re.compile(
    r"垃圾|骗子|骗钱|流氓|无耻|不要脸|恶心|滚|妈的|tmd|他妈|操你|sb|傻[逼x]|混蛋|王八|坑爹|坑人|霸王|黑心|气死|火大|愤怒|"
    r"忍无可忍|受够|太过分|欺负人|欺人太甚|什么玩意|什么破|破网|破公司|曝光|起诉|12300|12315|工信部|"
    r"bullshit|damn|hell|fuck|shit|crap|scam|thie(?:f|ves)|liars?|ridiculous|outrageous|disgust\w*|furious|useless|"
    r"idiots?|pathetic|unacceptable|worst|rip[- ]?off|fed up|sick of|joke"
)
_BAD = re.compile(
    r"投诉|不满|失望|差劲|太差|太慢|很慢|没人|断网|断了|扣费|多扣|乱扣|没到账|推诿|敷衍|态度|投诉无门|没用|不行|坏了|打不开|"
    r"凭什么|莫名|竟然|居然|又|还是不|一直没|到现在|"
    r"complain\w*|terrible|awful|bad|slow|down|broken|wrong|never|nobody|nothing|overcharged?|without my|still|rude|"
    r"drops?|dropping|refus\w*|cancel\w*|missed"
)
_GOOD = re.compile(
    r"谢谢|感谢|很好|不错|满意|表扬|点赞|太棒|热情|专业|解决了|好了|"
    r"thank\w*|great|good|excellent|love|perfect|happy|satisfied|praise|fixed|resolved|nice|helpful"
)
_PERSON = re.compile(
    r"人工|真人|活人|转接?客服|转坐席|接线员|(?:找|叫|换|要|让|跟|和|给我|接通|联系)(?:一?个|你们)?(?:的)?(?:人|客服|经理|领导|主管)"
    r"(?:来|跟|和|说|谈|接|处理|沟通|聊|讲|吧|$|，|。|！)|"
    r"(?:real|live|actual|human) (?:person|human|agent|being|representative)|"
    r"(?:talk|speak|connect|transfer|put) (?:me )?(?:to|with|through to) (?:a |an |the |your |some)?"
    r"(?:human|person|agent|someone|somebody|manager|supervisor|representative|operator|people)|"
    r"^(?:a )?(?:human|agent|operator|representative)(?: please)?[.!]?$"
)
_NO_PERSON = re.compile(
    r"(?:转不到|转不了|找不到|打不通|接不通|没有|联系不上|等不到|不给转|不让转|永远转不|进不了)[^，。！？]{0,4}(?:人工|真人)|"
    r"人工[^，。！？]{0,8}(?:打不通|接不通|转不|没人|进不去|难|等了|排队)|"
    r"(?:can|could)(?:not|n't| not| never) (?:get|reach|speak|talk)|never (?:get|reach|answer)"
)
# The regulator, a court, the press: what a customer may do, and no reason to be treated otherwise.
_THREAT = re.compile(
    r"工信部|通管局|管局|通信管理局|12300|12315|12381|12345|消协|消费者协会|起诉|法院|打官司|律师|媒体|记者|曝光|315晚会|黑猫"
    r"|\b(?:regulator|ombudsman|ministry|miit|court|sue|lawsuit|lawyer|attorney|solicitor|press|newspapers?|journalist|media)\b"
)

_SURE_TOPIC = 0.2


@DefaultV1Recipe.register(DefaultV1Recipe.ComponentType.INTENT_CLASSIFIER, is_trainable=False)
class SignalReader(GraphComponent):  # type: ignore[misc]  # Rasa is untyped here
    """Sets `signals`: `anger` 0..1, `sentiment` -1..1, `wants_human` (rule, or the intent ask_human), `threatens`."""

    @classmethod
    def create(
        cls,
        config: dict[str, Any],
        model_storage: ModelStorage,
        resource: Resource,
        execution_context: ExecutionContext,
    ) -> SignalReader:
        return cls()

    def process_training_data(self, training_data: Any) -> Any:
        return training_data

    def process(self, messages: list[Message]) -> list[Message]:
        for message in messages:
            intent = message.get("intent") or {}
            if _names_a_problem(message):
                intent = {**intent, "confidence": 0.0}  # tells a problem: only the rule makes it a wish for a person
            message.set("signals", signals(message.get("text") or "", intent), add_to_output=True)
        return messages


def _names_a_problem(message: Message) -> bool:
    best: dict[str, Any] | None = next(iter(message.get("categories") or []), None)
    return best is not None and best["category"] != "none" and float(best["confidence"]) >= _SURE_TOPIC


def signals(text: str, intent: dict[str, Any]) -> dict[str, Any]:
    """The signals of one text; `intent` is the classifier's best guess (`name`, `confidence`)."""
    words = normalised(text[:4000])
    anger = min(1.0, 0.35 * len(_ANGRY.findall(words)) + _loudness(text))
    named = str(intent.get("name") or "")
    if named == "insult":
        anger = max(anger, 0.6)
    bad, good = len(_BAD.findall(words)), len(_GOOD.findall(words))
    lean = (good - bad - 3 * anger) / (good + bad + 3 * anger + 1)
    asks = named == "ask_human" and float(intent.get("confidence") or 0) >= 0.4
    return {
        "anger": round(anger, 3),
        "sentiment": round(lean, 3),
        "wants_human": asks or wants_human(words),
        "threatens": bool(_THREAT.search(words)),
    }


def wants_human(words: str) -> bool:
    """Whether normalised text asks for a person; "nobody can be reached" is a complaint, not a wish."""
    return bool(_PERSON.search(words)) and not _NO_PERSON.search(words)


def _loudness(text: str) -> float:
    marks = min(len(re.findall(r"[!！]", text)), 6) * 0.05
    letters = [mark for mark in text if mark.isascii() and mark.isalpha()]
    shouting = len(letters) > 12 and sum(mark.isupper() for mark in letters) / len(letters) > 0.7
    return marks + (0.25 if shouting else 0.0)
