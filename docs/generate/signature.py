"""How a public class or function is called."""

from __future__ import annotations

import inspect
from typing import Any

LONGEST = 100


def code(text: str) -> str:
    return f"```python\n{text}\n```"


def signature(name: str, thing: Any) -> str:
    """The call with its parameters, types and defaults, on lines of at most 100 characters where that is possible."""
    if inspect.isclass(thing) and thing.__init__ is Exception.__init__:
        return f"{name}(message)"
    called = inspect.signature(thing)
    parameters = [item for key, item in called.parameters.items() if key != "self" and not key.startswith("_")]
    written = _stars([_parameter(item) for item in parameters], parameters)
    returned = "" if inspect.isclass(thing) or not called.return_annotation else f" -> {called.return_annotation}"
    text = f"{name}({', '.join(written)}){returned}"
    if len(text) <= LONGEST:
        return text
    inside = "".join(f"    {item},\n" for item in written)
    return f"{name}(\n{inside}){returned}"


def _parameter(parameter: inspect.Parameter) -> str:
    stars = {inspect.Parameter.VAR_POSITIONAL.value: "*", inspect.Parameter.VAR_KEYWORD.value: "**"}
    text = stars.get(parameter.kind.value, "") + parameter.name
    if parameter.annotation is not inspect.Parameter.empty:
        annotation = parameter.annotation
        text += f": {annotation if isinstance(annotation, str) else inspect.formatannotation(annotation)}"
    if parameter.default is inspect.Parameter.empty:
        return text
    made = repr(parameter.default) == "<factory>"
    return f"{text} = {'...' if made else repr(parameter.default)}"


def _stars(written: list[str], parameters: list[inspect.Parameter]) -> list[str]:
    """With `*` before the parameters that are given by name only."""
    kinds = [parameter.kind for parameter in parameters]
    if inspect.Parameter.VAR_POSITIONAL in kinds or inspect.Parameter.KEYWORD_ONLY not in kinds:
        return written
    place = kinds.index(inspect.Parameter.KEYWORD_ONLY)
    return [*written[:place], "*", *written[place:]]
