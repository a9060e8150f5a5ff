"""What every channel promises (bot/channel.py), asked of each channel in CHANNELS with the case of the same name."""

import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import bot.channels
from bot.channel import Account, Channel, Pushed
from bot.channels import CHANNELS
from bot.channels.telegram_updates import to_incoming
from bot.errors import Forged, Malformed, TingsuError
from bot.message import Attachment, Incoming, Kind, Outgoing
from bot.splitting import length
from tests.channels.cases import CASES, SECRET, TELEGRAM, Case, callback, message, request, update

HOSTILE_TEXTS = [
    "/restart",
    "/affirm{}",
    '/complain{"number": "1"}',
    "／ｉｎｔｅｎｔ{}",
    "EXTERNAL: human",
    "human",
    "17.0",
    "😀" * 500,
    "x" * 3_999,
    "\u202ereversed",
    "a\u0301" * 300,
    "null",
    '{"payload": "human"}',
]
HOSTILE_BODIES = [
    b"",
    b" ",
    b"null",
    b"[]",
    b"7",
    b'"text"',
    b"{}",
    b"{",
    b"\xff\xfe\x00",
    b"\x00" * 1000,
    b'{"update_id": "1"}',
    b'{"update_id": true}',
    b'{"update_id": 1e400}',
    b'{"update_id": %d}' % 10**30,
    b'{"update_id": ' + b"9" * 5000 + b"}",
    b'{"id": "a"}',
    b'{"a":' * 20_000,
    b"[" * 100_000 + b"]" * 100_000,
    b'{"update_id": 1, "message": ' + b'{"reply_to_message": ' * 900 + b"{}" + b"}" * 900 + b"}",
    b'{"update_id": 1, "id": "' + b"x" * 1_000_000 + b'"}',
]


@pytest.fixture(params=sorted(CHANNELS))
def case(request: pytest.FixtureRequest) -> Case:
    return CASES[request.param]


@pytest.fixture
def channel(case: Case) -> Iterator[Channel]:
    made = CHANNELS[case.account.kind](case.account)
    yield made
    made.close()


def test_the_registry_names_the_files_and_each_has_a_case() -> None:
    """`telegram_line.py` belongs to `telegram.py`: a channel's further files begin with its name."""
    stems = {path.stem for path in Path(bot.channels.__path__[0]).glob("*.py")} - {"__init__"}
    assert {stem.split("_")[0] for stem in stems} == set(CHANNELS)
    assert stems >= set(CHANNELS)
    assert set(CASES) == set(CHANNELS)


def test_kind_and_capabilities(channel: Channel, case: Case) -> None:
    capabilities = channel.capabilities
    assert channel.kind == case.account.kind
    assert capabilities.text_limit >= 0
    assert length("字", capabilities.counted_in) >= 1
    assert not (capabilities.pulled and capabilities.text_limit), "what is fetched is never split"


def test_a_repeated_event_has_the_same_key_and_another_has_not(channel: Channel, case: Case) -> None:
    assert case.say(channel, "你好", 11) == case.say(channel, "你好", 11)
    assert case.say(channel, "你好", 11).event_key != case.say(channel, "你好", 12).event_key
    if case.tap is not None:
        assert case.tap(channel, "1.0", 13) == case.tap(channel, "1.0", 13)
        assert case.tap(channel, "1.0", 13).event_key != case.tap(channel, "1.0", 14).event_key


@pytest.mark.parametrize("text", HOSTILE_TEXTS)
def test_typed_text_is_text_and_never_a_payload(channel: Channel, case: Case, text: str) -> None:
    event = case.say(channel, text, 21)
    assert (event.kind, event.text, event.payload) == (Kind.TEXT, text, "")
    assert event.sender


@pytest.mark.parametrize("payload", ["human", "stop_waiting", "17.0", "affirm"])
def test_a_tap_is_a_payload_and_never_text(channel: Channel, case: Case, payload: str) -> None:
    assert (case.tap is not None) == channel.capabilities.buttons
    if case.tap is None:
        pytest.skip("a channel without buttons")
    event = case.tap(channel, payload, 31)
    assert (event.kind, event.text, event.payload) == (Kind.TAP, "", payload)


@pytest.mark.parametrize("body", HOSTILE_BODIES, ids=lambda body: repr(body[:24]))
def test_what_cannot_be_read_is_malformed_and_nothing_else(channel: Channel, case: Case, body: bytes) -> None:
    if case.post is None:
        pytest.skip("nothing comes by HTTP")
    try:
        for event in case.post(channel, body):
            check_storable(event)
            assert event.kind is not Kind.TEXT
    except Malformed:
        pass
    except (ValueError, RecursionError):
        assert not isinstance(channel, Pushed), "only our own API leaves reading JSON to the door"


def test_forged_requests_are_refused_before_they_are_read(channel: Channel, case: Case) -> None:
    for forged in case.forged:
        assert isinstance(channel, Pushed)
        with pytest.raises(Forged):
            channel.receive(forged)


def test_a_pushed_channel_refuses_forgeries(channel: Channel, case: Case) -> None:
    assert bool(case.forged) == isinstance(channel, Pushed)


def test_only_our_own_errors_leave_a_channel(channel: Channel) -> None:
    """Without any platform to talk to."""
    if channel.capabilities.pulled:
        with pytest.raises(TingsuError):
            channel.send(Outgoing("nobody", "hello"))
        with pytest.raises(TingsuError):
            channel.download(Attachment("photo", "nothing"))


def test_receiving_starts_no_thread(channel: Channel, case: Case) -> None:
    """The doors run on gevent: a channel's event loop has no place there."""
    before = threading.active_count()
    case.say(channel, "你好", 41)
    assert threading.active_count() == before


def check_storable(event: Incoming) -> None:
    """What the inbox's columns take, whatever the platform said (text and name are cleaned there)."""
    assert 0 < len(event.event_key) <= 192 and event.event_key.isprintable()
    assert len(event.sender) <= 128 and event.sender.isprintable()
    assert len(event.payload) <= 64 and event.payload.isprintable()
    assert len(event.detail) <= 128 and event.detail.isprintable()
    assert len(event.language) <= 16
    assert len(json.dumps(dict(event.raw))) < 1000
    assert all(file.channel_ref.isprintable() for file in event.attachments)


class TestTelegram:
    """What only Telegram has."""

    @pytest.fixture
    def channel(self) -> Channel:
        return CHANNELS["telegram"](TELEGRAM.account)

    @pytest.mark.parametrize(("raw", "seen"), TELEGRAM.table, ids=lambda value: json.dumps(value, default=str)[:60])
    def test_table(self, channel: Channel, raw: Any, seen: dict[str, Any]) -> None:
        [event] = channel.receive(request(json.dumps(raw).encode())).incoming  # type: ignore[attr-defined]
        assert {name: getattr(event, name) for name in seen} == seen
        check_storable(event)

    def test_the_largest_photo_is_the_attachment(self, channel: Channel) -> None:
        sizes = [
            {"file_id": f"F{side}", "file_unique_id": "U", "width": side, "height": side, "file_size": side}
            for side in (90, 1280, 320)
        ]
        body = json.dumps(update(message=message(photo=sizes, media_group_id="album"))).encode()
        [event] = channel.receive(request(body)).incoming  # type: ignore[attr-defined]
        assert event.attachments == (Attachment("photo", "F1280", mime="image/jpeg", size=1280),)
        assert event.raw["media_group_id"] == "album"

    def test_a_taps_answer_stops_the_spinner(self, channel: Channel) -> None:
        answer = channel.receive(request(json.dumps(callback(5)).encode()))  # type: ignore[attr-defined]
        assert json.loads(answer.body) == {"method": "answerCallbackQuery", "callback_query_id": "5"}
        assert (answer.status, answer.content_type) == (200, "application/json")

    def test_any_other_answer_is_empty(self, channel: Channel) -> None:
        answer = channel.receive(request(json.dumps(update(message=message(text="x"))).encode()))  # type: ignore[attr-defined]
        assert (answer.status, answer.body) == (200, "")

    def test_the_previous_secret_is_still_good(self, channel: Channel) -> None:
        assert channel.receive(request(b'{"update_id": 1}', "the-one-before")).incoming  # type: ignore[attr-defined]

    @pytest.mark.parametrize("given_secret", ["", SECRET])
    def test_without_a_secret_of_its_own_everything_is_forged(self, given_secret: str) -> None:
        channel = CHANNELS["telegram"](Account(1, "telegram", "main", "1:t"))
        with pytest.raises(Forged):
            channel.receive(request(b'{"update_id": 1}', given_secret))  # type: ignore[attr-defined]

    @given(
        raw=st.recursive(
            st.none() | st.booleans() | st.integers() | st.text(max_size=5) | st.just({"id": 1, "type": "private"}),
            lambda inner: (
                st.lists(inner, max_size=3)
                | st.dictionaries(
                    st.sampled_from(
                        [
                            "message",
                            "callback_query",
                            "from",
                            "chat",
                            "text",
                            "photo",
                            "date",
                            "message_id",
                            "id",
                            "data",
                            "type",
                        ]
                    ),
                    inner,
                    max_size=6,
                )
            ),
            max_leaves=15,
        )
    )
    def test_no_shape_raises(self, raw: Any) -> None:
        for shape in (raw, {"update_id": 1, "message": raw}, {"update_id": 2, "callback_query": raw}):
            check_storable(to_incoming(shape))
