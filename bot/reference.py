"""References that can be read aloud, and receipt codes that prove ownership."""

import re
import secrets
import unicodedata

# 32 characters without 0, 1, I and O, which people mix up when they read aloud: 8 of them are 40 random bits.
ALPHABET = "23456789ABCDEFGHJKLMNPQRSTUVWXYZ"
_RANDOM = 8
_SHAPE = re.compile(rf"TS[{ALPHABET}]{{{_RANDOM + 1}}}")
CODE_DIGITS = 8


def new_reference() -> str:
    """Like TS-7Q4K-9M2X-C; the last character checks the others."""
    body = "".join(secrets.choice(ALPHABET) for _ in range(_RANDOM))
    return _grouped(body + check_character(body))


def new_code() -> str:
    """Eight digits, easy to type on any phone."""
    return "".join(secrets.choice("0123456789") for _ in range(CODE_DIGITS))


def check_character(body: str) -> str:
    """Luhn mod 32: catches every single wrong character and nearly all swapped neighbours."""
    total = 0
    for place, character in enumerate(reversed(body)):
        value = ALPHABET.index(character) * (2 if place % 2 == 0 else 1)
        total += value // len(ALPHABET) + value % len(ALPHABET)
    return ALPHABET[-total % len(ALPHABET)]


def _grouped(plain: str) -> str:
    return f"TS-{plain[:4]}-{plain[4:8]}-{plain[8]}"


def parse(typed: str) -> str | None:
    """The reference as we store it, however it was typed; None when it cannot be one."""
    folded = unicodedata.normalize("NFKC", typed).upper()
    plain = re.sub(r"[\s\-—–_.·]", "", folded)
    if not _SHAPE.fullmatch(plain):
        return None
    body, check = plain[2:-1], plain[-1]
    return _grouped(body + check) if check_character(body) == check else None
