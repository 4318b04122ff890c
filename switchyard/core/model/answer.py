"""A model's text, read strictly: one JSON value that meets a schema, or a sentence on what is wrong."""

import json
import re
from typing import Any

from jsonschema import Draft202012Validator  # type: ignore[import-untyped]
from jsonschema.exceptions import best_match  # type: ignore[import-untyped]

from switchyard.core import strictjson

_FENCE = re.compile(r"\s*```json[ \t]*\n(.*)\n[ \t]*```\s*", re.DOTALL)
_LONGEST_EXPECTATION = 400


class UnusableText(ValueError):
    """The text is not one JSON value."""


def parse(text: str) -> Any:
    """Read `text` as JSON, bare or inside a single ```json fence.

    Raises UnusableText for anything else, NaN and infinities included.
    """
    if not text.strip():
        raise UnusableText("the answer is empty")
    fenced = _FENCE.fullmatch(text)
    try:
        return strictjson.loads(fenced.group(1) if fenced else text)
    except ValueError:
        pass
    raise UnusableText("the answer is not one JSON value without any text around it")


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
    """The same messages for a server without response_format: the schema stands in the system message."""
    stated = (
        "Answer with one JSON object and nothing else: no explanation, no Markdown. "
        f"It must meet this JSON schema:\n{json.dumps(schema, ensure_ascii=False)}"
    )
    if messages and messages[0].get("role") == "system":
        first = {**messages[0], "content": f"{messages[0]['content']}\n\n{stated}"}
        return [first, *messages[1:]]
    return [{"role": "system", "content": stated}, *messages]


def correction(answer: str, problem: str) -> list[dict[str, str]]:
    """The messages that show a model its answer and what is wrong with it."""
    return [
        {"role": "assistant", "content": answer},
        {
            "role": "user",
            "content": f"That answer cannot be used: {problem}. Answer again, with the corrected JSON alone.",
        },
    ]
