"""The pages that people see: the chat, and what happens to their data."""

import json

from flask import Blueprint, Response, current_app, g, redirect, render_template, request, url_for
from werkzeug.wrappers import Response as WsgiResponse

from bot.channels.webchat import LANGUAGES, LONGEST_TEXT, MOST_FILES
from bot.inspection import LARGEST
from webhooks import visits
from webhooks.problems import language
from webhooks.product import product

blueprint = Blueprint("pages", __name__)

# Filled in by the page itself; rendered here with the name in braces standing for itself.
_FILLED_LATER = ("position", "name", "reason", "count", "percent")
_LIVE = (
    *("connecting", "offline", "reconnecting"),
    *("queued", "queued_next", "agent", "closed", "typing"),
    *("you", "by_agent", "sending", "unsent", "refused", "edit"),
    *("new_messages", "left", "over", "today", "yesterday"),
    *("files_most", "files_size", "files_network", "files_uploading", "files_checking", "files_again", "files_remove"),
)


@blueprint.get("/")
def root() -> WsgiResponse:
    return redirect(url_for("pages.chat"))


@blueprint.get("/chat")
def chat() -> str:
    """Without `lang` it speaks the language of the session that the browser has."""
    visit = visits.by_cookie()
    if visit and "lang" not in request.args:
        g.language = visit.language
    live = _live_texts()
    return _page(
        "chat.html",
        "page",
        live=json.dumps(live),
        typing=live["typing"],
        longest=LONGEST_TEXT,
        most_files=MOST_FILES,
        largest=LARGEST,
        session=visit,
    )


@blueprint.get("/chat/embed.js")
def embed() -> Response:
    """For other sites: a button that opens the chat in a frame. Which sites may, TINGSU_WEBCHAT_ORIGINS says."""
    response = current_app.send_static_file("chat/embed.js")
    response.headers["Cross-Origin-Resource-Policy"] = "cross-origin"
    response.headers["Cache-Control"] = "public, max-age=3600"
    return response


@blueprint.get("/privacy")
def privacy() -> str:
    """Both languages on one page, the reader's first."""
    first = language()
    return _page("privacy.html", "privacy", order=[first, *(one for one in LANGUAGES if one != first)])


def _page(template: str, subject: str, **more: object) -> str:
    settings = product().settings
    spoken = language()

    def say(key: str, in_language: str = spoken) -> str:
        return product().texts.render(f"webchat.{subject}.{key}", in_language, hotline=settings.hotline)

    other = next(one for one in LANGUAGES if one != spoken)
    return render_template(template, say=say, language=spoken, other=other, settings=settings, **more)


def _live_texts() -> dict[str, str]:
    """What the scripts say, with {name} left in for them to fill."""
    open_names = {name: f"{{{name}}}" for name in _FILLED_LATER}
    return {key: product().texts.render(f"webchat.live.{key}", language(), **open_names) for key in _LIVE}


@blueprint.after_request
def _vary(response: Response) -> Response:
    response.headers.add("Vary", "Accept-Language")
    if request.endpoint == "pages.chat":
        response.headers["Content-Language"] = language()
    return response
