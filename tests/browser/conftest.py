"""How long the browser tests wait for what has to appear: a busy machine is no failure."""

import pytest
from playwright.sync_api import expect


@pytest.fixture(scope="session", autouse=True)
def _patience() -> None:
    expect.set_options(timeout=20_000)  # milliseconds
