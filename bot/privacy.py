"""What a person may ask about their own data: a copy of everything (PIPL, article 45), or that it is erased (article 47)."""

import json
import zipfile
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from sqlalchemy import Connection

from bot import conversation as ownership
from bot import facts, reference
from bot.blobs import Blobs
from bot.desk import FINAL_STATES, TicketState
from bot.errors import HeldByComplaint, NobodyFound
from bot.sealing import Seal
from bot.store import complaints, conversations, people, personal
from bot.store import inbox as inbox_store
from bot.store import outbox as outbox_store
from bot.store import turns as turn_store
from bot.store import users as user_store
from bot.store.database import Database
from bot.texts import Texts
from bot.transcript import transcript

DONE = frozenset({state.value for state in (*FINAL_STATES, TicketState.RESOLVED)})
_ENDINGS = {"image/jpeg": ".jpg", "image/png": ".png", "image/webp": ".webp"}


@dataclass(frozen=True)
class Erased:
    """What an erasure touched: table -> rows."""

    identities: Sequence[int]
    rows: Mapping[str, int]


class Privacy:
    """Finds a person's identities, and hands out or erases everything that belongs to them."""

    def __init__(self, database: Database, seal: Seal, blobs: Blobs, texts: Texts) -> None:
        self._database = database
        self._seal = seal
        self._blobs = blobs
        self._texts = texts

    def find(self, who: str) -> list[int]:
        """Identities of a person, by a complaint's reference, `identity:5`, `person:3`, `telegram/main:12345` or a number.

        Identities that were bound to the same person by proof belong together. A number that several strangers
        have given names nobody: NobodyFound then lists the candidates.
        """
        with self._database.read() as db:
            found = self._looked_up(db, who.strip())
            if not found:
                raise NobodyFound(f"Nobody is known as {who!r}.")
            whole = people.of_same_person(db, found)
            if len(people.of_same_person(db, found[:1])) < len(whole):
                names = ", ".join(f"identity:{one}" for one in whole)
                raise NobodyFound(f"{who!r} was given by several people: name one of {names}.")
            return whole

    def _looked_up(self, db: Connection, who: str) -> list[int]:
        kind, _, value = who.partition(":")
        if kind in ("identity", "person") and value.isascii() and value.isdigit():
            return (
                people.identities(db, number=int(value))
                if kind == "identity"
                else people.identities(db, person=int(value))
            )
        account, _, slug = kind.partition("/")
        if slug:
            return people.identities(db, account=(account, slug), external_id=value)
        if (ours := reference.parse(who)) is not None:
            filed = complaints.by_reference(db, ours)
            return [filed.identity_id] if filed else []
        return people.by_value(db, "number", self._seal.digest("number", who))

    def export(self, identities: Sequence[int], to: Path) -> Mapping[str, int]:
        """Writes a ZIP that only this user of the machine can read: data.json, transcripts, files. Gives table -> rows.

        Everything that the database holds of these identities is in it, and nothing of anybody else. Raises
        FileExistsError when `to` is there already.
        """
        with self._database.read() as db:
            tables = {name: [self._plain(row) for row in rows] for name, rows in self._everything(db, identities)}
            talks = {one: self._transcript(db, one) for one in (int(row["id"]) for row in tables["conversation"])}
        with open(to, "xb", opener=_private) as file, zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as pack:
            pack.writestr("data.json", json.dumps(tables, ensure_ascii=False, indent=2))
            for conversation_id, talk in talks.items():
                pack.writestr(f"conversation-{conversation_id}.txt", talk)
            for row in tables["blob"]:
                self._pack_file(pack, int(row["id"]))
        with self._database.write() as db:
            user_store.log(db, None, "privacy.export", {"identities": list(identities)})
        return {name: len(rows) for name, rows in tables.items()}

    def _everything(self, db: Connection, identities: Sequence[int]) -> list[tuple[str, list[Mapping[str, Any]]]]:
        return list(personal.everything_of(db, identities).items())

    def _plain(self, row: Mapping[str, Any]) -> dict[str, Any]:
        """A row as JSON has it: times as ISO 8601, sealed values in clear."""
        plain: dict[str, Any] = {}
        for name, value in row.items():
            if isinstance(value, bytes):
                plain[name] = self._seal.open(value)
            else:
                plain[name] = value.isoformat() if isinstance(value, datetime) else value
        return plain

    def _transcript(self, db: Connection, conversation_id: int) -> str:
        lines = transcript(db, self._texts, conversation_id)
        return "".join(f"{line.at.isoformat(timespec='seconds')} {line.side}: {line.text}\n" for line in lines)

    def _pack_file(self, pack: zipfile.ZipFile, blob_id: int) -> None:
        found = self._blobs.get(blob_id)
        if found is not None:
            pack.writestr(f"files/{blob_id}{_ENDINGS.get(found[1], '.bin')}", found[0])

    def held(self, identities: Sequence[int]) -> Mapping[str, int]:
        """Table -> rows that an erasure would touch. Raises HeldByComplaint as it would."""
        with self._database.read() as db:
            self._refuse_held(db, identities)
            return {name: len(rows) for name, rows in self._everything(db, identities)}

    def erase(self, identities: Sequence[int], reason: str) -> Erased:
        """Erases everything personal of these identities, in one commit; facts and counts stay.

        The conversation ends, what waits to be sent to it is dropped, and what the platform still sends of that
        customer opens a new identity. Raises HeldByComplaint while a complaint of theirs is open.
        """
        with self._database.write() as db:
            self._refuse_held(db, identities)
            for current in conversations.lock_of_identities(db, identities):
                self._end(db, current)
            rows = personal.erase(db, identities)
            user_store.log(
                db, None, "privacy.erase", {"identities": list(identities), "reason": reason, "rows": dict(rows)}
            )
            for one in identities:
                facts.record(db, "person.erased", identity=one, reason=reason, rows=sum(rows.values()))
        self._database.scrub()
        return Erased(identities, rows)

    def _refuse_held(self, db: Connection, identities: Sequence[int]) -> None:
        filed = [one for identity in identities for one in complaints.of_identity(db, identity)]
        still_open = [one.reference for one in filed if one.state not in DONE]
        if still_open:
            raise HeldByComplaint(still_open)

    def _end(self, db: Connection, current: conversations.Conversation) -> None:
        if current.state != "closed":
            current = ownership.move(db, current, "closed", "erased", actor="system")
        open_turn = turn_store.open_turn(db, current.id)
        if open_turn is not None:
            turn_store.finish(db, open_turn.id, "stale", reason="erased")
        inbox_store.take_for_erasure(db, current.id, conversations.now(db))
        outbox_store.drop_unsent(db, current.id, reason="erased")


def _private(path: str, flags: int) -> int:
    import os

    return os.open(path, flags, 0o600)


def summary(rows: Mapping[str, int]) -> str:
    """ "inbox 12, outbox 14": what a person at the terminal reads."""
    told = Counter({name: count for name, count in rows.items() if count})
    return ", ".join(f"{name} {count}" for name, count in sorted(told.items())) or "nothing"
