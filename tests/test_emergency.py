"""People in danger: heard before any model, numbers at once, a person before everybody else; and nothing else is."""

from collections.abc import Callable

import pytest

from bot import emergency
from bot.build import Product
from bot.dialogue import Script
from bot.emergency import FRAUD, LIFE, SELF_HARM
from bot.store import complaints, conversations
from tests.talking import Hands, complaint_talk

HEARD = {
    LIFE: [
        "光缆漏电，有人触电了", "救命", "我家着火了，电话打不出去", "老人晕倒了，120打不通", "家里燃气泄漏", "我妈心脏病犯了",
        "the modem is on fire", "there is a gas leak", "I cannot call 120", "my dad is having a stroke", "ｔｈｅ house is on fire",
    ],
    SELF_HARM: ["我不想活了", "活不下去了，想跳楼", "I want to die", "I will kill myself"],
    FRAUD: [
        "骗子让我把钱转到安全账户", "对方要我提供验证码", "我刚被骗了，钱刚转出去", "我银行卡的钱正在被转走", "他叫我共享屏幕",
        "someone is telling me to transfer my savings", "I just got scammed", "they are draining my account",
    ],
}  # fmt: skip
NOT_HEARD = [
    "去年着火以后光缆一直没修", "网速慢得要死", "被骗了两千，上个月的事", "诈骗电话太多了", "信息爆炸的时代", "如果有人触电怎么办",
    "担心漏电", "宽带断了", "我要投诉", "", "   ", "我名下多出来两个号", "流量用完了", "电话打不通", "垃圾短信轰炸",
    "this is a scam, you charged me twice", "my phone died", "I was scammed last year", "what if the box is on fire",
    "the battery is dying", "I am afraid of a gas leak", "kill the subscription",
]  # fmt: skip


@pytest.mark.parametrize(("kind", "words"), [(kind, words) for kind, lines in HEARD.items() for words in lines])
def test_danger_is_heard(kind: str, words: str) -> None:
    assert emergency.danger(words) == kind


@pytest.mark.parametrize("words", [HEARD[LIFE][0], HEARD[FRAUD][0], "my dad is having a stroke"])
def test_danger_is_heard_at_the_end_of_a_long_story(words: str) -> None:
    assert emergency.danger("宽带坏了。" * 2_000 + words)


@pytest.mark.parametrize("words", NOT_HEARD)
def test_no_danger_where_there_is_none(words: str) -> None:
    assert emergency.danger(words) == ""


@pytest.fixture
def hands(product: Product, script: Script) -> Hands:
    script.answer = complaint_talk
    return Hands(product)


def test_danger_goes_before_those_who_wait_and_needs_no_rasa(hands: Hands, script: Script) -> None:
    hands.say("ann", "人工")
    hands.say("bob", "人工")
    asked = len(script.asked)
    hands.say("eve", "光缆漏电，有人触电了")
    assert len(script.asked) == asked
    with hands.product.database.read() as db:
        assert conversations.queue(db)[0].id == hands.conversation("eve").id
        assert complaints.of_identity(db, hands.conversation("eve").identity_id)[0].severity == "critical"
    assert "120" in hands.heard("eve")[0]


def test_who_waits_already_moves_to_the_front(hands: Hands) -> None:
    for who in ("ann", "bob"):
        hands.say(who, "人工")
    hands.say("bob", "快来人，着火了")
    with hands.product.database.read() as db:
        assert [one.id for one in conversations.queue(db)][0] == hands.conversation("bob").id  # noqa: RUF015
    assert "下一位" in hands.heard("bob")[-2] or "下一位" in hands.heard("bob")[-1]


def test_what_was_being_told_is_filed_as_it_is(hands: Hands) -> None:
    hands.say("ann", "家里宽带断了两天")
    hands.say("ann", "骗子让我把钱转到安全账户")
    with hands.product.database.read() as db:
        (filed,) = complaints.of_identity(db, hands.conversation("ann").identity_id)
    assert filed.fields["what"] == "家里宽带断了两天" and not filed.complete and filed.severity == "high"


def test_out_of_hours_the_numbers_come_all_the_same(make_product: Callable[..., Product]) -> None:
    hands = Hands(make_product(TINGSU_HOURS="Mon 00:00-00:01"))
    hands.say("ann", "有人触电了")
    assert "120" in hands.heard("ann")[0]
    with hands.product.database.read() as db:
        assert len(complaints.open_promises(db, "callback")) == 1


def test_who_speaks_of_dying_gets_no_reference(hands: Hands) -> None:
    hands.say("ann", "我不想活了")
    assert hands.conversation("ann").queue_reason == "danger self_harm"
    with hands.product.database.read() as db:
        assert complaints.of_identity(db, hands.conversation("ann").identity_id) == []
