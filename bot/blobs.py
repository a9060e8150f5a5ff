"""Attachments: put, get, delete, behind which SQL chunks are the default store."""

from hashlib import sha256
from typing import Protocol

from bot.store import blobs as store
from bot.store.database import Database


class Blobs(Protocol):
    """Where the bytes of attachments are."""

    def put(self, content: bytes, mime: str) -> int: ...

    def get(self, blob_id: int) -> tuple[bytes, str] | None:
        """(content, type), or None when there is no such blob."""
        ...

    def delete(self, blob_id: int) -> None: ...


class SqlBlobs:
    """In the database, in chunks: one backup holds everything."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def put(self, content: bytes, mime: str) -> int:
        with self._database.write() as db:
            return store.add(db, content, sha256=sha256(content).hexdigest(), mime=mime)

    def get(self, blob_id: int) -> tuple[bytes, str] | None:
        with self._database.read() as db:
            return store.content(db, blob_id)

    def delete(self, blob_id: int) -> None:
        with self._database.write() as db:
            store.remove(db, blob_id)
