"""Fetches what customers attached, at once, because platforms' links expire; looks into it, and refuses what is not safe."""

from collections.abc import Callable, Mapping

import structlog

from bot import facts, outbox, pictures
from bot.blobs import Blobs
from bot.channel import Channel
from bot.errors import DownloadFailed, ScannerDown
from bot.faults import Faults, Moment
from bot.filetypes import detect
from bot.message import Attachment
from bot.scanner import Scanner
from bot.store import conversations
from bot.store import inbox as store
from bot.store.conversations import Conversation
from bot.store.database import Database
from bot.store.inbox import AttachmentRow

log = structlog.get_logger()

LARGEST = 20 * 1024 * 1024  # bytes; Telegram's getFile gives no more either
ATTEMPTS = 5


class Refused(Exception):
    """The file is not kept. The message names the text that tells its sender why: gone, empty, size, type …"""


class Media:
    """Downloads a conversation's attachments."""

    def __init__(
        self, database: Database, blobs: Blobs, channels: Mapping[int, Channel], scanner: Scanner, faults: Faults
    ) -> None:
        self._database = database
        self._blobs = blobs
        self._channels = channels
        self._scanner = scanner
        self._faults = faults

    def fetch_all(self, current: Conversation, renew: Callable[[], None]) -> None:
        """Fetches or refuses what is pending; what failed for now stays pending until its attempts are used up.

        `renew` is called before each download, to keep the lease on the conversation.
        """
        with self._database.read() as db:
            pending = store.pending_attachments(db, current.id)
        for file in pending:
            renew()
            self._fetch(current, file)

    def _fetch(self, current: Conversation, file: AttachmentRow) -> None:
        try:
            content, mime = self._checked(self._download(current, file))
        except Refused as refused:
            self._refuse(current, file, str(refused))
        except DownloadFailed as failure:
            self._later(current, file, "gone", failure.permanent)
        except ScannerDown as down:
            log.warning("scanner is away", reason=str(down))
            self._later(current, file, "unchecked", False)
        else:
            self._keep(file, content, mime)

    def _download(self, current: Conversation, file: AttachmentRow) -> bytes:
        channel = self._channels[current.account_id]
        return channel.download(Attachment(file.kind, file.channel_ref, file.name, file.mime)).content

    def _checked(self, content: bytes) -> tuple[bytes, str]:
        """What we keep of the file, and its type. Raises Refused or ScannerDown."""
        if not content:
            raise Refused("empty")
        if len(content) > LARGEST:
            raise Refused("size")
        kind = detect(content)
        if kind is None:
            raise Refused("type")
        if found := self._scanner.scan(content):
            log.warning("infected file refused", found=found)
            raise Refused("infected")
        if not kind.picture:
            return content, kind.mime
        try:
            return pictures.clean(content, kind.mime), kind.mime
        except pictures.TooManyPixels:
            raise Refused("size") from None
        except pictures.Unreadable:
            raise Refused("damaged") from None

    def _keep(self, file: AttachmentRow, content: bytes, mime: str) -> None:
        blob_id = self._blobs.put(content, mime)
        self._faults.at(Moment.DOWNLOADED)
        if not self._settle(file, state="stored", blob_id=blob_id, mime=mime):
            self._blobs.delete(blob_id)

    def _later(self, current: Conversation, file: AttachmentRow, reason: str, permanent: bool) -> None:
        if permanent or file.attempts + 1 >= ATTEMPTS:
            self._refuse(current, file, reason)
        else:
            self._settle(file, attempts=file.attempts + 1)

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
            store.settle_attachment(db, file.id, state="refused", reason=reason)
            fresh = conversations.lock(db, current.id)
            outbox.courtesy(db, fresh, f"file:{file.id}", f"file {reason}", f"file.refused_{reason}")
