"""The door for people at work: agents, supervisors, marketing, admin. `create_app()` is what gunicorn loads."""

import os

from flask import Flask

from bot import build, logs, settings
from bot.build import Product
from console import access, chat, complaints, figures, headers, letters, login, page, problems, queue, stream

_LARGEST_FORM = 128 * 1024  # bytes: the longest reply, percent-encoded, several times over


def create_app(product: Product | None = None) -> Flask:
    """The console on this product, or on one that is built from the environment."""
    if product is None:
        read = settings.read(os.environ)
        logs.configure(read.log_level)
        product = build.build(read)
    app = Flask(__name__)
    app.config.update(MAX_CONTENT_LENGTH=_LARGEST_FORM, MAX_FORM_MEMORY_SIZE=_LARGEST_FORM)
    app.extensions["tingsu"] = product
    app.url_map.converters["id"] = page.IdConverter
    for subject in (login, queue, chat, complaints, letters, stream, figures):
        app.register_blueprint(subject.routes)
    app.add_url_rule("/live", "live", lambda: ("ok\n", {"Content-Type": "text/plain"}))
    access.install(app)
    headers.install(app)
    page.install(app)
    problems.install(app)
    return app
