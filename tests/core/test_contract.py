from __future__ import annotations

from typing import Any

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from switchyard.core.contract import Contract
from switchyard.core.errors import ContractViolation
from tests.core.test_event import JSON

ADDRESS = {"type": "record", "name": "address", "fields": [{"name": "town", "type": "string"}]}
SCHEMA: dict[str, Any] = {
    "type": "record",
    "name": "order",
    "fields": [
        {"name": "id", "type": "string"},
        {"name": "count", "type": "int"},
        {"name": "price", "type": "double", "doc": "in euros"},
        {"name": "paid", "type": "boolean"},
        {"name": "state", "type": {"type": "enum", "name": "state", "symbols": ["open", "done"]}},
        {"name": "tags", "type": {"type": "array", "items": "string"}},
        {"name": "more", "type": {"type": "map", "values": "long"}},
        {"name": "home", "type": ADDRESS},
        {"name": "work", "type": ["null", "address"], "default": None},
        {"name": "at", "type": {"type": "string", "format": "date-time"}},
        {"name": "mail", "type": ["null", {"type": "string", "format": "email"}], "default": None},
        {"name": "note", "type": ["null", "string"], "maxLength": 5, "default": None},
        {"name": "short", "type": {"type": "string", "maxLength": 2}, "default": ""},
    ],
}
GOOD: dict[str, Any] = {
    "id": "1",
    "count": 2,
    "price": 3,
    "paid": True,
    "state": "open",
    "tags": ["a"],
    "more": {"x": 2**40},
    "home": {"town": "Turku"},
    "at": "2026-01-31T12:00:00Z",
}
OPTIONAL: dict[str, Any] = {"work": None, "mail": None, "note": None, "short": ""}
CONTRACT = Contract.of("order.made", SCHEMA)


def test_data_that_meets_the_contract() -> None:
    CONTRACT.check(GOOD)
    CONTRACT.check({**GOOD, "work": {"town": "Oulu"}, "mail": "a@b.fi", "price": 2.5})


@pytest.mark.parametrize(
    ("change", "field", "words"),
    [
        ({"id": 1}, "id", "expected string, found integer 1"),
        ({"count": 2**31}, "count", "expected int"),
        ({"count": 2.0}, "count", "expected int"),
        ({"count": True}, "count", "found boolean"),
        ({"price": float("nan")}, "price", "expected double"),
        ({"paid": 1}, "paid", "expected boolean"),
        ({"state": "lost"}, "state", "expected one of open, done"),
        ({"tags": ["a", 2]}, "tags[1]", "expected string"),
        ({"more": {"x": "y"}}, "more.x", "expected long"),
        ({"home": {}}, "home.town", "required field is missing"),
        ({"home": {"town": "T", "zip": 1}}, "home.zip", "unknown field"),
        ({"work": {"town": 5}}, "work.town", "expected string"),
        ({"at": "now"}, "at", "date-time format"),
        ({"mail": "nobody"}, "mail", "email format"),
        ({"mail": "a@b"}, "mail", "email format"),
        ({"mail": "a@.b"}, "mail", "email format"),
        ({"mail": "a@b.c@d.e"}, "mail", "email format"),
        ({"mail": "a b@c.d"}, "mail", "email format"),
        ({"mail": "a,b@c.d"}, "mail", "email format"),
        ({"mail": '"a"@c.d'}, "mail", "email format"),
        ({"mail": "a\x00@c.d"}, "mail", "email format"),
        ({"note": "123456"}, "note", "expected at most 5 characters, found 6"),
        ({"short": "abc"}, "short", "expected at most 2 characters, found 3"),
        ({"other": 1}, "other", "unknown field"),
    ],
)
def test_a_violation_names_field_found_and_expected(change: dict[str, Any], field: str, words: str) -> None:
    with pytest.raises(ContractViolation) as caught:
        CONTRACT.check({**GOOD, **change})
    assert caught.value.field == field
    assert words in caught.value.message


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "record", "name": "r", "fields": [{"name": "a", "type": "bytes"}]},
        {"type": "record", "name": "r", "fields": [{"name": "a", "type": "float"}]},
        {"type": "record", "name": "r", "fields": [{"name": "a", "type": ["string", "null"]}]},
        {"type": "record", "name": "r", "fields": [{"name": "a", "type": {"type": "string", "format": "colour"}}]},
        {"type": "record", "name": "r", "fields": [{"name": "a", "type": "nothing"}]},
        {"type": "record", "name": "r", "fields": [{"name": "a", "type": "string", "maxLength": 0}]},
        {"type": "record", "name": "r", "fields": [{"name": "a", "type": "string", "maxLength": "9"}]},
        {"type": "record", "name": "r", "fields": [{"name": "a", "type": "int", "maxLength": 9}]},
        {"type": "array", "items": "string"},
        "string",
        7,
    ],
)
def test_schemas_outside_the_subset_are_refused(schema: Any) -> None:
    with pytest.raises(ValueError, match=r"schema|subset|record|union|format|maxLength"):
        Contract.of("x", schema)


@given(JSON)
def test_only_violations_leave_the_check(value: Any) -> None:
    assert CONTRACT.accepts(value) is False or value == GOOD


@given(st.fixed_dictionaries({**dict.fromkeys(GOOD | OPTIONAL, JSON)}))
def test_the_json_schema_accepts_what_the_contract_accepts(value: dict[str, Any]) -> None:
    if CONTRACT.accepts(value):
        jsonschema.validate(value, CONTRACT.json_schema())


def test_the_json_schema_is_in_the_form_that_strict_servers_take() -> None:
    schema = CONTRACT.json_schema()
    jsonschema.validate({**GOOD, **OPTIONAL}, schema)
    assert schema["required"] == [field["name"] for field in SCHEMA["fields"]]
    assert schema["additionalProperties"] is False
    assert schema["properties"]["note"] == {"anyOf": [{"type": "string", "maxLength": 5}, {"type": "null"}]}
    assert schema["properties"]["short"] == {"type": "string", "maxLength": 2}
    assert schema["properties"]["price"] == {"type": "number", "description": "in euros"}
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({**GOOD, **OPTIONAL, "state": "lost"}, schema)


def test_the_json_schema_of_a_type_that_holds_itself() -> None:
    fields = [{"name": "child", "type": ["null", "tree"], "default": None}, {"name": "v", "type": "int"}]
    tree = Contract.of("tree", {"type": "record", "name": "tree", "fields": fields})
    jsonschema.validate({"v": 1, "child": {"v": 2, "child": None}}, tree.json_schema())
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({"v": 1, "child": {"v": "2", "child": None}}, tree.json_schema())


@pytest.mark.parametrize("address", ["a@b.c", "a.b+c@d-e.fi", "ä@ö.fi", "=?x?=@y.zz"])
def test_addresses_that_forms_take(address: str) -> None:
    CONTRACT.check({**GOOD, "mail": address})
