"""Fixtures: the door on a test product, and a visitor who checks each answer against the OpenAPI document."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient

from bot.build import Product
from tests.talking import Hands
from tests.webchat.visitor import Visitor, spec_of
from webhooks import create_app, webchat


@pytest.fixture
def app(product: Product) -> Flask:
    return create_app(product)


@pytest.fixture
def client(app: Flask) -> FlaskClient:
    return app.test_client(use_cookies=False)


@pytest.fixture
def spec(client: FlaskClient) -> dict[str, Any]:
    return spec_of(client)


@pytest.fixture
def visitor(client: FlaskClient) -> Visitor:
    """Has a session, in Chinese."""
    return Visitor(client).begin("zh")


@pytest.fixture
def hands(product: Product) -> Hands:
    return Hands(product)


@pytest.fixture
def app_with(make_product: Callable[..., Product]) -> Callable[..., Flask]:
    """A door on a product with other settings."""
    return lambda **environ: create_app(make_product(**environ))


@pytest.fixture(autouse=True)
def _no_open_streams() -> Iterator[None]:
    yield
    assert not webchat._open, "a stream was not counted out"
