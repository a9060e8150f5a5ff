"""The independent test sets of the understanding: unchanged, validly labelled, varied, and free of real people's data."""

import csv
import hashlib
import re
from collections import Counter
from itertools import combinations
from pathlib import Path

import pytest

HERE = Path(__file__).parent
COLUMNS = ["text", "intent", "leaf", "leaf2", "wants_human", "anger", "register"]
REGISTERS = {"microblog", "hotline", "chat", "long", "several", "regional", "mixed", "typos"}
INTENT_WORDS = (
    "complain complaint_status add_information urge withdraw not_resolved resolved ask_human rate ask_tariff ask_bill "
    "ask_outage ask_process appeal privacy_request report_misconduct suggest_praise affirm deny correct cancel skip "
    "greet goodbye thanks chitchat insult bot_challenge out_of_scope"
)
INTENTS = set(INTENT_WORDS.split())
LEAVES = {
    f"{top}.{leaf}"
    for top, leaves in {
        "mobile_network": "no_signal slow_data call_sms_failure",
        "broadband": "disconnection slow_speed iptv_fixed_line",
        "install_repair": "install_delay repair_delay no_resource",
        "billing": "unknown_charge data_usage roaming not_credited suspension_arrears bill_invoice",
        "vas": "unauthorized_subscription unsubscribe_failure",
        "plan_contract": "unilateral_change change_refused contract_penalty cancellation_barrier port_out_barrier "
        "price_unfair",
        "marketing": "misleading promise_not_kept forced_bundling operator_nuisance",
        "service": "attitude hard_to_reach slow_handling wrong_information channel_store_app",
        "account": "real_name_data sim_card provisioning_failure device_loyalty",
        "security": "privacy_leak harassment_spam fraud_identity",
        "other": "other",
    }.items()
    for leaf in leaves.split()
}
# file: messages at least, messages per leaf at least, messages per other intent at least
FLOORS = {
    "independent.zh.tsv": (620, 8, 8),
    "independent.en.tsv": (620, 8, 8),
    "borders.zh.tsv": (160, 0, 0),
    "borders.en.tsv": (160, 0, 0),
}
INVENTED = re.compile(r"1380013\d{4}|07700 ?900 ?\d{3}|555-?01\d\d")
LIKE_PERSONAL_DATA = re.compile(r"\d{7,}|\d{3,4}[- ]\d{3,4}[- ]?\d{3,4}|[\w.]+@[\w-]+\.\w+")


def rows(name: str) -> list[dict[str, str]]:
    with open(HERE / name, encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE))


def four_grams(text: str) -> set[str]:
    squeezed = "".join(text.lower().split())
    return {squeezed[start : start + 4] for start in range(max(1, len(squeezed) - 3))}


@pytest.mark.parametrize("name", FLOORS)
def test_a_set_is_the_one_that_was_frozen(name: str) -> None:
    lines = (HERE / "HASHES").read_text("utf-8").splitlines()
    frozen = {file: digest for digest, file in map(str.split, lines)}
    assert hashlib.sha256((HERE / name).read_bytes()).hexdigest() == frozen[name]


@pytest.mark.parametrize("name", FLOORS)
def test_columns_and_labels_are_valid(name: str) -> None:
    columns = COLUMNS + (["why"] if name.startswith("borders") else [])
    for row in rows(name):
        assert list(row) == columns and all(value is not None for value in row.values()), row
        assert row["text"].strip() and row["intent"] in INTENTS and row["register"] in REGISTERS, row
        assert row["wants_human"] in {"0", "1"} and row["anger"] in {"0", "1", "2"}, row
        assert {row["leaf"], row["leaf2"]} <= LEAVES | {""} and (row["leaf"] or not row["leaf2"]), row
        assert row["leaf"] != row["leaf2"] or not row["leaf"], row
        assert row["intent"] == "complain" or not row["leaf"], row


@pytest.mark.parametrize("name", FLOORS)
def test_every_label_is_there_often_enough(name: str) -> None:
    messages, per_leaf, per_intent = FLOORS[name]
    found = rows(name)
    leaves, intents = Counter(row["leaf"] for row in found), Counter(row["intent"] for row in found)
    assert len(found) >= messages
    assert {leaf: leaves[leaf] for leaf in LEAVES if leaves[leaf] < per_leaf} == {}
    assert {intent: intents[intent] for intent in INTENTS if intents[intent] < per_intent} == {}


@pytest.mark.parametrize("name", FLOORS)
def test_no_two_messages_are_nearly_the_same(name: str) -> None:
    grams = [(row["text"], four_grams(row["text"])) for row in rows(name)]
    near = [(a, b) for (a, x), (b, y) in combinations(grams, 2) if len(x & y) >= 0.6 * len(x | y)]
    assert near == []


@pytest.mark.parametrize("name", FLOORS)
def test_numbers_that_could_be_somebodys_are_invented(name: str) -> None:
    for row in rows(name):
        assert LIKE_PERSONAL_DATA.search(INVENTED.sub("", row["text"])) is None, row["text"]
