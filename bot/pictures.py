"""Writes pictures anew: no place, no camera, no second file hidden in them, and none that explodes when it is opened.

Decoding what strangers send is the most dangerous thing that we do with it, so a process of its own does it, with
limits on memory and time: `python pictures.py MIME`, the picture on standard input, the new one on standard output.
Only standard library and Pillow are imported here.
"""

import io
import resource
import subprocess
import sys
from pathlib import Path

MOST_PIXELS = 50_000_000  # a 48-megapixel telephone's picture still fits
LONGEST_SIDE = 4096  # pixels; a screenshot stays legible
MEMORY = 1024**3  # bytes of address space: fifty million pixels of four bytes, twice, and the interpreter
SECONDS = 15
_FORMATS = {"image/jpeg": "JPEG", "image/png": "PNG", "image/webp": "WEBP", "image/gif": "GIF"}
_UNREADABLE, _TOO_LARGE = 3, 4


class Unreadable(Exception):
    """This is no picture, a damaged one, or one that takes too long."""


class TooManyPixels(Exception):
    """The picture would fill the memory: more than MOST_PIXELS."""


def clean(content: bytes, mime: str) -> bytes:
    """The same picture without anything else in it, of the same type (a moving GIF keeps its first frame).

    Raises Unreadable or TooManyPixels. Takes a tenth of a second and more: a process is started.
    """
    command = [sys.executable, "-I", str(Path(__file__)), mime]
    try:
        done = subprocess.run(command, input=content, capture_output=True, timeout=SECONDS * 2, check=False)
    except subprocess.TimeoutExpired:
        raise Unreadable("takes too long") from None
    if done.returncode == _TOO_LARGE:
        raise TooManyPixels
    if done.returncode != 0 or not done.stdout:
        raise Unreadable(f"exit code {done.returncode}")
    return done.stdout


def _limit() -> None:
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    resource.setrlimit(resource.RLIMIT_CPU, (SECONDS, SECONDS))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))  # writes no file


def _main(mime: str) -> int:
    from PIL import Image, ImageOps

    _limit()
    Image.MAX_IMAGE_PIXELS = None  # we look ourselves, and earlier
    kind = _FORMATS[mime]
    try:
        with Image.open(io.BytesIO(sys.stdin.buffer.read()), formats=[kind]) as opened:
            if opened.width * opened.height > MOST_PIXELS:
                return _TOO_LARGE
            picture = ImageOps.exif_transpose(opened)
            picture.thumbnail((LONGEST_SIDE, LONGEST_SIDE))
            mode = "RGBA" if kind != "JPEG" and picture.has_transparency_data else "RGB"
            plain = Image.new(mode, picture.size)  # pixels only: `picture` still knows where it was taken
            plain.paste(picture.convert(mode))
        plain.save(sys.stdout.buffer, kind, **({"quality": 85} if kind in ("JPEG", "WEBP") else {}))
    except MemoryError:
        return _TOO_LARGE
    except Exception:  # Pillow's decoders raise whatever they meet
        return _UNREADABLE
    return 0


if __name__ == "__main__":
    sys.exit(_main(sys.argv[1]))
