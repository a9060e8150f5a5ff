"""What chaos tests share: the ledgers, Telegram's other side, and a world of processes on both databases."""

from collections.abc import Callable, Iterator

import pytest

from tests.chaos.ledgers import Driver
from tests.chaos.telegram import TimedEmulator
from tests.chaos.world import World, worlds


@pytest.fixture
def driver() -> Driver:
    return Driver()


@pytest.fixture
def tell(capsys: pytest.CaptureFixture[str]) -> Callable[[str], None]:
    """Prints figures past pytest's capture."""

    def say(figures: str) -> None:
        with capsys.disabled():
            print(f"\n  {figures}")

    return say


@pytest.fixture
def emulator(driver: Driver) -> Iterator[TimedEmulator]:
    started = TimedEmulator(driver)
    yield started
    started.close()


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.real)])
def make_world(request: pytest.FixtureRequest, emulator: TimedEmulator) -> Iterator[Callable[..., World]]:
    with worlds(request.param, emulator) as make:
        yield make
