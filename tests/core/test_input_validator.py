"""What anybody may send costs no more than its size: lengths and depths have limits, and no check is quadratic."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable
from contextlib import nullcontext
from functools import partial
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from switchyard.core import strictjson
from switchyard.core.app import App
from switchyard.core.app_checks import problems_of
from switchyard.core.contract import OUTSIDE_LENGTH, Contract
from switchyard.core.deadletter import DeadLetter, Position
from switchyard.core.errors import ContractViolation, Rejected
from switchyard.core.event import Event
from switchyard.core.input_validator import MOST_GROWTH, InputValidator
from switchyard.core.ledger.record import parse_record
from switchyard.core.ledger.subject import Subject
from switchyard.core.registry import Registry
from switchyard.core.routing.records import decision
from switchyard.core.routing.single_event import refused
from switchyard.core.routing.verdict import ModelDecision, Verdict, model_usage
from switchyard.core.topics import LARGEST_EVENT, LARGEST_RECORD
from tests.core import toy

TREE = {
    "type": "record",
    "name": "tree",
    "fields": [{"name": "child", "type": ["null", "tree"], "default": None}],
}
SDR = App.load("sdr").registry
LEAD = json.loads((App.load("sdr").folder / "leads.jsonl").read_text(encoding="utf-8").splitlines()[0])


def nested(levels: int) -> dict[str, Any]:
    data: dict[str, Any] = {}
    for _ in range(levels - 1):
        data = {"child": data}
    return data


def test_depth_is_counted_in_levels() -> None:
    for text, levels in (("1", 0), ("[]", 1), ("[[],{}]", 2), ('{"a":[1,{"b":"[[["}]}', 3)):
        assert strictjson.loads_foreign(text, levels) == json.loads(text)
        if levels:
            with pytest.raises(ValueError, match=f"deeper than {levels - 1} levels"):
                strictjson.loads_foreign(text, levels - 1)


@pytest.mark.parametrize("levels", [61, 64, 65, 300, 10_000])
def test_data_that_is_too_deep_is_rejected_wherever_it_comes_from(levels: int) -> None:
    """The contract takes any depth, orjson writes 254 levels and reads 1,024."""
    text = '{"child":' * (levels - 1) + "{}" + "}" * (levels - 1)
    validator = InputValidator(toy.registry())
    envelope = '{"specversion":"1.0","id":"1","source":"s","type":"ticket.opened","workflowid":"w","data":' + text + "}"
    for read in (lambda: validator.event(envelope.encode()), lambda: validator.data("ticket.opened", text.encode())):
        with pytest.raises(Rejected) as caught:
            read()
        assert caught.value.reason in ("not-json", "contract-violation")
        assert "deeper than 6" in caught.value.message or "depth limit" in caught.value.message


def test_a_recursive_contract_takes_what_can_stand_in_an_event() -> None:
    contract = Contract.of("tree", TREE)
    contract.check(nested(60))
    event = Event.new(id="1", source="s", type="tree", workflow_id="w", data=nested(60))
    again = Event.new(id="2", source="s", type="again", workflow_id="w", data={"event": event.object()})
    assert Event.parse(again.json()).data["event"]["data"] == nested(60)
    for levels in (61, 5_000):
        with pytest.raises(ContractViolation, match="deeper than 60 levels"):
            contract.check(nested(levels))


@pytest.mark.parametrize("email", ["a@" + "." * 60_000, "a@" + "." * 240_000 + "@", "@" * 240_000, "a" * 250 + "@b.fi"])
def test_a_long_address_is_none(email: str) -> None:
    with pytest.raises(ContractViolation, match="string in email format"):
        SDR.contracts["lead.created"].check({**LEAD, "email": email})


def test_a_string_from_outside_has_a_length() -> None:
    validator = InputValidator(toy.registry())
    longest = toy.opened(1).object() | {"data": {"text": "x" * OUTSIDE_LENGTH}}
    longer = longest | {"data": {"text": "x" * (OUTSIDE_LENGTH + 1)}}
    assert validator.event(json.dumps(longest).encode()).data == longest["data"]
    with pytest.raises(
        Rejected, match=r"contract-violation: data\.text: expected at most 16384 characters, found 16385"
    ):
        validator.event(json.dumps(longer).encode())
    with pytest.raises(Rejected, match="contract-violation: text: expected at most 16384 characters"):
        validator.data("ticket.opened", json.dumps(longer["data"]).encode())
    answer = longer | {"causationid": "d"}
    assert validator.event(json.dumps(answer).encode()).data == longer["data"]


def test_keys_of_a_map_from_outside_have_a_length() -> None:
    contract = Contract.of("m", toy.record("m", more={"type": "map", "values": "int"}))
    data = {"more": {"x" * (OUTSIDE_LENGTH + 1): 1}}
    contract.check(data)
    with pytest.raises(ContractViolation, match="more: expected keys of at most"):
        contract.check(data, outside=True)


def test_what_grows_when_it_is_written_anew_is_measured_as_it_is_written() -> None:
    """`1e15` becomes `1000000000000000.0`: what fits when read might not fit into an inbox."""
    registry = toy.registry()
    schema = toy.record("n", numbers={"type": "array", "items": "double"})
    registry.contracts["ticket.opened"] = Contract.of("ticket.opened", schema)
    raw = b'{"numbers":[' + b",".join([b"1e15"] * 40_000) + b"]}"
    assert len(raw) < registry.file.limits.event_bytes
    with pytest.raises(Rejected, match="too-large"):
        InputValidator(registry).data("ticket.opened", raw)


def test_no_number_grows_more_than_is_allowed_for() -> None:
    """Every way to write one in up to five signs, and the longest that are written without an exponent."""
    signs = "-019.eE+"
    tokens = ["".join(item) for length in range(1, 6) for item in itertools.product(signs, repeat=length)]
    tokens += [f"{digits}e{power}" for digits in ("1", "9", "-1", "1.5", "12") for power in range(-30, 30)]
    tokens += ["1" * length for length in range(1, 40)]
    grown = {}
    for token in tokens:
        try:
            grown[token] = len(strictjson.dumps(strictjson.loads(token))) / len(token)
        except ValueError:
            continue
    assert max(grown.values()) == grown["1e15"] == 4.5 < MOST_GROWTH


NUMBERS = st.sampled_from(["1e15", "9E15", "-1e15", "1e-5", "0", "1.5e3", "18446744073709551616", "1e22"])
TEXTS = st.lists(st.sampled_from(["a", "\\n", '\\"', "\\u0001", "\\u00e9", "\\ud83d\\ude00", "é", "\\/", " "])).map(
    "".join
)


@settings(max_examples=300)
@given(
    st.lists(st.one_of(NUMBERS, TEXTS.map(lambda text: f'"{text}"')), max_size=60),
    st.sampled_from(["", " ", "\n"]),
    st.integers(60, 2_500),
)
def test_measuring_only_what_may_be_too_large_changes_no_verdict(items: list[str], space: str, limit: int) -> None:
    registry = toy.registry(limits={"event_bytes": 1024})
    limits = registry.file.limits.model_copy(update={"event_bytes": limit})
    registry = Registry(registry.file.model_copy(update={"limits": limits}), {}, "")
    anything: Any = type("Anything", (), {"check": lambda self, value, outside: None})()
    registry.contracts["ticket.opened"] = anything
    validator = InputValidator(registry)
    data = f"[{space}{f',{space}'.join(items)}]".encode()
    event = b'{"specversion":"1.0","id":"1","source":"s","type":"ticket.opened","workflowid":"w"'
    cases: list[tuple[bytes, Callable[[bytes], object], str]] = [
        (data, partial(validator.data, "ticket.opened"), strictjson.dumps(strictjson.loads(data))),
        *(
            (raw, validator.well_formed, Event.parse(raw).json())
            for raw in (event + b',"data":' + data + b"}", event + b"}")
        ),
    ]
    for raw, read, anew in cases:
        with (
            nullcontext() if max(len(raw), len(anew.encode())) <= limit else pytest.raises(Rejected, match="too-large")
        ):
            read(raw)


def test_a_dead_letter_is_little_larger_than_what_it_keeps() -> None:
    """The topic takes what a source takes, in base64, and 64 KiB more."""
    key, validator = "\x00" * 40_000, InputValidator(SDR)
    reads = [lambda: validator.data("lead.created", json.dumps({**LEAD, key: 1}).encode())]
    for name in ("type", "causationid", "id", key):
        raw = json.dumps(toy.opened(1).object() | {name: key}).encode()
        reads.append(partial(validator.event, raw))
    for read in reads:
        with pytest.raises(Rejected) as caught:
            read()
        letter = DeadLetter.of(caught.value, b"", Position("t", 0, 0), 1)
        assert len(letter.json()) < 32_768
        assert DeadLetter.parse(letter.json()) == letter


def test_an_event_may_not_be_larger_than_kafka_takes() -> None:
    file = toy.registry().file
    limits = file.limits.model_copy(update={"event_bytes": LARGEST_EVENT + 1})
    (problem,) = problems_of(file.model_copy(update={"limits": limits}), toy.CONTRACTS)
    assert "limits.event_bytes is 491521; write at most 491520, for Kafka's topics take records of" in str(problem)
    largest = limits.model_copy(update={"event_bytes": LARGEST_EVENT})
    assert not problems_of(file.model_copy(update={"limits": largest}), toy.CONTRACTS)


def test_the_largest_event_fits_into_the_ledger_and_into_an_inbox() -> None:
    event = toy.opened(1)
    quotes = json.loads(event.json()) | {"data": {"text": '"\\' * 200_000}}
    text = strictjson.dumps(quotes)[: LARGEST_EVENT // 2]
    verdict = Verdict("stop", "guard", "\x01" * 50_000, code="so")
    record = decision(Subject("event", "e"), "w", text * 2, Position("t", 0, 0), verdict, 1)
    assert LARGEST_EVENT < len(record.json()) < LARGEST_RECORD
    assert parse_record(record.json()) == record


@pytest.mark.parametrize("raw", [b"\x01" * 1_000_000, b"\xff" * 1_000_000, b"\xff" * 400_000, b'"' * 400_000])
def test_a_refusal_without_state_fits_into_the_ledger(raw: bytes) -> None:
    record = refused(Rejected("not-json", "so"), raw, Position("t", 0, 0), 1)
    assert len(record.json().encode()) < LARGEST_RECORD
    assert parse_record(record.json()) == record


def test_what_a_server_says_of_itself_fits_into_a_record() -> None:
    outcome = ModelDecision(("a",), "so", 1.0, "m" * 5_000, prompt_tokens=2**70, completion_tokens=-1)
    verdict = Verdict("stop", "guard", "so")
    record = decision(Subject("event", "e"), "w", "{}", Position("t", 0, 0), verdict, 1, **model_usage(outcome))
    assert parse_record(record.json()) == record
