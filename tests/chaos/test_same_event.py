"""C3: the same event from many hands at once, and two first events of a customer whom nobody knows."""

import threading
from collections.abc import Callable

import pytest
from sqlalchemy import func, select

from bot.build import Product
from bot.store.conversations import conversation
from bot.store.inbox import inbox
from bot.store.people import identity
from tests.talking import chat, text

HANDS = 64


def at_once(acts: list[Callable[[], object]]) -> list[BaseException]:
    """Does all of them at the same moment, each in a thread; gives what went wrong."""
    together = threading.Barrier(len(acts))
    wrong: list[BaseException] = []

    def act(one: Callable[[], object]) -> None:
        together.wait()
        try:
            one()
        except BaseException as error:
            wrong.append(error)

    threads = [threading.Thread(target=act, args=(one,)) for one in acts]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return wrong


def bring(product: Product, rounds: int) -> dict[str, int]:
    """In each round 64 hands bring two first events of a new customer, 32 times each; gives rows and accepts."""
    new = duplicates = 0
    for number in range(rounds):
        accepted: list[bool] = []

        def accept(key: str, customer: str, answers: list[bool] = accepted) -> None:
            answers.append(product.inbox.accept(chat(product), text(customer, f"hello {key}", key)).duplicate)

        def hand(place: int, customer: str = f"customer {number}") -> Callable[[], None]:
            return lambda: accept(f"{customer}: event {place % 2}", customer)

        wrong = at_once([hand(place) for place in range(HANDS)])
        assert not wrong, f"round {number}: {wrong[:3]}"
        new, duplicates = new + accepted.count(False), duplicates + accepted.count(True)
    return {"new": new, "duplicates": duplicates, **count(product)}


def count(product: Product) -> dict[str, int]:
    tables = {"inbox rows": inbox, "identities": identity, "conversations": conversation}
    with product.database.read() as db:
        found = {name: int(db.scalar(select(func.count()).select_from(table)) or 0) for name, table in tables.items()}
        crooked = db.execute(
            select(inbox.c.conversation_id).group_by(inbox.c.conversation_id).having(func.max(inbox.c.sequence) != 2)
        )
        return found | {"conversations with wrong numbers": len(list(crooked))}


def check(product: Product, rounds: int, tell: Callable[[str], None]) -> None:
    figures = bring(product, rounds)
    tell(f"  C3, {rounds} rounds of {HANDS} hands on {product.database.engine.dialect.name}: {figures}")
    assert figures == {
        "new": 2 * rounds,
        "duplicates": (HANDS - 2) * rounds,
        "inbox rows": 2 * rounds,
        "identities": rounds,
        "conversations": rounds,
        "conversations with wrong numbers": 0,
    }


@pytest.mark.chaos
def test_many_hands_bring_the_same_events(product: Product, tell: Callable[[str], None]) -> None:
    check(product, 20, tell)


@pytest.mark.chaos_long
def test_many_hands_for_long(product: Product, tell: Callable[[str], None]) -> None:
    check(product, 200, tell)
