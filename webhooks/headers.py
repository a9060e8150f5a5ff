"""Headers on every answer of this door: a strict content policy, no sniffing, no leaking of addresses."""

from flask import Flask, Response, request

from webhooks.product import product

_FIXED = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=(), payment=()",
}
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'self' {origins}"
)
_HALF_A_YEAR = 15_768_000  # seconds


def register(app: Flask) -> None:
    app.after_request(_add)


def _add(response: Response) -> Response:
    for name, value in _FIXED.items():
        response.headers.setdefault(name, value)
    origins = " ".join(product().settings.webchat_origins)
    response.headers.setdefault("Content-Security-Policy", _POLICY.format(origins=origins).strip())
    if request.endpoint != "static":
        response.headers.setdefault("Cache-Control", "no-store")
    if request.is_secure:
        response.headers.setdefault("Strict-Transport-Security", f"max-age={_HALF_A_YEAR}")
    return response
