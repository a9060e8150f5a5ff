"""Splitting long texts: every platform's own count, nothing lost, nothing torn."""

import pytest
import regex  # type: ignore[import-untyped]
from hypothesis import given
from hypothesis import strategies as st

from bot.splitting import length, split

UNITS = ["utf16", "characters", "graphemes", "hanzi"]
texts = st.text(
    st.one_of(
        st.sampled_from("投诉宽带。！？\n\r .,!?”ab9👍🇨🇳👩‍👩‍👧\u0301\u200d\ufe0f"), st.characters(exclude_categories=[])
    ),
    max_size=300,
)


def squeezed(text: str) -> str:
    return "".join(text.split())


@given(text=texts, limit=st.integers(2, 60), counted_in=st.sampled_from(UNITS))
def test_pieces_fit_and_lose_nothing_but_white_space(text: str, limit: int, counted_in: str) -> None:
    pieces = split(text, limit, counted_in)
    assert squeezed("".join(pieces)) == squeezed(text)
    assert all(piece.strip() for piece in pieces)
    assert all(length(piece, counted_in) <= limit for piece in pieces)


@given(text=texts, limit=st.integers(20, 60))
def test_no_visible_character_is_torn(text: str, limit: int) -> None:
    graphemes = regex.findall(r"\X", text)
    if any(length(grapheme, "utf16") > limit for grapheme in graphemes):
        return
    visible = [grapheme for grapheme in graphemes if not grapheme.isspace()]
    kept = [g for piece in split(text, limit, "utf16") for g in regex.findall(r"\X", piece) if not g.isspace()]
    assert kept == visible


@pytest.mark.parametrize(
    ("text", "limit", "counted_in", "pieces"),
    [
        ("", 10, "utf16", []),
        (" \n\t ", 10, "utf16", []),
        ("短", 10, "utf16", ["短"]),
        (" 短 ", 0, "characters", ["短"]),
        ("第一段话。\n\n第二段。后面的话", 12, "utf16", ["第一段话。", "第二段。后面的话"]),
        ("第一行，有字\n第二行。后面", 10, "utf16", ["第一行，有字", "第二行。后面"]),
        ("他说：“好了。”然后就走了", 10, "utf16", ["他说：“好了。”", "然后就走了"]),
        ("Costs 3.14 yuan. Really? Yes", 18, "utf16", ["Costs 3.14 yuan.", "Really? Yes"]),
        ("see www.example.com.cn", 12, "utf16", ["see www.exam", "ple.com.cn"]),  # rather than a crumb
        ("one two three", 8, "utf16", ["one two", "three"]),
        ("👍👍👍", 4, "utf16", ["👍👍", "👍"]),
        ("👍👍👍", 5, "utf16", ["👍👍", "👍"]),
        ("👍👍👍", 2, "graphemes", ["👍👍", "👍"]),
        ("👩‍👩‍👧👩‍👩‍👧", 9, "utf16", ["👩‍👩‍👧", "👩‍👩‍👧"]),
        ("投诉ab投诉", 3, "hanzi", ["投诉ab", "投诉"]),
    ],
)
def test_cuts(text: str, limit: int, counted_in: str, pieces: list[str]) -> None:
    assert split(text, limit, counted_in) == pieces


def test_a_monster_grapheme_is_cut_rather_than_refused() -> None:
    monster = "a" + "\u0301" * 9000
    pieces = split(monster, 4096, "utf16")
    assert "".join(pieces) == monster
    assert len(pieces) == 3


def test_ten_thousand_characters_become_three_messages() -> None:
    pieces = split("我要投诉宽带，装机师傅没有来。" * 667, 4096, "utf16")
    assert len(pieces) == 3
    assert all(piece.endswith("。") for piece in pieces)


def test_a_limit_that_holds_nothing_is_a_mistake() -> None:
    with pytest.raises(ValueError, match="no text"):
        split("👍", 1, "utf16")
