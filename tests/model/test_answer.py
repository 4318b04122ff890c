"""What is taken from a model's text, and what is not."""

from __future__ import annotations

import contextlib
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from switchyard.core.model.answer import LONGEST_TEXT, MOST_OBJECTS, UnusableText, read

SCHEMA = {
    "type": "object",
    "properties": {"agent": {"enum": ["a", "b"]}, "reason": {"type": "string"}},
    "required": ["agent"],
    "additionalProperties": False,
}
A: dict[str, Any] = {"agent": "a"}


@pytest.mark.parametrize(
    "text",
    [
        '{"agent": "a"}',
        ' \n{"agent": "a"}\n',
        'Sure, here it is:\n```json\n{"agent": "a"}\n```\nAnything else?',
        '```\n{"agent": "a"}\n```',
        '<think>Is it {"agent": "b"}? No.</think>{"agent": "a"}',
        '<THINKING>{"agent": "b"}</thinking>\n\n```json\n{"agent": "a"}```',
        'I would take {"agent": "b"} ...\n</think>\n{"agent": "a"}',
        '{"agent": "a"} and once more: {"agent":"a"}',
        'For {these} and {"note": 1}: {"agent": "a"}',
        'The set {"x", "y"}, {"n": NaN}, then {"agent": "a"}',
        '{"agent": "a"}<think>{"agent": "b"}',
        '[{"agent": "a"}]',
    ],
)
def test_the_one_object_that_meets_the_schema_is_taken(text: str) -> None:
    assert read(text, SCHEMA) == A


def test_a_tag_inside_of_the_answer_is_part_of_it() -> None:
    answer = {"agent": "a", "reason": '</think>{"agent": "b"}<think>'}
    assert read(f"<think>hm</think>{json.dumps(answer)}", SCHEMA) == answer


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "empty"),
        (" \n", "empty"),
        ("none of them", "no JSON object"),
        ('"a"', "no JSON object"),
        ('{"agent": "a"', "no JSON object"),
        ('{"agent": "a", "reason": NaN}', "no JSON object"),
        ('<think>{"agent": "a"}', "no JSON object"),
        ('{"agent": "c"}', "agent: does not meet enum"),
        ('{"agent": "a", "more": 1}', "a field that the schema does not know"),
        ('{"answer": {"agent": "a"}}', "fields are missing: agent"),
        ('{"answer": {"agent": "a"}, oops}', "no JSON object"),
        ('{"agent": "a"} or {"agent": "b"}', "2 JSON objects"),
        ('<think>it says </think>{"agent": "b"}<think>, well</think>{"agent": "a"}', "2 JSON objects"),
        ("{" * (MOST_OBJECTS + 1), "opening braces"),
        ("{}" * (MOST_OBJECTS + 1), "opening braces"),
        ('{"agent":' * 20_000, "no JSON object|opening braces|longer"),
        (f'{{"agent": {"1" * 100_000}}}', "no JSON object"),
        ("x" * (LONGEST_TEXT + 1), "longer than"),
    ],
)
def test_none_or_several_is_no_answer(text: str, problem: str) -> None:
    with pytest.raises(UnusableText, match=problem):
        read(text, SCHEMA)


@given(
    st.text(alphabet='{}[]":,\\ ab<think/>\n', max_size=200), st.text(alphabet="{}[]\":,'<think/>xyz\n", max_size=200)
)
def test_nothing_around_it_raises_anything_else_or_changes_the_answer(before: str, after: str) -> None:
    with contextlib.suppress(UnusableText):
        assert read(before + json.dumps(A) + after, SCHEMA) == A
