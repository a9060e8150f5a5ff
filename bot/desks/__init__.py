"""Every ticket desk that there is, by kind. Adding one: docs/add-a-desk.md."""

from collections.abc import Callable

from bot.desk import Desk
from bot.desks.local import LocalDesk
from bot.store.database import Database

DESKS: dict[str, Callable[[Database], Desk]] = {
    "local": LocalDesk,
}
