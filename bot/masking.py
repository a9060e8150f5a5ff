"""Masks resident identity card numbers before anything is stored (GB 11643-1999: 17 digits and a check)."""

import re

_CANDIDATE = re.compile(r"(?<![0-9])[1-9](?:[ -]?[0-9]){16}[ -]?[0-9Xx](?![0-9])")
_WEIGHTS = (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2)
_CHECK = "10X98765432"


def _valid(digits: str) -> bool:
    total = sum(int(digit) * weight for digit, weight in zip(digits[:17], _WEIGHTS, strict=True))
    return _CHECK[total % 11] == digits[17].upper()


def mask_id_cards(text: str) -> str:
    """Every checksum-valid number becomes asterisks; other long numbers stay as they are."""

    def hide(match: re.Match[str]) -> str:
        digits = re.sub("[ -]", "", match[0])
        return "*" * 18 if _valid(digits) else match[0]

    return _CANDIDATE.sub(hide, text)
