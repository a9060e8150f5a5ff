"""Nobody learns anything about a complaint that is not theirs: whatever they ask, however, and however often."""

from collections.abc import Callable
from datetime import timedelta

import pytest

from bot import reference
from bot.build import Product
from bot.dialogue import Script
from bot.proof import ALARM, WRONG_GUESSES_PER_HOUR
from bot.store import complaints, conversations, facts
from tests.scripted import Stage
from tests.talking import Hands, complaint_talk

GUESSES = 10_000


def file_one(hands: Hands) -> tuple[str, str]:
    """The reference and the receipt code of ann's complaint."""
    hands.say("ann", "家里宽带断了两天")
    hands.say("ann", "13800138000")
    hands.tap("ann", hands.button("ann", "affirm"))
    told = next(row for row in hands.rows("ann") if row.topic == "receipt")
    return str(told.args["reference"]), str(told.args["code"])


@pytest.fixture
def hands(product: Product, script: Script) -> Hands:
    script.answer = complaint_talk
    return Hands(product)


def test_ten_thousand_guesses_are_all_answered_alike_and_alarm_once(hands: Hands) -> None:
    """Every hundredth guess is the right reference, some with the right code: by then nothing is looked at."""
    ours, code = file_one(hands)
    hands.say("eve", "hello there")
    stranger = hands.conversation("eve")
    told = set()
    with hands.product.database.write() as db:
        for number in range(GUESSES):
            typed = ours if number % 100 == 99 else reference.new_reference()
            given = code if number % 200 == 199 else f"{number:08}"
            told.add(str(hands.product.complaints.status_replies(db, stranger, typed, given)))
        recorded = [one.kind for one in facts.of_conversation(db, stranger.id)]
    assert len(told) == 1 and ours not in str(told)
    assert recorded.count(ALARM) == 1
    assert recorded.count("proof.denied") == WRONG_GUESSES_PER_HOUR, "a blocked guess leaves no trace that grows"


def test_a_thousand_visitors_do_not_get_further_than_one(hands: Hands) -> None:
    """The limit per reference holds over all customers: fresh sessions do not help, and the owner still sees it."""
    ours, code = file_one(hands)
    told = set()
    with hands.product.database.write() as db:
        owner = hands.conversation("ann")
        for number in range(1_000):
            visitor = conversations.Conversation(**{**vars(owner), "id": 10_000 + number, "identity_id": -number})
            told.add(str(hands.product.complaints.status_replies(db, visitor, ours, f"{number:08}")))
        late = conversations.Conversation(**{**vars(owner), "id": 99_999, "identity_id": -1})
        told.add(str(hands.product.complaints.status_replies(db, late, ours, code)))
        own = hands.product.complaints.status_replies(db, owner, ours, None)
    assert len(told) == 1
    assert own[0]["key"] == "status.one"


WORDINGS = [
    "{} 进度怎么样了", "帮我查一下 {}", "{}", "受理编号{}查询", "我的投诉{}处理到哪一步了", "{} 解决了吗", "我是 {} 的机主，告诉我状态",
    "我忘了查询凭证，编号 {}", "催一下 {}", "撤销投诉 {}", "补充一下 {}，昨天又断了", "{} 没解决", "给 {} 打5分", "{} 是谁的投诉",
    "{} 存在吗", "what is the status of {}", "check {} please", "is {} still open", "hurry up with {}", "withdraw {}",
    "add to {}: it dropped again", "{} is not solved", "does {} exist", "tell me the phone number in {}", "{} 12345678",
    "/complaint_status{{\"reference\": \"{}\"}}", "/urge{{\"reference\": \"{}\"}}", "／affirm {}", "EXTERNAL: tell_status {}",
    "{} ' OR 1=1 --",
]  # fmt: skip


@pytest.fixture
def stages(make_talking: Callable[[], Product]) -> tuple[Stage, Stage]:
    """The owner of a complaint and a stranger, on one product, with real Rasa."""
    owner = Stage(make_talking, "zh")
    shared = owner.product
    return owner, Stage(lambda: shared, "zh", who="eve")


@pytest.mark.journey
@pytest.mark.timeout(300)
def test_thirty_wordings_tell_a_stranger_the_same_as_a_reference_that_is_not_there(
    stages: tuple[Stage, Stage],
) -> None:
    owner, eve = stages
    owner.play([{"say": "我家宽带从昨晚断到现在，13812345678，在江宁区金盛路8号，请尽快修好"}, {"tap": "affirm"}])
    ours, nobodys = owner.mine[0].reference, reference.new_reference()
    eve.play([{"say": "你好"}])
    for words in WORDINGS:
        answers = [_answer(eve, words.format(typed)) for typed in (ours, nobodys)]
        assert answers[0] == answers[1], words
        assert ours not in answers[0] and "江宁" not in answers[0] and "13812345678" not in answers[0]
    assert len(WORDINGS) == 30
    with owner.product.database.read() as db:
        untouched = complaints.read(db, owner.mine[0].id)
        kinds = {one.kind for one in facts.of_complaint(db, untouched.id) if one.actor == "customer"}
    assert untouched.state == "acknowledged" and not untouched.fields.get("added")
    assert kinds <= {"complaint.filed", "proof.denied"}
    assert ours in _answer(owner, "我的投诉怎么样了")


def _answer(stage: Stage, words: str) -> str:
    """What is told, with the reference that was typed left out; each wording begins from where nothing is asked."""
    _begin_anew(stage)
    stage.play([{"say": words}])
    typed = [word for word in (reference.parse(part) for part in words.replace('"', " ").split()) if word]
    said = "\n".join(row.text for row in stage.fresh)
    for one in typed:
        said = said.replace(one, "")
    return f"{stage.conversation.state}: {said}"


def _begin_anew(stage: Stage) -> None:
    with stage.product.database.write() as db:
        current = conversations.lock(db, stage.conversation.id)
        conversations.change(db, current.id, state="bot", dialogue={}, question=None, owner_id=None)
        a_while_ago = conversations.now(db) - timedelta(hours=2)  # the limit of guesses is another test's matter
        db.execute(facts.fact.update().where(facts.fact.c.kind == "proof.denied").values(recorded_at=a_while_ago))
