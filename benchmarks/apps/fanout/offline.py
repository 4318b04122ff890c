"""Answers for the offline model."""

from __future__ import annotations

from typing import Any


def hawk(facts: dict[str, Any]) -> dict[str, Any]:
    return {"stance": "yes"}


def dove(facts: dict[str, Any]) -> dict[str, Any]:
    return {"stance": "no"}


def owl(facts: dict[str, Any]) -> dict[str, Any]:
    return {"stance": "yes"}
