"""Three agents that differ in their stance alone."""

from __future__ import annotations

from typing import Any

from switchyard.worker.task import Task

INSTRUCTIONS = "Say in one word what your stance on the question is."


def hawk(task: Task) -> dict[str, Any]:
    return _answer(task, "yes")


def dove(task: Task) -> dict[str, Any]:
    return _answer(task, "no")


def owl(task: Task) -> dict[str, Any]:
    return _answer(task, "yes")


def _answer(task: Task, stance: str) -> dict[str, Any]:
    if task.event.type == "quick.asked":
        return {"stance": stance}
    return task.think(INSTRUCTIONS, task.data)
