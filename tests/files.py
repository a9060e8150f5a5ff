"""Files that customers might attach, good and bad, made here; and a scanner's twin that knows one test file."""

import io
import socketserver
import struct
import threading
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager

from PIL import Image
from PIL.TiffImagePlugin import IFDRational

# The EICAR test file, in two parts, so that no scanner takes this source for it.
EICAR = rb"X5O!P%@AP[4\PZX54(P^)7CC)7}$EICAR-STANDARD" + rb"-ANTIVIRUS-TEST-FILE!$H+H*"


def picture(kind: str = "JPEG", size: tuple[int, int] = (60, 40), **more: object) -> bytes:
    """Red, with a blue left half, so that turning it shows."""
    made = Image.new("RGB", size, (200, 30, 30))
    made.paste((30, 30, 200), (0, 0, size[0] // 2, size[1]))
    written = io.BytesIO()
    made.save(written, kind, **more)
    return written.getvalue()


def photo_with_place() -> bytes:
    """A JPEG as a telephone makes it: where it was taken, with which device, and which side is up."""
    exif = Image.Exif()
    exif[0x0112] = 6  # turned by a quarter
    exif[0x010F] = "Canary Camera"
    exif.get_ifd(0x8825).update({1: "N", 2: (IFDRational(31), IFDRational(14), IFDRational(15)), 3: "E"})
    return picture(exif=exif.tobytes(), comment=b"canary comment")


def picture_bomb(side: int = 50_000) -> bytes:
    """A PNG of a few kilobytes that says it is 50,000 pixels wide and high."""

    def chunk(name: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))

    head = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    rows = zlib.compress(b"\0" * 1_000_000, 9)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


def archive_bomb() -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as pack:
        pack.writestr("zeros", b"\0" * 10_000_000)
    return packed.getvalue()


def gif_and_script() -> bytes:
    """A picture to one reader, a program to another."""
    return picture("GIF") + b"/*canary*/;alert(1);//"


OGG = b"OggS\0\x02" + b"\0" * 22 + b"\x01\x13OpusHead" + b"\0" * 64
MP4 = b"\0\0\0\x20ftypisom\0\0\x02\0isomiso2avc1mp41" + b"\0" * 64
PDF = b"%PDF-1.4\n1 0 obj<<>>endobj\ntrailer<<>>\n%%EOF\n"
SVG = b"<svg xmlns='http://www.w3.org/2000/svg'><script>alert(1)</script></svg>"
HTML = b"<!doctype html><script>alert(1)</script>"
PROGRAM = b"\x7fELF" + b"\0" * 64


class _Knows(socketserver.StreamRequestHandler):
    """clamd's INSTREAM, for one known file. `server.limit` bytes and it gives up, as clamd does."""

    def handle(self) -> None:
        if self.rfile.read(10) != b"zINSTREAM\0":
            self.wfile.write(b"UNKNOWN COMMAND\0")
            return
        content = b""
        while size := struct.unpack("!I", self.rfile.read(4))[0]:
            content += self.rfile.read(size)
        if len(content) > 1_000_000:
            self.wfile.write(b"INSTREAM size limit exceeded. ERROR\0")
        else:
            self.wfile.write(b"stream: Eicar-Signature FOUND\0" if EICAR in content else b"stream: OK\0")


@contextmanager
def scanner_twin() -> Iterator[str]:
    """Its address, while it runs."""
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), _Knows) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        yield f"127.0.0.1:{server.server_address[1]}"
        server.shutdown()
