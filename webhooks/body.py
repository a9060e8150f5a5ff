"""Reads a request's body whole, once: in bounded memory and bounded time."""

from flask import request
from werkzeug.exceptions import RequestEntityTooLarge

from bot.patience import BODY_SECONDS, patience


def take(limit: int, seconds: float = BODY_SECONDS) -> None:
    """Raises RequestEntityTooLarge (413) from `limit` bytes on. Views find the body where they always do."""
    request.max_content_length = limit
    with patience(request.environ.get("gunicorn.socket"), seconds):
        body = request.get_data()
    if len(body) >= limit:  # of unknown length: werkzeug 3.1 cuts such a body at the limit and says nothing
        raise RequestEntityTooLarge
