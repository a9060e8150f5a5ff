"""How the bot behaves: an insult is answered once, whoever wants it plain gets it plain, a language is confirmed."""

from __future__ import annotations

from typing import Any

from rasa_sdk import Action, Tracker
from rasa_sdk.events import EventType, SlotSet
from rasa_sdk.executor import CollectingDispatcher

from actions.turn import Answer


class AnswerInsult(Action):  # type: ignore[misc]  # rasa_sdk is untyped
    """Calm and concrete the first time; after that only the way on."""

    def name(self) -> str:
        return "action_answer_insult"

    async def run(self, dispatcher: CollectingDispatcher, tracker: Tracker, domain: dict[str, Any]) -> list[EventType]:
        answer = Answer()
        key = "answer.insult_again" if tracker.get_slot("insulted") else "answer.insult"
        answer.say(key, None, ["complain", "human"])
        answer.send(dispatcher)
        return [SlotSet("insulted", True)]


class SpeakPlainly(Action):  # type: ignore[misc]  # rasa_sdk is untyped
    """Short steps, numbers in place of buttons, a person offered first; until it is no longer wanted."""

    def name(self) -> str:
        return "action_speak_plainly"

    async def run(self, dispatcher: CollectingDispatcher, tracker: Tracker, domain: dict[str, Any]) -> list[EventType]:
        plain = tracker.latest_message["intent"]["name"] == "plain"
        answer = Answer()
        answer.say("plain.begin" if plain else "plain.end", None, ["human", "complain", "status"])
        answer.send(dispatcher)
        return [SlotSet("plain", True if plain else None)]
