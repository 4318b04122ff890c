"""Values for a prompt, cut to a size: what is left out leaves a mark, so that a model knows."""

from __future__ import annotations

from typing import Any

from switchyard.core import strictjson

_STEPS = ((2, 1_000), (8, 200), (32, 50), (128, 20), (512, 10))
"""The longest text, as a part of the room, and the most items of a list or an object: each step is tried where the one
before it is not enough."""


def size(value: Any) -> int:
    """Bytes of a value as JSON."""
    return len(strictjson.canonical(value))


def cut(value: Any, room: int) -> Any:
    """The value, or as much of it as `room` bytes of JSON hold: long texts lose their end, and so do long lists."""
    whole = size(value)
    if whole <= room:
        return value
    for part, most in _STEPS:
        shorter = _shorter(value, room // part, most)
        if size(shorter) <= room:
            return shorter
    return f"(left out: {whole} bytes)"


def cut_text(text: str, longest: int) -> str:
    """A text of at most `longest` bytes before the mark."""
    raw = text.encode()
    if len(raw) <= longest:
        return text
    return f"{raw[:longest].decode(errors='ignore')}… (cut: {len(raw)} bytes)"


def _shorter(value: Any, longest: int, most: int) -> Any:
    if isinstance(value, str):
        return cut_text(value, longest)
    if isinstance(value, list):
        rest = [f"(left out: {len(value) - most} more)"] if len(value) > most else []
        return [_shorter(item, longest, most) for item in value[:most]] + rest
    if isinstance(value, dict):
        rest_of = {"…": f"(left out: {len(value) - most} more)"} if len(value) > most else {}
        kept = list(value.items())[:most]
        return {cut_text(name, longest): _shorter(item, longest, most) for name, item in kept} | rest_of
    return value
