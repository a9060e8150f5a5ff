"""What a file really is, by its first bytes; what its sender calls it is never trusted. The list of what we take."""

from dataclasses import dataclass


@dataclass(frozen=True)
class FileType:
    """A kind of file that we take."""

    mime: str
    ending: str
    picture: bool = False  # decoded and written anew before it is kept


JPEG = FileType("image/jpeg", ".jpg", picture=True)
PNG = FileType("image/png", ".png", picture=True)
WEBP = FileType("image/webp", ".webp", picture=True)
GIF = FileType("image/gif", ".gif", picture=True)
OGG = FileType("audio/ogg", ".ogg")
MP3 = FileType("audio/mpeg", ".mp3")
AMR = FileType("audio/amr", ".amr")
WAV = FileType("audio/wav", ".wav")
M4A = FileType("audio/mp4", ".m4a")
MP4 = FileType("video/mp4", ".mp4")
WEBM = FileType("video/webm", ".webm")
PDF = FileType("application/pdf", ".pdf")

# (offset, bytes, type); the first that fits. Archives, pages, drawings with script and programs are not here on purpose.
_SIGNATURES: tuple[tuple[int, bytes, FileType], ...] = (
    (0, b"\xff\xd8\xff", JPEG),
    (0, b"\x89PNG\r\n\x1a\n", PNG),
    (8, b"WEBP", WEBP),
    (0, b"GIF87a", GIF),
    (0, b"GIF89a", GIF),
    (0, b"OggS", OGG),
    (0, b"ID3", MP3),
    (0, b"\xff\xfb", MP3),
    (0, b"\xff\xf3", MP3),
    (0, b"\xff\xf2", MP3),
    (0, b"#!AMR", AMR),
    (8, b"WAVE", WAV),
    (4, b"ftypM4A", M4A),
    (4, b"ftypiso", MP4),
    (4, b"ftypmp4", MP4),
    (4, b"ftyp3gp", MP4),
    (4, b"ftypqt", MP4),
    (4, b"ftypMSNV", MP4),
    (0, b"\x1a\x45\xdf\xa3", WEBM),
    (0, b"%PDF-", PDF),
)
_BY_MIME = {kind.mime: kind for _, _, kind in _SIGNATURES}


def detect(content: bytes) -> FileType | None:
    """The type by its first bytes; None for everything that we do not take."""
    for offset, signature, kind in _SIGNATURES:
        if content.startswith(signature, offset) and (offset != 8 or content.startswith(b"RIFF")):
            return kind
    return None


def ending(mime: str) -> str:
    """ ".jpg" for image/jpeg; ".bin" for what we do not know."""
    known = _BY_MIME.get(mime)
    return known.ending if known else ".bin"
