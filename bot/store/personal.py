"""Where personal data can be: the one list that erasing, exporting, retention and the canary tests read.

A column that can hold what people wrote is listed here with how it is found; `IMPERSONAL` names those that look
as if they could and cannot. A test compares both with the tables.
"""

from collections.abc import Mapping

# table -> columns with free text, names, numbers or files of a person
PERSONAL: Mapping[str, frozenset[str]] = {
    "identity": frozenset({"external_id"}),
    "personal_value": frozenset({"sealed", "lookup"}),
    "inbox": frozenset({"text", "raw", "event_key"}),
    "attachment": frozenset({"channel_ref", "name"}),
    "blob": frozenset({"sha256"}),
    "blob_chunk": frozenset({"content"}),
    "turn": frozenset({"text"}),
    "conversation": frozenset({"dialogue", "question"}),
    "outbox": frozenset({"text", "args"}),
    "complaint": frozenset({"fields", "receipt_code_hash"}),
    "desk_action": frozenset({"args"}),
    "rating": frozenset({"reason"}),
    "local_ticket": frozenset({"summary"}),
    "local_entry": frozenset({"note"}),
    "webchat_session": frozenset({"visitor", "token_hash"}),
}

# Columns of free form that hold our own words only: labels, ids, settings, people at work.
IMPERSONAL: Mapping[str, frozenset[str]] = {
    "app_user": frozenset({"password_hash"}),
    "audit": frozenset({"refs"}),
    "channel_account": frozenset({"settings", "secret", "previous_secret"}),
    "cursor": frozenset({"position"}),
    "fact": frozenset({"refs"}),
    "outbox": frozenset({"buttons"}),
}
