"""Fetches what customers attached, at once, because platforms' links expire; looks into it, and refuses what is not safe."""

from collections.abc import Callable, Mapping
from contextlib import suppress

import structlog
from sqlalchemy.exc import SQLAlchemyError

from bot import facts, outbox
from bot.blobs import Blobs
from bot.channel import Channel
from bot.errors import DownloadFailed, ScannerDown
from bot.faults import Faults, Moment
from bot.inspection import Inspection, Refused
from bot.message import Attachment
from bot.store import conversations
from bot.store import inbox as store
from bot.store.conversations import Conversation
from bot.store.database import Database
from bot.store.inbox import AttachmentRow

log = structlog.get_logger()

ATTEMPTS = 5


class Media:
    """Downloads a conversation's attachments."""

    def __init__(
        self, database: Database, blobs: Blobs, channels: Mapping[int, Channel], inspection: Inspection, faults: Faults
    ) -> None:
        self._database = database
        self._blobs = blobs
        self._channels = channels
        self._inspection = inspection
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
        try:
            content, mime = self._inspection.look(self._download(current, file))
        except Refused as refused:
            self._refuse(current, file, refused.reason)
        except DownloadFailed as failure:
            self._failed(current, file, "gone", failure.permanent)
        except ScannerDown as down:
            log.warning("scanner is away", reason=str(down))
            self._failed(current, file, "unchecked", False)
        else:
            self._keep(file, content, mime)

    def _download(self, current: Conversation, file: AttachmentRow) -> bytes:
        channel = self._channels[current.account_id]
        return channel.download(Attachment(file.kind, file.channel_ref, file.name, file.mime)).content

    def _keep(self, file: AttachmentRow, content: bytes, mime: str) -> None:
        blob_id = self._blobs.put(content, mime)
        self._faults.at(Moment.DOWNLOADED)
        if not self._settle(file, state="stored", blob_id=blob_id, mime=mime):
            self._blobs.delete(blob_id)

    def _failed(self, current: Conversation, file: AttachmentRow, reason: str, permanent: bool) -> None:
        """It stays pending, unless this was the last attempt."""
        if permanent or file.attempts + 1 >= ATTEMPTS:
            self._refuse(current, file, reason)

    def _settle(self, file: AttachmentRow, **values: object) -> bool:
        """False when the file is not wanted any more: its person was erased meanwhile."""
        with self._database.write() as db:
            settled = store.settle_attachment(db, file.id, **values)
            if settled and "blob_id" in values:
                facts.record(db, "attachment.stored", conversation_id=file.conversation_id, attachment=file.id)
        return settled

    def _refuse(self, current: Conversation, file: AttachmentRow, reason: str) -> None:
        log.info("attachment refused", attachment=file.id, reason=reason)
        with self._database.write() as db:
            store.settle_attachment(db, file.id, state="refused", reason=reason, stopped_at=conversations.now(db))
            fresh = conversations.lock(db, current.id)
            outbox.courtesy(db, fresh, f"file:{file.id}", f"file {reason}", f"file.refused_{reason}")
