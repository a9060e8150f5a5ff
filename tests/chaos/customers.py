"""Customers for chaos: each follows a script at a web chat or at Telegram, whatever is killed meanwhile."""

import json
import random
import re
import threading
import time
import uuid
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import httpx

from tests.chaos.ledgers import Delivery, Driver
from tests.chaos.telegram import SECRET, TimedEmulator, tap_update, text_update

PATIENCE = 300.0  # seconds for one goal; a product under fire on a busy machine may need most of it
NUDGE_AFTER = 25.0  # seconds of silence before a customer writes again; twice as long each time, or fifty
# customers who say hello keep a busy machine from everything else
LULL = 6.0  # seconds after a line that asked nothing
SENT_TWICE = 0.25  # share of posts


@dataclass(frozen=True)
class Heard:
    """A message on the customer's screen. `buttons` are (label, wire payload)."""

    number: int
    text: str
    buttons: list[tuple[str, str]]


class Chat(ABC):
    """One customer's side of a channel: posts until it is taken, as a platform would, and hears."""

    def __init__(self, name: str, driver: Driver, rng: random.Random) -> None:
        self.name = name
        self._driver = driver
        self._rng = rng

    def say(self, text: str) -> None:
        self._post(*self.text_event(text))

    def tap(self, line: Heard, place: int) -> None:
        self._post(*self.tap_event(line, place))

    @abstractmethod
    def text_event(self, text: str) -> tuple[str, Callable[[], httpx.Response]]:
        """The event's key, and the call that posts it; calling again posts the same event again."""

    @abstractmethod
    def tap_event(self, line: Heard, place: int) -> tuple[str, Callable[[], httpx.Response]]: ...

    @abstractmethod
    def heard(self) -> list[Heard]:
        """Everything so far, in the order in which it came."""

    @abstractmethod
    def leave(self) -> None:
        """Hears no more from now on."""

    @abstractmethod
    def close(self) -> None:
        """After `leave`, and best when the product has stopped."""

    def _post(self, key: str, send: Callable[[], httpx.Response]) -> None:
        """Returns when the event is acknowledged; now and then it was posted twice, together or one after the other."""
        post = self._driver.begin(self.name, key)

        def deliver() -> None:
            until_taken(send)
            self._driver.acknowledged(post)

        if self._rng.random() >= SENT_TWICE:
            deliver()
            return
        again = threading.Thread(target=deliver, daemon=True)
        again.start()
        if self._rng.random() < 0.5:
            again.join()
        deliver()
        again.join()


def until_taken(send: Callable[[], httpx.Response]) -> httpx.Response:
    """Repeats what was not taken, as platforms do. Raises AssertionError for a refusal of what was posted."""
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            answer = send()
        except httpx.TransportError:
            answer = None
        if answer is not None and answer.is_success:
            return answer
        refused = answer is not None and answer.status_code < 500 and answer.status_code != 429
        assert answer is None or not refused, f"refused: {answer.status_code} {answer.text[:200]}"
        assert time.monotonic() < deadline, "nobody took it"
        time.sleep(0.3)


class WebChat(Chat):
    """A page of the web chat: posts by its API, hears by its event stream, which it resumes by number."""

    def __init__(self, name: str, driver: Driver, rng: random.Random, public: str, language: str) -> None:
        super().__init__(name, driver, rng)
        self._client = httpx.Client(base_url=public, timeout=20)
        begun = until_taken(lambda: self._client.post("/chat/v1/sessions", json={"language": language}))
        self._client.headers["Authorization"] = f"Bearer {begun.json()['token']}"
        self._lines: list[Heard] = []
        self._left = threading.Event()
        self._reader = threading.Thread(target=self._read, name=f"stream of {name}", daemon=True)
        self._reader.start()

    def text_event(self, text: str) -> tuple[str, Callable[[], httpx.Response]]:
        return self._event({"text": text})

    def tap_event(self, line: Heard, place: int) -> tuple[str, Callable[[], httpx.Response]]:
        return self._event({"tap": line.buttons[place][1]})

    def _event(self, body: Mapping[str, str]) -> tuple[str, Callable[[], httpx.Response]]:
        key = uuid.uuid4().hex
        return key, lambda: self._client.post("/chat/v1/messages", json={"id": key, **body})

    def heard(self) -> list[Heard]:
        return list(self._lines)

    def _read(self) -> None:
        while not self._left.is_set():
            try:
                self._read_stream()
            except httpx.HTTPError:
                self._left.wait(0.7)

    def _read_stream(self) -> None:
        after = self._lines[-1].number if self._lines else 0
        with self._client.stream("GET", f"/chat/v1/events?after={after}") as stream:
            event = ""
            for line in stream.raise_for_status().iter_lines():
                if self._left.is_set():
                    return
                name, _, value = line.partition(": ")
                event = value if name == "event" else event
                if name == "data" and event == "message":
                    self._take(json.loads(value))

    def _take(self, message: Mapping[str, object]) -> None:
        number, text, buttons = message["stream"], str(message["text"]), message["buttons"]
        assert isinstance(number, int) and isinstance(buttons, list)
        self._driver.streamed.append(Delivery(self.name, time.time(), number, text))
        self._lines.append(Heard(number, text, [(one["label"], one["payload"]) for one in buttons]))

    def leave(self) -> None:
        """The reader ends with the next line or with the product, whichever comes first."""
        self._left.set()

    def close(self) -> None:
        self._reader.join(20)
        self._client.close()


class TelegramChat(Chat):
    """A private chat with the bot: updates are posted to the webhook, the bot's messages come to the emulator."""

    def __init__(
        self, name: str, driver: Driver, rng: random.Random, public: str, emulator: TimedEmulator, chat_id: int
    ) -> None:
        super().__init__(name, driver, rng)
        self._client = httpx.Client(base_url=public, timeout=20, headers={"X-Telegram-Bot-Api-Secret-Token": SECRET})
        self._emulator = emulator
        self._chat_id = chat_id
        emulator.names[chat_id] = name

    def text_event(self, text: str) -> tuple[str, Callable[[], httpx.Response]]:
        return self._event(*text_update(self._emulator, self._chat_id, text))

    def tap_event(self, line: Heard, place: int) -> tuple[str, Callable[[], httpx.Response]]:
        return self._event(*tap_update(self._emulator, self._chat_id, line.buttons[place][1], line.number))

    def _event(self, key: str, update: Mapping[str, object]) -> tuple[str, Callable[[], httpx.Response]]:
        return key, lambda: self._client.post("/channels/telegram/main", json=update)

    def heard(self) -> list[Heard]:
        return [Heard(one.message_id, one.text, one.buttons) for one in self._emulator.sent(self._chat_id)]

    def leave(self) -> None:
        """Nothing is open between two posts."""

    def close(self) -> None:
        self._client.close()


WORDS: Mapping[str, Mapping[str, str]] = {
    "zh": {
        "complaint": "我家宽带从昨晚一直断网，光猫红灯，报修电话也打不通",
        "number": "13800138000",
        "place": "南京市江宁区东山街道金盛路8号",
        "when": "昨天晚上八点",
        "amount": "38元",
        "skip": "跳过",
        "status": "我的投诉怎么样了",
        "human": "转人工",
        "thanks": "谢谢",
        "hello": "你好",
        "stop": "不等了",
    },
    "en": {
        "complaint": "My home broadband has been dead since last night and the modem light is red",
        "number": "13800138000",
        "place": "8 Jinsheng Road, Jiangning, Nanjing",
        "when": "last night around eight",
        "amount": "38 yuan",
        "skip": "skip",
        "status": "how is my complaint going",
        "human": "I want to talk to a human",
        "thanks": "thanks",
        "hello": "hello there",
        "stop": "stop waiting",
    },
}

# What a line is, by its words; the first that fits. The product's texts are in bot/texts/*.yml.
_LINES: Mapping[str, re.Pattern[str]] = {
    "receipt": re.compile(r"受理编号是|[Rr]eference is TS-"),
    "moment": re.compile(r"请稍等|One moment please"),
    "trouble": re.compile(r"系统出了点问题|went wrong on my side|没有理解好"),
    "queued": re.compile(r"前面还有 \d+ 位|您是下一位|\d+ ahead of you|you are next"),
    "left": re.compile(r"不再排队|you have left the queue"),
    "released": re.compile(r"接下来由我|the bot, carry on"),
    "stale": re.compile(r"现在不能用了|no longer works"),
    "agent": re.compile(r"^agent "),
}
_AFFIRM = re.compile(r"确认提交|Yes, submit")
_ANSWERS: Mapping[str, str] = {
    r"号码|手机号|账号|[Nn]umber|account": "number",
    r"什么时候|时间|几点|[Ww]hen|time": "when",
    r"地址|地方|哪里|地点|位置|小区|[Ww]here|address|place|street": "place",
    r"金额|多少钱|[Mm]oney|amount": "amount",
    r"希望|诉求|怎么解决|like us to|want|remedy|ask for": "skip",
}
_REFERENCE = re.compile(r"TS-[2-9A-Z]{4}-[2-9A-Z]{4}-[2-9A-Z]")


def kind_of(line: Heard) -> str:
    """One of _LINES; else `read back` with a button to confirm, `question` with one to skip, or `other`."""
    for kind, pattern in _LINES.items():
        if pattern.search(line.text):
            return kind
    labels = " ".join(label for label, _ in line.buttons)
    if _AFFIRM.search(labels):
        return "read back"
    return "question" if re.search(r"跳过|取消|Skip|Cancel", labels) else "other"


@dataclass
class Plan:
    """What a customer is going to do."""

    language: str
    wants_person: bool
    starts_after: float


@dataclass
class Customer:
    """Complains, answers, confirms, asks for the status; some ask for a person in the middle of a turn."""

    chat: Chat
    plan: Plan
    rng: random.Random
    detours: Counter[str] = field(default_factory=Counter)
    reference: str = ""
    _read: int = 0

    def run(self) -> None:
        """Returns when the script is through. Raises AssertionError with the whole talk when it is stuck."""
        time.sleep(self.plan.starts_after)
        words = WORDS[self.plan.language]
        self._pursue("a receipt", words["complaint"], words["hello"], self._has_receipt)
        self._pursue("the status", words["status"], words["status"], self._is_status)
        if self.plan.wants_person:
            self._think()
            self.chat.say(words["status"])  # a turn is in flight when the wish comes
            self._pursue("a person", words["human"], words["human"], lambda line: kind_of(line) == "agent")
            self.chat.say(words["thanks"])
            self._pursue("the status again", words["status"], words["status"], self._is_status, at_once=False)

    def _think(self) -> None:
        time.sleep(self.rng.uniform(0.2, 2.5))

    def _has_receipt(self, line: Heard) -> bool:
        found = _REFERENCE.search(line.text) if kind_of(line) == "receipt" else None
        if found:
            self.reference = found[0]
        return found is not None

    def _is_status(self, line: Heard) -> bool:
        return kind_of(line) == "other" and _REFERENCE.search(line.text) is not None

    def _pursue(
        self, goal: str, opening: str, nudge: str, reached: Callable[[Heard], bool], *, at_once: bool = True
    ) -> None:
        """Says the opening and answers what comes until the goal is reached.

        Without `at_once` the opening waits until the agent has gone. After a silence it says the nudge, or the
        opening again when the bot has asked nothing.
        """
        deadline, patience = time.monotonic() + PATIENCE, NUDGE_AFTER
        if at_once:
            self.chat.say(opening)
        again = False  # whether the next silence means that the opening must be repeated
        while True:
            line = self._next(LULL if again else patience)
            assert time.monotonic() < deadline, f"{self.chat.name} never got {goal}:\n{self._talk()}"
            if line is None:
                self.detours["said again" if again else "nudged"] += 1
                self.chat.say(opening if again else nudge)
                again, patience = False, patience * 2
                continue
            if reached(line):
                return
            again = self._react(line, goal)

    def _next(self, seconds: float) -> Heard | None:
        """The next unread line; None after so many seconds of silence."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            lines = self.chat.heard()
            if len(lines) > self._read:
                self._read += 1
                return lines[self._read - 1]
            time.sleep(0.1)
        return None

    def _react(self, line: Heard, goal: str) -> bool:
        """Does what a customer would; True after a line that asks nothing: silence then calls for the opening again."""
        kind = kind_of(line)
        if kind in ("moment", "trouble", "stale", "left", "released", "agent"):
            self.detours[kind] += 1
        if kind in ("read back", "question"):
            self._answer_newest(line)
        elif kind == "queued" and goal != "a person":
            self._queued()
        return kind in ("left", "released", "other")

    def _answer_newest(self, line: Heard) -> None:
        """People answer what stands last on their screen, and they read while they think."""
        self._think()
        if len(self.chat.heard()) > self._read:
            return
        affirm = next((place for place, (label, _) in enumerate(line.buttons) if _AFFIRM.search(label)), None)
        if affirm is None:
            self.chat.say(self._answer(line))
        else:
            self.chat.tap(line, affirm)

    def _queued(self) -> None:
        self.detours["queued unasked"] += 1
        if self.rng.random() < 0.7:
            self.chat.say(WORDS[self.plan.language]["stop"])

    def _answer(self, line: Heard) -> str:
        words = WORDS[self.plan.language]
        found = next((name for asked, name in _ANSWERS.items() if re.search(asked, line.text)), "skip")
        return words[found]

    def _talk(self) -> str:
        return "\n".join(f"    {line.text}" for line in self.chat.heard())
