"""/metrics for Prometheus: no login, so only programs of this machine, or who knows the token (docs/operations.md)."""

import hmac

from flask import Blueprint, Response, request
from prometheus_client import CONTENT_TYPE_LATEST

from bot.metrics import exposition
from console.page import product

routes = Blueprint("figures", __name__)

_THIS_MACHINE = frozenset({"127.0.0.1", "::1"})
# A proxy on this machine makes everybody look local, and says so with one of these.
_FORWARDED = ("Forwarded", "X-Forwarded-For", "X-Forwarded-Host", "X-Real-IP", "Via")


@routes.get("/metrics")
def metrics() -> Response:
    return Response(exposition(product().measures, product().figures), content_type=CONTENT_TYPE_LATEST)


def allowed() -> bool:
    """With TINGSU_METRICS_TOKEN: who sends it as a bearer token. Without: this machine, and not through a proxy."""
    token = product().settings.metrics_token
    if token:
        given = request.headers.get("Authorization", "").removeprefix("Bearer ")
        return hmac.compare_digest(given.encode("utf-8", "replace"), token.encode())
    return request.remote_addr in _THIS_MACHINE and not any(name in request.headers for name in _FORWARDED)


def refused() -> Response:
    return Response("refused\n", status=403, content_type="text/plain")
