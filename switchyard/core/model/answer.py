"""A model's text, read as models write it: the one JSON object in it that meets a schema, or what is wrong."""

from __future__ import annotations

import json
import re
from typing import Any

from jsonschema import Draft202012Validator  # type: ignore[import-untyped]
from jsonschema.exceptions import best_match  # type: ignore[import-untyped]

from switchyard.core import strictjson

LONGEST_TEXT = 128 * 1024
"""Characters of a text that is read: several times what `max_tokens` allows."""

MOST_OBJECTS = 200
"""How many beginnings of an object are tried."""

_LONGEST_EXPECTATION = 400
_LONGEST_SHOWN = 4000
_MARK = re.compile(r"\{|</?think(?:ing)?>", re.IGNORECASE)
_OBJECT = json.JSONDecoder(parse_int=str, parse_float=str)
"""Finds where an object ends; numbers stay text, for the conversion of a long one is slow."""


class UnusableText(ValueError):
    """The text does not hold one object that can be used; its own text says why."""


def read(text: str, schema: dict[str, Any]) -> Any:
    """The one JSON object in `text` that meets `schema`, whatever stands around it.

    Thinking (`<think>…</think>`) is left out; the same object twice is one. Raises UnusableText where there is none,
    or several. Takes time in proportion to the length of the text, which is bounded.
    """
    if not text.strip():
        raise UnusableText("the answer is empty")
    if len(text) > LONGEST_TEXT:
        raise UnusableText(f"the answer is longer than {LONGEST_TEXT} characters")
    problem = "the answer holds no JSON object"
    usable: dict[bytes, Any] = {}
    for value in _objects(text):
        wrong = violation(value, schema)
        if wrong is None:
            usable[strictjson.canonical(value)] = value
        else:
            problem = wrong
    if not usable:
        raise UnusableText(problem)
    if len(usable) > 1:
        raise UnusableText(f"the answer holds {len(usable)} JSON objects, of which it must be clear which one is meant")
    return next(iter(usable.values()))


def _objects(text: str) -> list[Any]:
    """The JSON objects in a text that stand in no other and in no thinking. Raises UnusableText past `MOST_OBJECTS`.

    Where a server keeps the opening tag to itself, all before the first closing one is thinking. What begins like an
    object and is none is passed over as far as it could be read, so that no part of it is taken for an answer.
    """
    found: list[Any] = []
    at = begun = 0
    thinking, tagged = False, False
    while (mark := _MARK.search(text, at)) is not None:
        at = mark.end()
        if mark[0] != "{":
            thinking = mark[0][1] != "/"
            if not thinking and not tagged:
                found.clear()
            tagged = True
        elif not thinking:
            begun += 1
            if begun > MOST_OBJECTS:
                raise UnusableText(f"the answer holds more than {MOST_OBJECTS} opening braces")
            objects, at = _object(text, mark.start())
            found += objects
    return found


def _object(text: str, start: int) -> tuple[list[Any], int]:
    """The object that begins at `start`, in a list, or none; and where to look on."""
    try:
        _, end = _OBJECT.raw_decode(text, start)
    except json.JSONDecodeError as error:
        return [], max(error.pos, start + 1)
    except RecursionError:
        return [], len(text)
    try:
        return [strictjson.loads(text[start:end])], end
    except ValueError:
        return [], end


def violation(value: Any, schema: dict[str, Any]) -> str | None:
    """The most telling way in which `value` breaks `schema`, in our own words; None if it does not."""
    error = best_match(Draft202012Validator(schema).iter_errors(value))
    if error is None:
        return None
    where = ".".join(str(part) for part in error.absolute_path) or "the answer"
    expected = json.dumps(error.validator_value, ensure_ascii=False)
    if len(expected) > _LONGEST_EXPECTATION:
        expected = expected[:_LONGEST_EXPECTATION] + " ..."
    if error.validator == "required":
        missing = [field for field in error.validator_value if field not in error.instance]
        return f"{where}: fields are missing: {', '.join(missing)}"
    if error.validator == "additionalProperties" and error.validator_value is False:
        return f"{where}: has a field that the schema does not know"
    return f"{where}: does not meet {error.validator} {expected}"


def with_schema_in_prompt(messages: list[dict[str, str]], schema: dict[str, Any]) -> list[dict[str, str]]:
    """The same messages for a server that does not pass the schema on: it stands in the system message."""
    stated = (
        "Answer with one JSON object and nothing else: no explanation, no Markdown. "
        f"It must meet this JSON schema:\n{json.dumps(schema, ensure_ascii=False)}"
    )
    if messages and messages[0].get("role") == "system":
        first = {**messages[0], "content": f"{messages[0]['content']}\n\n{stated}"}
        return [first, *messages[1:]]
    return [{"role": "system", "content": stated}, *messages]


def correction(answer: str, problem: str) -> list[dict[str, str]]:
    """The messages that show a model its answer, as far as need be, and what is wrong with it."""
    return [
        {"role": "assistant", "content": answer[:_LONGEST_SHOWN]},
        {
            "role": "user",
            "content": f"That answer cannot be used: {problem}. Answer again, with the corrected JSON alone.",
        },
    ]
