"""What every page can say: texts in the reader's language, times in the operator's zone, names for our words."""

from datetime import UTC, datetime
from functools import partial
from typing import Any

from flask import Flask, current_app, g, request
from markupsafe import Markup, escape
from werkzeug.exceptions import HTTPException
from werkzeug.routing import IntegerConverter

from bot.build import Product
from bot.store.users import Session
from bot.texts import LANGUAGES

_EXCERPT = 90  # characters of a message in a list


class IdConverter(IntegerConverter):
    """A row's number; larger ones do not reach the database, which would choke on them."""

    def __init__(self, map: Any) -> None:
        super().__init__(map, min=1, max=2**53)


def product() -> Product:
    found: Product = current_app.extensions["tingsu"]
    return found


def install(app: Flask) -> None:
    app.context_processor(_words)
    app.jinja_env.trim_blocks = True
    app.jinja_env.lstrip_blocks = True


def language() -> str:
    """Of the login; without one, what was asked for on the page, or what the browser prefers."""
    session: Session | None = g.get("session")
    if session is not None:
        return session.user.language
    asked = request.values.get("language", "") if request.method != "POST" else _from_form()
    if asked in LANGUAGES:
        return asked
    return request.accept_languages.best_match(LANGUAGES) or LANGUAGES[0]


def _from_form() -> str:
    try:
        return request.form.get("language", "")
    except HTTPException:  # a body that was refused: the page that says so needs a language too
        return ""


def say(key: str, /, **args: Any) -> str:
    """A text of the console."""
    return product().texts.render(f"console.{key}", language(), **args)


def name_of(group: str, word: str | None) -> str:
    """What people call one of our words; the word itself when no text names it."""
    if not word:
        return ""
    texts = product().texts
    for key in (f"console.{group}.{word}", f"{group}.{word}"):
        if texts.has(key):
            return texts.render(key, language())
    return word


def owner_of(owner: str) -> str:
    """NotYours names a person or a state; people read either."""
    return name_of("owner", owner)


def now() -> datetime:
    return datetime.now(UTC)


def clock(moment: datetime | None) -> Markup:
    """The time of day, with the date when it is not today; the full time on hovering."""
    if moment is None:
        return Markup("")
    zone = product().settings.timezone
    local = moment.astimezone(zone)
    today = local.date() == datetime.now(zone).date()
    shown = f"{local:%H:%M}" if today else product().texts.time(moment, language())
    return Markup('<time datetime="{}" title="{}">{}</time>').format(
        moment.isoformat(timespec="seconds"), f"{local:%Y-%m-%d %H:%M:%S}", shown
    )


def moment_text(moment: datetime) -> str:
    """Date and time as plain text, for use inside a sentence."""
    return product().texts.time(moment, language())


def span(seconds: float) -> str:
    """A length of time in its largest unit, two for hours; console.js says the same as time goes by."""
    minutes = max(0, int(seconds // 60))
    if minutes < 1:
        return say("time.now")
    if minutes < 60:
        return say("time.minutes", n=minutes)
    if minutes < 24 * 60:
        return say("time.hours", n=minutes // 60, m=minutes % 60)
    return say("time.days", n=minutes // (24 * 60))


def since(moment: datetime | None) -> Markup:
    """How long ago; kept up to date by console.js."""
    if moment is None:
        return Markup("")
    zone = product().settings.timezone
    return Markup('<time data-since datetime="{}" title="{}">{}</time>').format(
        moment.isoformat(timespec="seconds"),
        f"{moment.astimezone(zone):%Y-%m-%d %H:%M:%S}",
        span((now() - moment).total_seconds()),
    )


def excerpt(text: str) -> str:
    flat = " ".join(text.split())
    return flat if len(flat) <= _EXCERPT else flat[: _EXCERPT - 1] + "…"


def csrf_field() -> Markup:
    token = g.session.csrf if g.get("session") else g.get("login_token", "")
    return Markup('<input type="hidden" name="csrf" value="{}">').format(token)


def _ticking() -> Markup:
    """The texts that console.js fills in as time goes by."""
    keys = ("now", "minutes", "hours", "days")
    pairs = ((key, say(f"time.{key}", n="{n}", m="{m}") if key != "now" else say("time.now")) for key in keys)
    return Markup(" ").join(Markup('data-{}="{}"').format(key, escape(text)) for key, text in pairs)


def _words() -> dict[str, Any]:
    session: Session | None = g.get("session")
    return {
        "t": say,
        "name_of": name_of,
        "owner_of": owner_of,
        "clock": clock,
        "moment": moment_text,
        "since": since,
        "excerpt": excerpt,
        "language": language(),
        "user": session.user if session else None,
        "csrf": csrf_field,
        "ticking": _ticking,
        "category": partial(name_of, "category"),
        "now": now(),
    }
