"""A complaint's state, changed from the console through the desk."""

from collections.abc import Callable
from typing import Any

import pytest

from bot.build import Product
from bot.desk import TicketState
from bot.errors import DeskDown, DeskRefused, DeskUncertain, Throttled
from bot.store import complaints
from bot.store.complaints import Complaint
from tests.console.seats import Seat, file_complaint, words
from tests.talking import Hands


@pytest.fixture
def filed(hands: Hands, product: Product) -> Complaint:
    file_complaint(hands)
    while product.ticketing().open_once():
        pass
    with product.database.read() as db:
        return complaints.of_conversation(db, hands.conversation("customer").id)[0]


def _ticket_state(product: Product, filed: Complaint) -> str:
    ticket = product.desk.find(filed.reference)
    assert ticket is not None
    return ticket.state.value


def test_the_page_shows_the_complaint(agent: Seat, hands: Hands, filed: Complaint) -> None:
    page = words(agent.get(f"/conversations/{hands.conversation('customer').id}").text)
    for shown in (filed.reference, "已受理", "最晚答复", "宽带断了", "13800138000"):
        assert shown in page


def test_an_incomplete_complaint_says_what_to_ask_for(
    agent: Seat, hands: Hands, product: Product, filed: Complaint
) -> None:
    page = f"/conversations/{hands.conversation('customer').id}"
    assert "信息不全" not in words(agent.get(page).text)
    with product.database.write() as db:
        complaints.change(db, filed.id, complete=0)
    assert "信息不全，请向客户补问：时间、地点、希望怎么解决" in words(agent.get(page).text)


def test_a_state_and_a_note_reach_the_desk(agent: Seat, product: Product, filed: Complaint) -> None:
    answer = agent.press(f"/complaints/{filed.id}/state", state="resolved", note="端口已修复，请重启光猫")
    assert answer.status_code == 303
    assert "状态已提交" in words(agent.get(answer.location).text)
    assert _ticket_state(product, filed) == "resolved"
    changes, _ = product.desk.changes("")
    assert changes[-1].note == "端口已修复，请重启光猫"
    assert changes[-1].state is TicketState.RESOLVED


BAD_INPUT: list[tuple[dict[str, Any], str]] = [
    ({}, "请选择新状态"),
    ({"state": "solved"}, "请选择新状态"),
    ({"state": "pending"}, "需要写给客户的说明"),
    ({"state": "rejected", "note": " \x00 "}, "需要写给客户的说明"),
    ({"state": "resolved", "note": "长" * 1001}, "说明太长"),
]


def test_bad_input(agent: Seat, product: Product, filed: Complaint) -> None:
    for fields, said in BAD_INPUT:
        answer = agent.press(f"/complaints/{filed.id}/state", **fields)
        assert answer.status_code == 400
        assert said in words(answer.text)
    assert _ticket_state(product, filed) == "acknowledged"


def test_an_unknown_complaint(agent: Seat) -> None:
    assert agent.press("/complaints/999/state", state="resolved").status_code == 404


def test_what_the_desk_says_is_said(
    agent: Seat, product: Product, filed: Complaint, monkeypatch: pytest.MonkeyPatch
) -> None:
    def failing(error: Exception) -> Callable[..., None]:
        def fail(*_: object) -> None:
            raise error

        return fail

    for error, status, said in (
        (DeskDown("x"), 503, "工单系统暂时连不上"),
        (Throttled(5), 503, "工单系统暂时连不上"),
        (DeskUncertain("x"), 502, "不确定是否已更改"),
        (DeskRefused("x"), 409, "工单系统不允许"),
    ):
        monkeypatch.setattr(product.desk, "set_state", failing(error))
        answer = agent.press(f"/complaints/{filed.id}/state", live=True, state="resolved", note="好了")
        assert answer.status_code == status
        assert said in words(answer.text)
