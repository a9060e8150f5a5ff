"""The product behind this door: one per process, made or handed over in `create_app`."""

from typing import cast

from flask import current_app

from bot.build import MAIN, Product
from bot.channel import Account

KEY = "tingsu"


def product() -> Product:
    return cast(Product, current_app.extensions[KEY])


def webchat() -> Account:
    return product().accounts["webchat", MAIN]
