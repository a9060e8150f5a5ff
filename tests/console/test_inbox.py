"""The inbox: who waits, in which order, and what is said about each."""

from collections.abc import Callable
from datetime import timedelta

from bot.build import Product
from bot.store import complaints, conversations
from bot.store.conversations import now
from tests.console.seats import Seat, file_complaint, words
from tests.talking import Hands


def _section(page: str, name: str) -> str:
    return words(page.split(f'<section id="{name}"')[1].split("</section>", maxsplit=1)[0])


def test_an_empty_inbox_says_what_will_appear(agent: Seat) -> None:
    page = agent.get("/").text
    assert "现在没有人在等" in _section(page, "waiting")
    assert "您还没有接入会话" in _section(page, "mine")
    assert "没有待办的回电承诺" in _section(page, "callbacks")
    assert "还没有其他会话" in _section(page, "others")


def test_the_longest_wait_is_first(agent: Seat, hands: Hands) -> None:
    for customer, said in (("first", "没有信号"), ("second", "乱扣费"), ("third", "网速慢")):
        hands.say(customer, said)
        hands.say(customer, "人工")
    waiting = _section(agent.get("/").text, "waiting")
    assert waiting.index("第 1 位") < waiting.index("没有信号") < waiting.index("乱扣费") < waiting.index("网速慢")
    assert "客户要求人工" in waiting and "网页聊天" in waiting and "中文" in waiting


def test_what_was_said_counts_more_than_the_wish(agent: Seat, hands: Hands) -> None:
    hands.say("talks", "光猫红灯一直闪")
    hands.say("talks", "转人工")
    hands.say("silent", "转人工客服")
    waiting = _section(agent.get("/").text, "waiting")
    assert "光猫红灯一直闪" in waiting and "转人工客服" in waiting


def test_a_filed_complaint_shows_its_category(agent: Seat, hands: Hands) -> None:
    file_complaint(hands)
    hands.say("customer", "人工")
    assert "断网" in _section(agent.get("/").text, "waiting") or "broadband.disconnection" in agent.get("/").text


def test_a_claimed_conversation_is_mine_and_others_see_whose(
    agent: Seat, seat: Callable[..., Seat], waiting: int
) -> None:
    agent.act(waiting, "claim")
    assert "宽带断了三天" in _section(agent.get("/").text, "mine")
    page = seat("wang.qiang").get("/").text
    assert "li.ting" in _section(page, "others")
    assert "宽带断了三天" not in _section(page, "mine") + _section(page, "waiting")


def test_claiming_from_the_list_opens_the_conversation(agent: Seat, waiting: int) -> None:
    page = agent.get("/").text
    epoch = page.split(f"/conversations/{waiting}/claim")[1].split('name="seen_epoch" value="')[1].split('"')[0]
    answer = agent.press(f"/conversations/{waiting}/claim", seen_epoch=epoch)
    assert answer.status_code == 303 and answer.location.startswith(f"/conversations/{waiting}?did=claimed")


def test_promised_callbacks_are_listed_with_their_time(agent: Seat, hands: Hands, product: Product) -> None:
    hands.say("customer", "我要投诉")
    conversation = hands.conversation("customer")
    with product.database.write() as db:
        complaints.promised(db, conversation.id, "callback", now(db) - timedelta(minutes=1))
    listed = _section(agent.get("/").text, "callbacks")
    assert "已超时" in listed and "最晚" in listed and "我要投诉" in listed


def test_the_counts_are_in_every_pages_header(agent: Seat, waiting: int) -> None:
    assert "1 待接入 0 我的" in words(agent.get("/").text)
    agent.act(waiting, "claim")
    for path in ("/", f"/conversations/{waiting}", "/inbox/counts"):
        assert "0 待接入 1 我的" in words(agent.get(path).text)


def test_the_page_and_its_refresh_show_the_same(agent: Seat, waiting: int) -> None:
    refreshed = agent.get("/inbox/live").text
    assert refreshed.strip() in agent.get("/").text


def test_words_of_customers_stay_words(agent: Seat, hands: Hands) -> None:
    hands.say("customer", "<script>alert(1)</script><img src=x onerror=alert(1)>", display_name="<b>Eve</b>")
    hands.say("customer", "人工")
    for path in ("/", f"/conversations/{hands.conversation('customer').id}"):
        page = agent.get(path).text
        assert "<script>alert" not in page and "<img" not in page and "<b>Eve" not in page
        assert "&lt;script&gt;alert(1)" in page


def test_a_hundred_waiting_cost_as_many_queries_as_one(agent: Seat, hands: Hands, product: Product) -> None:
    from sqlalchemy import event

    def queries() -> int:
        asked: list[str] = []

        def note(_c: object, _cursor: object, statement: str, *_rest: object) -> None:
            asked.append(statement)

        event.listen(product.database.engine, "before_cursor_execute", note)
        agent.get("/inbox/live")
        event.remove(product.database.engine, "before_cursor_execute", note)
        return len(asked)

    hands.say("one", "人工")
    few = queries()
    for n in range(12):
        hands.say(f"c{n}", "人工")
    with product.database.read() as db:
        assert len(conversations.queue(db)) == 13
    assert queries() == few
