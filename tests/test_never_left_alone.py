"""Random talks of thirty messages, valid and hostile, with real Rasa: never left without an answer, a question or a person."""

import random
from collections.abc import Callable

import pytest

from bot.build import Product
from bot.message import Attachment, Incoming, Kind
from bot.store import inbox
from tests.scripted import Stage
from tests.talking import text

pytestmark = [pytest.mark.journey, pytest.mark.timeout(300)]

TALKS = 12
MESSAGES = 30

SENSIBLE = [
    "我要投诉", "宽带断了三天", "这个月多扣了30块", "手机没信号，从上周五开始", "13812345678", "江宁区金盛路8号", "退费", "确认", "不对",
    "跳过", "算了", "号码写错了，是13900000000", "我的投诉怎么样了", "催一下", "撤销投诉", "没解决", "解决了", "5分", "补充一下，昨天又断了",
    "我要申诉", "接下来呢", "我的个人信息", "删除我的个人信息", "你好", "谢谢", "再见", "你是机器人吗", "垃圾", "说简单点", "1", "2", "0", "9",
    "English please", "说中文", "宽带断了，另外这个月多扣了30块", "分开", "合并", "第二个",
    "My internet is down", "yes", "no", "skip", "cancel", "chase it", "withdraw my complaint", "refund me", "what happens next",
]  # fmt: skip
HOSTILE = [
    "", "   ", "😡😡", "!!!", "\x00", "\u202e反\u202c", "/restart", '/affirm{"x":1}', "／session_start", "TS-2222-2222-2", "x" * 5_000,
    "断" * 3_000, "'; DROP TABLE turn", "<script>alert(1)</script>", "{what}", "\ud800", "12345678901234567890", "NaN", "-1", "1e9",
    "身份证11010519491231002X", "木棉花开否",
]  # fmt: skip
TAPS = ["affirm", "deny", "skip", "cancel", "complain", "status", "split", "join", "urge", "add", "withdraw", "pick",
        "solved", "unsolved", "999.0", "bogus"]  # fmt: skip


@pytest.mark.parametrize("seed", range(TALKS))
def test_nobody_is_left_alone(make_talking: Callable[[], Product], seed: int) -> None:
    rng = random.Random(seed)
    stage = Stage(make_talking, rng.choice(["zh", "en"]))
    said: list[str] = []
    for _ in range(MESSAGES):
        event = _event(stage, rng)
        said.append(event.text or event.payload or "[photo]")
        stage._do([event])
        _check(stage, said)
        if stage.conversation.state == "queued" and rng.random() < 0.8:
            stage._do([Incoming(stage._key(), Kind.TAP, stage.who, payload="stop_waiting")])
            said.append("stop waiting")


def _event(stage: Stage, rng: random.Random) -> Incoming:
    dice = rng.random()
    if dice < 0.15:
        return Incoming(stage._key(), Kind.TAP, stage.who, payload=_shown(stage, rng.choice(TAPS)))
    if dice < 0.22:
        return text(stage.who, rng.choice(["", "看这个"]), kind=Kind.MEDIA, attachments=(Attachment("photo", "one"),))
    words = rng.choice(SENSIBLE if dice < 0.8 else HOSTILE)
    return Incoming(stage._key(), Kind.TEXT, stage.who, text=words, language=stage.language)


def _shown(stage: Stage, payload: str) -> str:
    """The wire form of the newest such button; the word itself, as an attacker would send it, where there is none."""
    try:
        return stage._wire(payload)
    except AssertionError:
        return payload


def _check(stage: Stage, said: list[str]) -> None:
    current, talk = stage.conversation, " | ".join(one[:40] for one in said)
    with stage.product.database.read() as db:
        unanswered = inbox.open_rows(db, current.id)
    dead = [row for row in stage.hands.rows(stage.who) if row.state in ("dead", "pending", "retry")]
    assert not dead, f"{dead[0].reason}: {talk}"
    if current.state == "queued":
        return  # a person
    assert current.state == "bot", talk
    assert not unanswered, f"not answered: {talk}"
    assert stage.fresh or current.question, f"neither an answer nor a question: {talk}"
