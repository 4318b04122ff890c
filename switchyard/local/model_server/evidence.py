"""What an event says that can be held against descriptions: clues, each with a weight."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from switchyard.local.model_server.words import words

SYMBOL, SHORT, TYPE, FREE = 10.0, 2.0, 1.0, 0.2
_SHORT_WORDS = 3
_FREE_WORDS = 40


@dataclass(frozen=True)
class Clue:
    """Words from one place of an event.

    A symbol is the value of an enum (or a boolean, whose word is its field): `others` are the symbols it
    might have been, `holds` is False for a boolean that is false. Only symbols can end a workflow.
    """

    field: str
    value: str
    words: tuple[str, ...]
    weight: float
    is_symbol: bool = False
    others: tuple[tuple[str, ...], ...] = ()
    holds: bool = True


def clues(event_type: str, data: Any, contract: Any) -> list[Clue]:
    """All clues of an event, by its Avro contract where there is one."""
    evidence = [Clue("type", event_type, tuple(words(event_type)), TYPE)]
    evidence.extend(clue for clue in _walk("", data, contract, {}) if clue.words)
    return evidence


def _walk(field: str, value: Any, schema: Any, definitions: dict[str, Any]) -> Iterator[Clue]:
    schema = _resolve(schema, value, definitions)
    if isinstance(value, bool):
        yield Clue(field, str(value).lower(), tuple(words(field)), SYMBOL, True, (), value)
    elif isinstance(value, str):
        yield _of_text(field, value, schema)
    elif isinstance(value, Mapping):
        fields = {f.get("name"): f.get("type") for f in _dicts(schema.get("fields"))}
        for name, inner in value.items():
            yield from _walk(str(name), inner, fields.get(name, schema.get("values")), definitions)
    elif isinstance(value, list):
        for inner in value:
            for clue in _walk(field, inner, schema.get("items"), definitions):
                yield clue if clue.is_symbol else replace(clue, weight=clue.weight / len(value))


def _of_text(field: str, value: str, schema: Mapping[str, Any]) -> Clue:
    value_words = tuple(words(value))
    symbols = schema.get("symbols")
    if schema.get("type") == "enum" and isinstance(symbols, list) and value in symbols:
        others = tuple(tuple(words(str(symbol))) for symbol in symbols if symbol != value)
        return Clue(field, value, value_words, SYMBOL, True, others)
    if len(value_words) <= _SHORT_WORDS:
        return Clue(field, value, value_words, SHORT)
    return Clue(field, value, value_words[:_FREE_WORDS], FREE)


def _resolve(schema: Any, value: Any, definitions: dict[str, Any]) -> Mapping[str, Any]:
    """The branch of `schema` that describes `value`, as a mapping; empty where nothing is known."""
    if isinstance(schema, list):
        branches = [_resolve(branch, value, definitions) for branch in schema if branch != "null"]
        of_value = [branch for branch in branches if value in _list(branch.get("symbols"))]
        return next(iter(of_value or branches), {})
    if isinstance(schema, str):
        definition = definitions.get(schema.rsplit(".", 1)[-1], {})
        return definition if isinstance(definition, Mapping) else {}
    if not isinstance(schema, Mapping):
        return {}
    if isinstance(schema.get("type"), Mapping | list):
        return _resolve(schema["type"], value, definitions)
    if isinstance(schema.get("name"), str):
        definitions[schema["name"].rsplit(".", 1)[-1]] = schema
    return schema


def _dicts(value: Any) -> list[Mapping[str, Any]]:
    return [item for item in _list(value) if isinstance(item, Mapping)]


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []
