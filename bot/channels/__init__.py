"""Every channel that there is, by kind. Adding one: docs/add-a-channel.md."""

from collections.abc import Callable

from bot.channel import Account, Channel
from bot.channels.screen import Screen
from bot.channels.telegram import Telegram
from bot.channels.webchat import WebChat

CHANNELS: dict[str, Callable[[Account], Channel]] = {
    "telegram": Telegram,
    "webchat": WebChat,
    "screen": Screen,
}
