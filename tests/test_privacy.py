"""What a person may ask about their own data: the copy has everything of theirs and nothing else, erasing leaves nothing."""

import json
import zipfile
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import LargeBinary, select, update

from bot import logs
from bot.__main__ import main
from bot.build import Product
from bot.channel import Account, Capabilities, Media
from bot.complaint import desk_source
from bot.desk import TicketState
from bot.dialogue import Script
from bot.errors import HeldByComplaint, NobodyFound, SendFailed
from bot.message import Attachment, Kind, Outgoing, Receipt
from bot.retention import Keep, Retention
from bot.store import blobs, complaints, conversations, cursors, desk_actions, facts, people, ratings, tickets
from bot.store.conversations import conversation
from bot.store.inbox import attachment, inbox
from bot.store.metadata import metadata
from bot.store.personal import PLACES, everything_of
from bot.store.users import User
from tests.talking import Hands, complaint_talk, tap, text

NUMBER = {"ann": "13800138001", "bob": "13800138002"}


def canary(who: str, what: str) -> str:
    """A word that nobody else says."""
    return f"canary-{who}-{what}"


class Camera:
    """A pushed channel whose files hold the canary of whoever sent them."""

    kind = "screen"
    capabilities = Capabilities(0, "characters", True, True, False, False, False, False)

    def send(self, outgoing: Outgoing) -> Receipt:
        if "unsent" in outgoing.text:
            raise SendFailed("busy", permanent=False)
        return Receipt("1")

    def download(self, attachment: Attachment) -> Media:
        return Media(b"%PDF-1.4 " + attachment.channel_ref.encode(), "application/pdf")

    def close(self) -> None:
        """Nothing to close."""


class Story:
    """Two customers who tell the same story, each with canaries of their own."""

    def __init__(self, product: Product) -> None:
        self.product = product
        self.hands = Hands(product)
        self.account: Account = product.accounts["screen", "main"]
        product.channels._made[self.account.id] = Camera()
        self.agent: User = product.people.add("lin", "agent", "a long enough password")

    def tell(self, who: str) -> None:
        """A complaint with a picture, a person who answers, a note at the desk; everything ends resolved."""
        self._say(who, f"{canary(who, 'what')} 家里断网")
        self._picture(who)
        self._say(who, NUMBER[who])
        self._tap(who, "affirm")
        self.product.ticketing().open_once()
        self._with_an_agent(who)
        self._resolve(who)
        self._urge_and_rate(who)
        self._say(who, canary(who, "last"))

    def _urge_and_rate(self, who: str) -> None:
        with self.product.database.write() as db:
            filed = complaints.of_identity(db, self.identity(who))[0]
            desk_actions.want(db, filed.id, f"urge:{who}", "desk.added", {"text": canary(who, "added")})
            ratings.give(db, filed.id, 3)
            ratings.explain(db, filed.id, canary(who, "rated"))

    def _accept(self, event: object) -> None:
        self.product.inbox.accept(self.account, event)  # type: ignore[arg-type]
        self.hands.work()

    def _say(self, who: str, words: str) -> None:
        name = canary(who, "name")
        self._accept(text(f"{who}-id", words, canary(who, f"key-{words[-4:]}"), display_name=name, raw={"chat": name}))

    def _picture(self, who: str) -> None:
        file = Attachment("photo", canary(who, "file"), canary(who, "file-name"))
        self._accept(text(f"{who}-id", "", canary(who, "photo"), Kind.MEDIA, attachments=(file,)))

    def _tap(self, who: str, payload: str) -> None:
        self._accept(tap(f"{who}-id", self._button(who, payload), canary(who, "tap")))

    def _button(self, who: str, payload: str) -> str:
        from bot.store import outbox

        with self.product.database.read() as db:
            for row in reversed(outbox.history(db, self.conversation(who).id)):
                for index, spec in enumerate(row.buttons):
                    if spec["payload"] == payload:
                        return f"{row.id}.{index}"
        raise AssertionError(payload)

    def conversation(self, who: str) -> conversations.Conversation:
        with self.product.database.read() as db:
            found = conversations.of_sender(db, self.account.id, f"{who}-id")
        assert found is not None, who
        return found

    def identity(self, who: str) -> int:
        return self.conversation(who).identity_id

    def _with_an_agent(self, who: str) -> None:
        current, owner = self.conversation(who), self.product.ownership
        claimed = owner.claim(current.id, current.epoch, self.agent)
        owner.reply(current.id, self.agent, f"c-{who}", canary(who, "answer"), current.next_sequence)
        self.hands.work()
        owner.release(current.id, self.agent, claimed.epoch, current.next_sequence)
        self.hands.work()

    def _resolve(self, who: str) -> None:
        desk, source = self.product.desk, desk_source("local")
        ticket = desk.find(self.reference(who))
        assert ticket is not None
        desk.set_state(ticket.ticket_id, TicketState.RESOLVED, canary(who, "note"), "user:1")
        with self.product.database.write() as db:
            leased = cursors.lease(db, source, 30)
        assert leased is not None
        changes, position = desk.changes(leased[1])
        self.product.complaints.take_changes(source, leased[0], changes, position)
        with self.product.database.write() as db:
            cursors.release(db, source, leased[0])
        self.hands.work()

    def reference(self, who: str) -> str:
        with self.product.database.read() as db:
            return complaints.of_identity(db, self.identity(who))[0].reference

    def open_again(self, who: str) -> None:
        with self.product.database.write() as db:
            filed = complaints.of_identity(db, self.identity(who))[0]
            complaints.change(db, filed.id, state="inProgress")

    def everything(self) -> str:
        """Every cell of every table, sealed values opened."""
        seal, cells = self.product.seal, []
        with self.product.database.read() as db:
            for table in metadata.sorted_tables:
                for row in db.execute(select(table)):
                    cells += [str(value) for value in row]
            cells += [seal.open(row.sealed) for row in db.execute(select(people.personal_value))]
        return "\n".join(cells)


@pytest.fixture
def story(product: Product, script: Script) -> Story:
    script.answer = complaint_talk
    told = Story(product)
    told.tell("ann")
    told.tell("bob")
    return told


def test_the_story_leaves_its_canaries_in_every_place_of_the_list(story: Story) -> None:
    """Else the tests below would find nothing because nothing was there. Web chat sessions have their own test."""
    with story.product.database.read() as db:
        held = everything_of(db, [story.identity("ann")])
    assert [name for name, rows in held.items() if not rows] == ["webchat_session"]
    for what in ("what", "name", "answer", "note", "last", "file", "file-name", "photo", "added", "rated"):
        assert canary("ann", what) in story.everything(), what


def test_a_copy_is_everything_of_that_person_and_nothing_of_anybody_else(story: Story, tmp_path: Path) -> None:
    privacy, mine = story.product.privacy(), [story.identity("ann")]
    counts = privacy.export(mine, tmp_path / "ann.zip")
    with zipfile.ZipFile(tmp_path / "ann.zip") as pack:
        data = json.loads(pack.read("data.json"))
        whole = b"\n".join(pack.read(name) for name in pack.namelist()).decode("utf-8", "replace")
    assert {name: len(rows) for name, rows in data.items()} == counts
    with story.product.database.read() as db:
        for place in PLACES:
            rows = place.rows(db, mine)
            assert [row[place_key(place)] for row in rows] == [row[place_key(place)] for row in data[place.table.name]]
            for column in place.columns - place.withheld:
                if not isinstance(place.table.c[column].type, LargeBinary):
                    assert [row[column] for row in rows] == [row[column] for row in data[place.table.name]], column
    for what in ("what", "name", "answer", "note", "last", "file", "file-name"):
        assert canary("ann", what) in whole, what
    assert NUMBER["ann"] in whole
    assert "canary-bob" not in whole and NUMBER["bob"] not in whole


def place_key(place: object) -> str:
    return str(next(iter(place.table.primary_key.columns)).name)  # type: ignore[attr-defined]


def test_a_copy_is_for_its_owner_only_and_never_overwrites(story: Story, tmp_path: Path) -> None:
    path = tmp_path / "ann.zip"
    story.product.privacy().export([story.identity("ann")], path)
    assert path.stat().st_mode & 0o077 == 0
    with pytest.raises(FileExistsError):
        story.product.privacy().export([story.identity("ann")], path)


def test_after_erasing_nothing_personal_is_left(story: Story) -> None:
    before, mine = facts_of(story), story.identity("ann")
    story.product.privacy().erase([mine], "asked")
    left = story.everything()
    assert "canary-ann" not in left and NUMBER["ann"] not in left and "ann-id" not in left
    assert canary("bob", "what") in left and NUMBER["bob"] in left and "bob-id" in left
    assert facts_of(story)[: len(before)] == before, "facts and counts stand"
    assert facts_of(story)[-1][0] == "person.erased"


def facts_of(story: Story) -> list[tuple[str, object]]:
    with story.product.database.read() as db:
        return [(one.kind, one.recorded_at) for one in facts.after(db, 0, 10_000)]


def test_erased_words_are_gone_from_sqlites_files_too(story: Story) -> None:
    if not story.product.database.sqlite:
        return  # PostgreSQL's vacuum does it, in its own time: docs/operations.md
    story.product.privacy().erase([story.identity("ann")], "asked")
    path = Path(story.product.database.url.removeprefix("sqlite:///"))
    for file in (path, path.with_name(path.name + "-wal")):
        content = file.read_bytes() if file.exists() else b""
        assert b"canary-ann" not in content, file.name
    assert b"canary-bob" in path.read_bytes()


def test_the_copy_holds_no_code_and_no_lookup(story: Story, tmp_path: Path) -> None:
    story.product.privacy().export([story.identity("ann")], tmp_path / "ann.zip")
    with zipfile.ZipFile(tmp_path / "ann.zip") as pack:
        data = json.loads(pack.read("data.json"))
    assert "receipt_code_hash" not in data["complaint"][0]
    assert "lookup" not in data["personal_value"][0]


def test_an_open_complaint_is_kept(story: Story) -> None:
    story.open_again("ann")
    with pytest.raises(HeldByComplaint) as held:
        story.product.privacy().erase([story.identity("ann")], "asked")
    assert held.value.references == [story.reference("ann")]
    assert canary("ann", "what") in story.everything()


def test_what_comes_after_erasing_is_somebody_new(story: Story) -> None:
    was = story.identity("ann")
    story.product.privacy().erase([was], "asked")
    story._say("ann", "hello again")
    assert story.identity("ann") != was
    assert story.conversation("ann").state == "bot"


def test_what_waits_to_be_sent_is_not_sent_after_erasing(story: Story) -> None:
    current, owner = story.conversation("ann"), story.product.ownership
    claimed = owner.claim(current.id, current.epoch, story.agent)
    owner.reply(current.id, story.agent, "late", "unsent", current.next_sequence)
    story.hands.work()
    story.product.privacy().erase([current.identity_id], "asked")
    with story.product.database.read() as db:
        from bot.store import outbox

        ended = conversations.read(db, current.id)
        assert outbox.waiting(db, current.id) == [] and ended is not None
    assert (ended.state, ended.owner_id) == ("closed", None) and ended.epoch > claimed.epoch


def test_a_transcript_can_still_be_shown(story: Story) -> None:
    from bot.transcript import transcript

    current = story.conversation("ann")
    story.product.privacy().erase([current.identity_id], "asked")
    with story.product.database.read() as db:
        lines = transcript(db, story.product.texts, current.id)
    assert lines and {line.text for line in lines} == {""}


def test_people_are_found_by_what_they_can_name(story: Story) -> None:
    privacy, ann = story.product.privacy(), story.identity("ann")
    for who in (f"identity:{ann}", "screen/main:ann-id", story.reference("ann"), NUMBER["ann"]):
        assert privacy.find(who) == [ann], who
    for who in ("", "identity:x", "identity:99999", "person:1", "screen/main:nobody", "13999999999", "TS-2222-2222-2"):
        with pytest.raises(NobodyFound):
            privacy.find(who)


def test_a_number_that_two_people_gave_names_nobody(story: Story) -> None:
    seal = story.product.seal
    with story.product.database.write() as db:
        people.keep_value(
            db,
            story.identity("bob"),
            "number",
            sealed=seal.seal(NUMBER["ann"]),
            lookup=seal.digest("number", NUMBER["ann"]),
        )
    with pytest.raises(NobodyFound, match=f"identity:{story.identity('ann')}"):
        story.product.privacy().find(NUMBER["ann"])


def test_what_was_bound_by_proof_belongs_together(story: Story) -> None:
    both = [story.identity("ann"), story.identity("bob")]
    with story.product.database.write() as db:
        person = db.execute(people.person.insert().values(created_at=conversations.now(db))).inserted_primary_key
        assert person is not None
        db.execute(update(people.identity).where(people.identity.c.id.in_(both)).values(person_id=person[0]))
    assert story.product.privacy().find(f"identity:{both[0]}") == both
    assert story.product.privacy().find(f"person:{person[0]}") == both


def test_a_picture_that_arrives_while_its_person_is_erased_leaves_no_bytes(story: Story) -> None:
    screen, current = story.account, story.conversation("ann")
    file = Attachment("photo", "late", "late.jpg")
    story.product.inbox.accept(screen, text("ann-id", "", "late-photo", Kind.MEDIA, attachments=(file,)))

    class Slow(Camera):
        def download(self, attachment: Attachment) -> Media:
            story.product.privacy().erase([current.identity_id], "asked")
            return Media(b"%PDF-1.4 canary-ann-late", "application/pdf")

    story.product.channels._made[screen.id] = Slow()
    story.hands.work()
    with story.product.database.read() as db:
        assert db.execute(select(blobs.blob.c.id)).all() == blobs_of(story, "bob")
        state = db.scalar(select(attachment.c.state).order_by(attachment.c.id.desc()).limit(1))
    assert state == "refused"


def blobs_of(story: Story, who: str) -> list[object]:
    with story.product.database.read() as db:
        held = everything_of(db, [story.identity(who)])["blob"]
    return [(row["id"],) for row in held]


def age(story: Story, who: str, days: int) -> None:
    with story.product.database.write() as db:
        then = conversations.now(db) - timedelta(days=days)
        current = story.conversation(who)
        conversations.change(db, current.id, last_inbound_at=then, created_at=then)
        for filed in complaints.of_identity(db, current.identity_id):
            complaints.change(db, filed.id, state_at=then)


def test_retention_forgets_people_long_gone_and_nobody_else(story: Story) -> None:
    age(story, "ann", 800)
    assert sweep(story) == 1
    assert "canary-ann" not in story.everything() and canary("bob", "what") in story.everything()
    assert sweep(story) == 0, "once"


def sweep(story: Story, **keep: int) -> int:
    kept = Keep(**{"people": 730, "raw": 30} | keep)
    return Retention(story.product.database, story.product.privacy(), kept).sweep()


def test_retention_keeps_whoever_has_a_complaint_open(story: Story) -> None:
    age(story, "ann", 800)
    story.open_again("ann")
    assert sweep(story) == 0
    assert canary("ann", "what") in story.everything()


def test_retention_counts_from_the_last_thing_that_happened(story: Story) -> None:
    age(story, "ann", 800)
    with story.product.database.write() as db:
        filed = complaints.of_identity(db, story.identity("ann"))[0]
        complaints.change(db, filed.id, state_at=conversations.now(db))
    assert sweep(story) == 0


def test_raw_payloads_go_earlier_than_the_words(story: Story) -> None:
    with story.product.database.write() as db:
        db.execute(update(inbox).values(received_at=conversations.now(db) - timedelta(days=31)))
    sweep(story)
    with story.product.database.read() as db:
        rows = db.execute(select(inbox.c.raw, inbox.c.text)).all()
    assert rows and all(row.raw == {} for row in rows) and any(row.text for row in rows)


def test_a_file_of_no_message_goes_after_a_day(story: Story) -> None:
    orphan = story.product.blobs.put(b"\xff\xd8\xff\xe0 nobody's", "image/jpeg")
    sweep(story)
    assert story.product.blobs.get(orphan) is not None, "it may be on its way to its row"
    with story.product.database.write() as db:
        db.execute(update(blobs.blob).values(created_at=conversations.now(db) - timedelta(days=2)))
    sweep(story)
    assert story.product.blobs.get(orphan) is None
    assert blobs_of(story, "ann") and blobs_of(story, "bob"), "files of messages stay"


def test_one_sweeper_at_a_time(story: Story, make_product: Callable[..., Product]) -> None:
    age(story, "ann", 800)
    with story.product.database.write() as db:
        assert cursors.lease(db, "retention", 60) is not None
    story.product.retention().sweep_when_due()
    assert "canary-ann" in story.everything()


def test_an_abandoned_web_chat_is_logged_out(story: Story) -> None:
    from bot.store import webchat

    with story.product.database.write() as db:
        webchat.open_session(db, "hash", "visitor", "zh")
    sweep(story)
    with story.product.database.write() as db:
        assert webchat.visitor_of(db, "hash") == "visitor"
        db.execute(update(webchat.webchat_session).values(seen_at=conversations.now(db) - timedelta(days=91)))
    sweep(story)
    with story.product.database.read() as db:
        assert webchat.visitor_of(db, "hash") is None


def test_a_web_chat_session_ends_with_its_person(story: Story) -> None:
    from bot.store import webchat

    with story.product.database.write() as db:
        webchat.open_session(db, "hash", "visitor", "zh")
    story.product.inbox.accept(story.product.accounts["webchat", "main"], text("visitor", "你好"))
    story.hands.work()
    story.product.privacy().erase(story.product.privacy().find("webchat/main:visitor"), "asked")
    with story.product.database.read() as db:
        assert webchat.visitor_of(db, "hash") is None
        assert db.scalar(select(conversation.c.state).order_by(conversation.c.id.desc()).limit(1)) == "closed"
        assert tickets.of_complaint(db, 99_999) is None


@pytest.fixture
def command(environ: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    """The test's own settings for `python -m bot`."""
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(logs, "configure", lambda level: None)


def test_the_commands_export_and_erase(
    story: Story, command: None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    who, to = story.reference("ann"), str(tmp_path / "ann.zip")
    assert main(["export", who, "--to", to]) == 0
    assert f"identity:{story.identity('ann')}: " in capsys.readouterr().out
    assert main(["export", who, "--to", to]) == 1, "a copy is never overwritten"
    assert "cannot be written" in capsys.readouterr().err
    assert main(["erase", who]) == 0 and "--yes" in capsys.readouterr().out
    assert canary("ann", "what") in story.everything(), "only said so far"
    assert main(["erase", who, "--yes"]) == 0
    assert "canary-ann" not in story.everything()
    assert main(["erase", "screen/main:ann-id", "--yes"]) == 1
    assert "Nobody is known" in capsys.readouterr().err


def test_the_command_says_which_complaints_are_in_the_way(
    story: Story, command: None, capsys: pytest.CaptureFixture[str]
) -> None:
    story.open_again("ann")
    for given in (["erase", story.reference("ann")], ["erase", story.reference("ann"), "--yes"]):
        assert main(given) == 1
        assert story.reference("ann") in capsys.readouterr().err
