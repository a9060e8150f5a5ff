"""Cuts a text into pieces that a platform takes, at the best place a reader would cut it.

Lengths are counted as the platform counts them; a visible character is never torn apart
(https://www.unicode.org/reports/tr29/, extended grapheme clusters).
"""

from collections.abc import Callable, Sequence

import regex  # type: ignore[import-untyped]

_GRAPHEME = regex.compile(r"\X")
_ENDS = frozenset("。！？；…")
_ENDS_BEFORE_SPACE = frozenset(".!?;")  # not in 3.14 or example.com
_CLOSING = frozenset("”’」』）》)\"'")


def _utf16(text: str) -> int:
    return sum(2 if ord(char) > 0xFFFF else 1 for char in text)


def _half_widths(text: str) -> int:
    """Weibo counts a Chinese character as one and two ASCII characters as one: we count halves."""
    return sum(1 if ord(char) < 0x80 else 2 for char in text)


# How to measure one grapheme, and how many of these units one unit of the limit holds.
_MEASURES: dict[str, tuple[Callable[[str], int], int]] = {
    "utf16": (_utf16, 1),
    "characters": (len, 1),
    "graphemes": (lambda _: 1, 1),
    "hanzi": (_half_widths, 2),
}


def length(text: str, counted_in: str) -> int:
    """The length of a text in the platform's units, rounded up. Raises KeyError for an unknown unit."""
    size, units = _MEASURES[counted_in]
    return -(-sum(size(grapheme) for grapheme in _GRAPHEME.findall(text)) // units)


def split(text: str, limit: int, counted_in: str) -> list[str]:
    """Pieces of at most `limit` units, in order, none empty; 0 means no limit.

    White space at the cuts and around the text is dropped. A single grapheme longer than the limit (hundreds of
    combining marks on one letter) is cut between its code points: the platform would refuse it whole.
    Raises ValueError when the limit cannot hold a single code point.
    """
    if not limit:
        return [text.strip()] if text.strip() else []
    size, units = _MEASURES[counted_in]
    if limit * units < 2:
        raise ValueError(f"no text can be cut to {limit} {counted_in}")
    atoms = _atoms(text, size, limit * units)
    sizes = [size(atom) for atom in atoms]
    pieces = []
    start = _after_blanks(atoms, 0)
    while start < len(atoms):
        end = _cut(atoms, start, _reach(sizes, start, limit * units))
        pieces.append("".join(atoms[start : _before_blanks(atoms, end)]))
        start = _after_blanks(atoms, end)
    return pieces


def _atoms(text: str, size: Callable[[str], int], room: int) -> list[str]:
    """What is never torn: graphemes, and code points of graphemes that cannot fit."""
    atoms: list[str] = []
    for grapheme in _GRAPHEME.findall(text):
        atoms.extend([grapheme] if size(grapheme) <= room else list(grapheme))
    return atoms


def _reach(sizes: Sequence[int], start: int, room: int) -> int:
    end = start
    while end < len(sizes) and sizes[end] <= room:
        room -= sizes[end]
        end += 1
    return end


def _cut(atoms: Sequence[str], start: int, end: int) -> int:
    """The best place in the second half of what fits; a cut further up would make many small pieces."""
    if end == len(atoms):
        return end
    for is_break in (_paragraph, _line, _sentence, _space):
        for place in range(end, start + (end - start) // 2, -1):
            if is_break(atoms, place):
                return place
    return end


def _line(atoms: Sequence[str], place: int) -> bool:
    return atoms[place - 1] in ("\n", "\r\n")


def _paragraph(atoms: Sequence[str], place: int) -> bool:
    return place > 1 and _line(atoms, place) and _line(atoms, place - 1)


def _sentence(atoms: Sequence[str], place: int) -> bool:
    if atoms[place] in _CLOSING:
        return False
    last = atoms[place - 1]
    if last in _CLOSING and place > 1:
        last = atoms[place - 2]
    return last in _ENDS or (last in _ENDS_BEFORE_SPACE and atoms[place].isspace())


def _space(atoms: Sequence[str], place: int) -> bool:
    return atoms[place - 1].isspace() or atoms[place].isspace()


def _after_blanks(atoms: Sequence[str], place: int) -> int:
    while place < len(atoms) and atoms[place].isspace():
        place += 1
    return place


def _before_blanks(atoms: Sequence[str], place: int) -> int:
    while atoms[place - 1].isspace():
        place -= 1
    return place
