"""Fetches what customers attached, at once, because platforms' links expire; and refuses what is no picture."""

from collections.abc import Callable, Mapping
from contextlib import suppress

import structlog
from sqlalchemy.exc import SQLAlchemyError

from bot import facts, outbox
from bot.blobs import Blobs
from bot.channel import Channel
from bot.errors import DownloadFailed
from bot.faults import Faults, Moment
from bot.message import Attachment
from bot.store import conversations
from bot.store import inbox as store
from bot.store.conversations import Conversation
from bot.store.database import Database
from bot.store.inbox import AttachmentRow

log = structlog.get_logger()

LARGEST = 20 * 1024 * 1024  # bytes; Telegram's getFile gives no more either
ATTEMPTS = 5
# First bytes of what we keep. The platform's claim about the type is never trusted.
_SIGNATURES = {b"\xff\xd8\xff": "image/jpeg", b"\x89PNG\r\n\x1a\n": "image/png"}


def picture_type(content: bytes) -> str | None:
    """image/jpeg, image/png or image/webp by the first bytes; None for anything else."""
    for signature, mime in _SIGNATURES.items():
        if content.startswith(signature):
            return mime
    return "image/webp" if content[:4] == b"RIFF" and content[8:12] == b"WEBP" else None


class Media:
    """Downloads a conversation's attachments."""

    def __init__(self, database: Database, blobs: Blobs, channels: Mapping[int, Channel], faults: Faults) -> None:
        self._database = database
        self._blobs = blobs
        self._channels = channels
        self._faults = faults

    def fetch_all(self, current: Conversation, renew: Callable[[], None]) -> None:
        """Fetches or refuses what is pending; what failed for now stays pending until its attempts are used up.

        `renew` is called before each download, to keep the lease on the conversation.
        """
        with self._database.read() as db:
            pending = store.pending_attachments(db, current.id)
        for file in pending:
            renew()
            self._try(current, file)

    def _try(self, current: Conversation, file: AttachmentRow) -> None:
        """The attempt is counted first: a file that kills whoever fetches it is refused after ATTEMPTS of them."""
        if file.attempts >= ATTEMPTS:
            self._refuse(current, file, "gone")
            return
        self._settle(file, attempts=file.attempts + 1)
        try:
            self._fetch(current, file)
        except SQLAlchemyError:
            with suppress(SQLAlchemyError):
                self._settle(file, attempts=file.attempts)
            raise
        except Exception as error:  # a bug in the channel's file or in the reading of this one
            log.exception("attachment broke", attachment=file.id, error=type(error).__name__)

    def _fetch(self, current: Conversation, file: AttachmentRow) -> None:
        channel = self._channels[current.account_id]
        try:
            media = channel.download(Attachment(file.kind, file.channel_ref, file.name, file.mime))
        except DownloadFailed as failure:
            if failure.permanent or file.attempts + 1 >= ATTEMPTS:
                self._refuse(current, file, "gone")
            return
        mime = picture_type(media.content)
        if mime is None or not media.content:
            self._refuse(current, file, "type")
            return
        if len(media.content) > LARGEST:
            self._refuse(current, file, "size")
            return
        blob_id = self._blobs.put(media.content, mime)
        self._faults.at(Moment.DOWNLOADED)
        self._settle(file, state="stored", blob_id=blob_id, mime=mime)

    def _settle(self, file: AttachmentRow, **values: object) -> None:
        with self._database.write() as db:
            store.settle_attachment(db, file.id, **values)
            if "blob_id" in values:
                facts.record(db, "attachment.stored", conversation_id=file.conversation_id, attachment=file.id)

    def _refuse(self, current: Conversation, file: AttachmentRow, reason: str) -> None:
        log.info("attachment refused", attachment=file.id, reason=reason)
        with self._database.write() as db:
            store.settle_attachment(db, file.id, state="refused", reason=reason, stopped_at=conversations.now(db))
            fresh = conversations.lock(db, current.id)
            outbox.courtesy(db, fresh, f"photo:{file.id}", "photo", f"system.photo_refused_{reason}")
