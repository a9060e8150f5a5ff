"""What customers attach: what it really is, what is kept of it, and what they hear when it is not kept."""

import io
from collections.abc import Callable, Iterator

import pytest
from PIL import Image

from bot import media, pictures
from bot.build import Product
from bot.channel import Account, Capabilities, Media
from bot.dialogue import Script
from bot.errors import DownloadFailed, ScannerDown
from bot.filetypes import detect, ending
from bot.inspection import LARGEST, Inspection
from bot.message import Attachment, Kind, Outgoing, Receipt
from bot.scanner import Clamd, NoScanner
from bot.store import inbox
from tests import files
from tests.running import free_port
from tests.talking import Hands, complaint_talk, text

KEPT = {
    "photo.jpg": (files.picture(), "image/jpeg"),
    "screenshot.png": (files.picture("PNG"), "image/png"),
    "picture.webp": (files.picture("WEBP"), "image/webp"),
    "moving.gif": (files.picture("GIF"), "image/gif"),
    "a photo called note.txt": (files.photo_with_place(), "image/jpeg"),
    "voice.ogg": (files.OGG, "audio/ogg"),
    "film.mp4": (files.MP4, "video/mp4"),
    "bill.pdf": (files.PDF, "application/pdf"),
    "half gif, half script": (files.gif_and_script(), "image/gif"),
}
REFUSED: dict[str, tuple[bytes | DownloadFailed, str]] = {
    "nothing": (b"", "empty"),
    "too big": (b"\xff\xd8\xff" + b"\0" * (LARGEST + 1), "size"),
    "drawing with script": (files.SVG, "type"),
    "page called photo.png": (files.HTML, "type"),
    "archive bomb": (files.archive_bomb(), "type"),
    "program": (files.PROGRAM, "type"),
    "picture bomb": (files.picture_bomb(), "size"),
    "half a picture": (files.picture("PNG", (900, 900))[:800], "damaged"),
    "only a picture's first bytes": (b"\xff\xd8\xff\xe0 not a picture", "damaged"),
    "infected": (files.PDF + files.EICAR, "infected"),
    "gone at the platform": (DownloadFailed("404", permanent=True), "gone"),
}


class Bag:
    """A pushed channel that gives out the files above."""

    kind = "screen"
    capabilities = Capabilities(0, "characters", True, True, False, False, False, False)

    def send(self, outgoing: Outgoing) -> Receipt:
        return Receipt("1")

    def download(self, attachment: Attachment) -> Media:
        found = (
            KEPT[attachment.channel_ref][0] if attachment.channel_ref in KEPT else REFUSED[attachment.channel_ref][0]
        )
        if isinstance(found, DownloadFailed):
            raise found
        return Media(found, "image/png")  # whatever the platform claims

    def close(self) -> None:
        """Nothing to close."""


@pytest.fixture
def scanner() -> Iterator[str]:
    with files.scanner_twin() as address:
        yield address


@pytest.fixture
def hands(make_product: Callable[..., Product], script: Script, scanner: str) -> Hands:
    script.answer = complaint_talk
    product = make_product(TINGSU_CLAMD=scanner)
    product.channels._made[screen(product).id] = Bag()
    return Hands(product)


def screen(product: Product) -> Account:
    return product.accounts["screen", "main"]


def attach(hands: Hands, *names: str) -> list[inbox.AttachmentRow]:
    """Sends a message with these files and works until nothing is due; gives their rows."""
    sent = tuple(Attachment("document", name, name) for name in names)
    event = text("ann", "", kind=Kind.MEDIA, attachments=sent)
    where = hands.product.inbox.accept(screen(hands.product), event).conversation_id
    assert where is not None
    hands.work()
    with hands.product.database.read() as db:
        return inbox.attachments(db, where)


def said(hands: Hands) -> str:
    from bot.store import conversations, outbox

    with hands.product.database.read() as db:
        found = conversations.of_sender(db, screen(hands.product).id, "ann")
        assert found is not None
        return "\n".join(row.text for row in outbox.history(db, found.id) if row.state == "sent")


def test_what_is_good_is_kept_under_its_real_type(hands: Hands) -> None:
    rows = attach(hands, *KEPT)
    assert [(row.name, row.state, row.mime) for row in rows] == [(n, "stored", mime) for n, (_, mime) in KEPT.items()]
    whole = b"".join(hands.product.blobs.get(row.blob_id or 0)[0] for row in rows)  # type: ignore[index]
    assert b"anary" not in whole, "pictures are written anew before they are kept"


def test_what_is_bad_is_refused_with_a_reason_and_the_talk_goes_on(hands: Hands) -> None:
    rows = attach(hands, *REFUSED)
    assert {row.name: (row.state, row.reason) for row in rows} == {
        n: ("refused", why) for n, (_, why) in REFUSED.items()
    }
    assert all(row.blob_id is None for row in rows)
    for why in {why for _, why in REFUSED.values()}:
        assert hands.product.texts.render(f"file.refused_{why}", "zh") in said(hands), why
    hands.product.inbox.accept(screen(hands.product), text("ann", "宽带断了两天"))
    hands.work()
    assert hands.product.texts.render("system.photo_alone", "zh") in said(hands)


def test_a_scanner_that_is_away_keeps_files_back_and_says_so_in_the_end(hands: Hands, script: Script) -> None:
    product = hands.product
    turns = product.turns()
    turns._media._inspection = Inspection(Clamd(f"127.0.0.1:{free_port()}"))
    hands.turns = turns
    rows = attach(hands, "bill.pdf")
    for _ in range(media.ATTEMPTS):
        assert [(row.state, row.blob_id) for row in rows] == [("pending", None)]
        _hurry(hands)
        with product.database.read() as db:
            rows = inbox.attachments(db, rows[0].conversation_id)
        if rows[0].state != "pending":
            break
    assert [(row.state, row.reason) for row in rows] == [("refused", "unchecked")]
    assert product.texts.render("file.refused_unchecked", "zh") in said(hands)


def _hurry(hands: Hands) -> None:
    from bot.store import conversations

    with hands.product.database.write() as db:
        found = conversations.of_sender(db, screen(hands.product).id, "ann")
        assert found is not None
        conversations.change(db, found.id, work_at=conversations.now(db))
    hands.work()


def opened(content: bytes) -> Image.Image:
    return Image.open(io.BytesIO(content))


def test_where_a_photo_was_taken_is_not_kept_and_up_stays_up() -> None:
    before = files.photo_with_place()
    assert opened(before).getexif().get_ifd(0x8825) and b"Canary Camera" in before and b"canary comment" in before
    after = pictures.clean(before, "image/jpeg")
    assert not opened(after).getexif() and b"anary" not in after
    assert opened(after).size == (40, 60), "it was turned as its telephone said"
    top = opened(after).convert("RGB").getpixel((20, 5))
    assert isinstance(top, tuple) and top[2] > top[0], "blue was left, a quarter turn puts it on top"


def test_a_second_file_behind_a_picture_is_gone() -> None:
    assert b"canary" in files.gif_and_script()
    assert b"canary" not in pictures.clean(files.gif_and_script(), "image/gif")


@pytest.mark.parametrize(("kind", "mime"), [("PNG", "image/png"), ("WEBP", "image/webp"), ("GIF", "image/gif")])
def test_see_through_stays_see_through(kind: str, mime: str) -> None:
    clear = io.BytesIO()
    Image.new("RGBA", (20, 20), (0, 0, 0, 0)).save(clear, kind)
    pixel = opened(pictures.clean(clear.getvalue(), mime)).convert("RGBA").getpixel((5, 5))
    assert isinstance(pixel, tuple) and pixel[3] == 0


def test_a_giant_picture_is_made_smaller_and_a_bomb_is_refused_without_being_opened() -> None:
    assert max(opened(pictures.clean(files.picture("PNG", (6000, 1500)), "image/png")).size) == pictures.LONGEST_SIDE
    assert len(files.picture_bomb()) < 10_000
    with pytest.raises(pictures.TooManyPixels):
        pictures.clean(files.picture_bomb(), "image/png")


def test_a_picture_is_not_decoded_as_something_else() -> None:
    with pytest.raises(pictures.Unreadable):
        pictures.clean(files.picture("GIF"), "image/png")


@pytest.mark.parametrize(
    "content", [b"", b"RIFF\0\0\0\0AVI ", b"xxxxxxxxWEBP", files.SVG, files.HTML, b"PK\x03\x04", b"MZ"]
)
def test_what_we_do_not_take_has_no_type(content: bytes) -> None:
    assert detect(content) is None


def test_a_file_is_named_by_its_type() -> None:
    assert (ending("image/jpeg"), ending("application/pdf"), ending("text/html")) == (".jpg", ".pdf", ".bin")


def test_the_scanner_is_understood(scanner: str) -> None:
    asked = Clamd(scanner)
    assert asked.scan(b"clean" * 50_000) == ""
    assert asked.scan(b"x" + files.EICAR) == "Eicar-Signature"
    with pytest.raises(ScannerDown, match="size limit"):
        asked.scan(b"x" * 1_000_001)
    assert NoScanner().scan(files.EICAR) == ""


def test_a_scanner_that_is_not_there_gives_no_verdict() -> None:
    for address in (f"127.0.0.1:{free_port()}", "/nowhere/clamd.sock"):
        with pytest.raises(ScannerDown):
            Clamd(address).scan(b"x")
