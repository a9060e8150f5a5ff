"""After the receipt: wishes to the desk are told once whatever the desk does, limited, and act on one's own complaints only."""

from datetime import timedelta
from typing import Any

import pytest

from bot.build import Product
from bot.desk import Ticket, TicketState
from bot.desk_work import DeskWork
from bot.desks.local import LocalDesk
from bot.dialogue import Question, Said, Script
from bot.errors import DeskDown, DeskRefused, DeskUncertain
from bot.store import complaints, conversations, desk_actions, facts, ratings, tickets
from bot.store.complaints import Complaint
from bot.store.desk_actions import DeskAction
from tests.talking import Hands, complaint_talk


class ShakyDesk(LocalDesk):
    """The local desk behind a bad line: `plan` says what the next calls do."""

    plan: list[str]

    def comment(self, ticket_id: str, text: str, *, public: bool, key: str = "") -> None:
        self._before()
        super().comment(ticket_id, text, public=public, key=key)
        self._after()

    def set_state(self, ticket_id: str, state: TicketState, note: str, actor: str) -> Ticket:
        self._before()
        moved = super().set_state(ticket_id, state, note, actor)
        self._after()
        return moved

    def _before(self) -> None:
        self._step = self.plan.pop(0) if self.plan else ""
        if self._step == "down":
            raise DeskDown("planned")
        if self._step == "refused":
            raise DeskRefused("planned")
        if self._step == "lost":
            raise DeskUncertain("never arrived")

    def _after(self) -> None:
        if self._step == "done, then time out":
            raise DeskUncertain("planned")


@pytest.fixture
def desk(product: Product) -> ShakyDesk:
    shaky = ShakyDesk(product.database)
    shaky.plan = []
    return shaky


@pytest.fixture
def hands(product: Product, script: Script) -> Hands:
    script.answer = complaint_talk
    hands = Hands(product)
    file_one(hands, "ann")
    return hands


def file_one(hands: Hands, who: str) -> None:
    hands.say(who, "宽带断了")
    hands.say(who, "13800138000")
    hands.tap(who, hands.button(who, "affirm"))


def filed(hands: Hands, who: str = "ann") -> Complaint:
    with hands.product.database.read() as db:
        return complaints.of_identity(db, hands.conversation(who).identity_id)[0]


def wish(hands: Hands, script: Script, name: str, who: str = "ann", **args: Any) -> list[str]:
    """Says something that the dialogue takes as this command; gives the text keys of the answer."""
    given = {"reference": filed(hands).reference, **args}

    def answer(question: Question) -> Said:
        return Said([], [{"name": name, "args": given}], {})

    script.answer = answer
    before = len(hands.rows(who))
    hands.say(who, "please do")
    new = hands.rows(who)[before:]
    return [str(one["key"]) for row in new for one in row.args.get("before", ())] + [row.text_key for row in new]


def work(hands: Hands, desk: LocalDesk) -> list[DeskAction]:
    """Tells the desk everything, waiting out every pause; gives the actions as they ended."""
    product = hands.product
    while product.ticketing().open_once():
        pass
    at_work = DeskWork(product.database, product.bell, desk, product.texts, product.handoff)
    for _ in range(30):
        with product.database.write() as db:
            for action in desk_actions.of_complaint(db, filed(hands).id):
                if action.state not in ("done", "refused"):
                    clock = conversations.now(db)
                    if action.state != "uncertain" or action.attempts < 5:
                        desk_actions.change(db, action.id, due_at=clock, lease_until=None)
        if not at_work.do_once():
            break
    hands.work()
    with product.database.read() as db:
        return desk_actions.of_complaint(db, filed(hands).id)


def entries(hands: Hands) -> list[tuple[str, str]]:
    """The local ticket's history: (state, note)."""
    with hands.product.database.read() as db:
        rows = db.execute(tickets.local_entry.select().order_by(tickets.local_entry.c.id))
        return [(row.state, row.note) for row in rows]


def test_an_urge_is_counted_told_and_limited(hands: Hands, script: Script, desk: ShakyDesk) -> None:
    assert wish(hands, script, "urge") == ["urge.done"]
    assert wish(hands, script, "urge") == ["urge.today"]
    (action,) = work(hands, desk)
    assert (action.kind, action.state) == ("comment", "done")
    assert "第 1 次" in entries(hands)[-1][1]
    with hands.product.database.read() as db:
        urged = [one for one in facts.of_complaint(db, filed(hands).id) if one.kind == "complaint.urged"]
    assert [one.refs["count"] for one in urged] == [1]


def test_the_third_urge_makes_it_pressing(hands: Hands, script: Script, product: Product) -> None:
    with product.database.write() as db:
        complaints.change(db, filed(hands).id, severity="normal")
    for day in range(3):
        assert wish(hands, script, "urge") == ["urge.done"]
        with product.database.write() as db:
            yesterday = conversations.now(db) - timedelta(days=2 + day)
            db.execute(facts.fact.update().where(facts.fact.c.kind == "complaint.urged").values(recorded_at=yesterday))
            complaints.change(db, filed(hands).id, received_at=yesterday - timedelta(days=9))
    assert filed(hands).severity == "medium"


def test_what_is_added_is_in_the_complaint_and_at_the_desk(hands: Hands, script: Script, desk: ShakyDesk) -> None:
    assert wish(hands, script, "add_information", text="光猫是去年换的") == ["added.done"]
    assert wish(hands, script, "add_information", text="第二次") == ["added.done"]
    assert filed(hands).fields["added"] == "光猫是去年换的\n第二次"
    assert [action.state for action in work(hands, desk)] == ["done", "done"]
    assert ["光猫" in note for _, note in entries(hands)] == [False, True, False], "in order"


@pytest.mark.parametrize(
    ("plan", "state"),
    [
        ([], "done"),
        (["down", "down", "down"], "done"),
        (["done, then time out"], "done"),
        (["lost", "done, then time out"], "done"),
        (["refused"], "refused"),
        (["lost"] * 9, "uncertain"),
    ],
)
def test_a_withdrawal_reaches_the_desk_once(
    hands: Hands, script: Script, desk: ShakyDesk, plan: list[str], state: str
) -> None:
    assert wish(hands, script, "withdraw") == ["withdraw.done"]
    assert wish(hands, script, "withdraw") == ["withdraw.done"], "said again, wanted once"
    work(hands, desk)  # the comment
    done = work(hands, desk)
    assert [action.kind for action in done] == ["comment", "state"]
    assert entries(hands)[-1][0] == "cancelled"
    with hands.product.database.write() as db:
        desk_actions.change(db, done[0].id, state="wanted", attempts=0, due_at=conversations.now(db))
    desk.plan = list(plan)
    assert work(hands, desk)[0].state == state
    assert len([note for _, note in entries(hands) if note]) == 1, "the comment is there once"


def test_a_refused_wish_is_a_persons(hands: Hands, script: Script, desk: ShakyDesk) -> None:
    wish(hands, script, "withdraw")
    desk.plan = ["", "refused"]
    assert [action.state for action in work(hands, desk)] == ["done", "refused"]
    assert hands.conversation("ann").state == "queued"
    assert hands.conversation("ann").queue_reason == "desk failed"
    assert "handoff.desk" in [row.text_key for row in hands.rows("ann") if row.state == "sent"]


def test_a_worker_that_died_on_the_way_is_followed(hands: Hands, script: Script, desk: ShakyDesk) -> None:
    """The desk has it, our row says `doing`: the next one looks before it does it again."""
    wish(hands, script, "withdraw")
    product = hands.product
    while product.ticketing().open_once():
        pass
    with product.database.write() as db:
        comment, move = desk_actions.of_complaint(db, filed(hands).id)
        row = tickets.of_complaint(db, filed(hands).id)
        for action in (comment, move):
            gone = conversations.now(db) - timedelta(minutes=5)
            desk_actions.change(db, action.id, state="doing", attempts=1, lease_until=gone)
    assert row is not None
    desk.comment(row.ticket_id, "客户要求撤销投诉。", public=False, key=comment.key)
    desk.set_state(row.ticket_id, TicketState.CANCELLED, "", "customer")
    before = entries(hands)
    assert [action.state for action in work(hands, desk)] == ["done", "done"]
    assert entries(hands) == before


@pytest.mark.parametrize("name", ["add_information", "urge", "withdraw", "reopen", "confirm_solved", "rate"])
def test_a_strangers_wish_does_nothing(hands: Hands, script: Script, name: str) -> None:
    before = filed(hands)
    hands.say("eve", "hello there")
    told = wish(hands, script, name, who="eve", text="x", score=5)
    assert told == ["status.unknown"]
    assert wish(hands, script, name, who="eve", reference="TS-2222-2222-2", score=5) == ["status.unknown"]
    assert filed(hands) == before
    with hands.product.database.read() as db:
        assert desk_actions.of_complaint(db, before.id) == [] and ratings.score_of(db, before.id) is None


def test_the_receipt_code_proves_a_wish(hands: Hands, script: Script) -> None:
    code = next(row.args["code"] for row in hands.rows("ann") if row.topic == "receipt")
    hands.say("bob", "hello there")
    assert wish(hands, script, "urge", who="bob", receipt_code=code) == ["urge.done"]


def test_a_score_is_given_once_and_only_for_a_result(hands: Hands, script: Script, product: Product) -> None:
    assert wish(hands, script, "rate", score=5) == ["rate.early"]
    with product.database.write() as db:
        complaints.change(db, filed(hands).id, state="resolved")
    assert wish(hands, script, "rate", score=4) == ["rate.thanks"]
    assert wish(hands, script, "rate", score=1) == ["rate.already"]
    assert wish(hands, script, "explain_rating", label="speed") == ["rate.explained"]
    with product.database.read() as db:
        assert ratings.score_of(db, filed(hands).id) == 4


def test_reopening_keeps_the_clock(hands: Hands, script: Script, desk: ShakyDesk, product: Product) -> None:
    due = filed(hands).due_at
    with product.database.write() as db:
        complaints.change(db, filed(hands).id, state="resolved")
    assert wish(hands, script, "reopen", text="还是断") == ["reopen.done"]
    assert filed(hands).due_at == due
    work(hands, desk)
    assert entries(hands)[-1][0] == "inProgress"


def test_what_is_closed_goes_on_as_a_new_complaint(hands: Hands, script: Script, product: Product) -> None:
    old = filed(hands)
    with product.database.write() as db:
        complaints.change(db, old.id, state="closed")
    assert "reopen.again" in wish(hands, script, "reopen", text="还是断")
    with product.database.read() as db:
        new, _ = complaints.of_identity(db, old.identity_id)
        parent = db.scalar(complaints.complaint.select().with_only_columns(complaints.complaint.c.parent_id)
                           .where(complaints.complaint.c.id == new.id))  # fmt: skip
    assert parent == old.id and new.fields["what"].startswith("还是断")
