"""A door that waits two seconds for a slow reader instead of thirty: what gunicorn runs in one test."""

from webhooks import create_app, webchat

webchat.SEND_PATIENCE = 2.0

__all__ = ["create_app"]
