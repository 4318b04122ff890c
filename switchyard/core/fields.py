"""Types of the fields of what stands in topics: nothing is converted when it is read, and nothing is without a limit.

A dataclass says them as its annotations; `reader` makes the function that checks a parsed JSON object by them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any, TypeVar

from pydantic import Field, Strict, TypeAdapter, ValidationError

LARGEST_INT = 2**31 - 1
"""Of SQL's INT, and of an integer in CloudEvents."""
LATEST = 253_370_764_800_000
"""Milliseconds since 1970 until the year 9999, which every calendar here still knows."""
LONGEST_NAME = 256
"""Characters."""

T = TypeVar("T")

Text = Annotated[str, Strict()]
Name = Annotated[str, Strict(), Field(max_length=LONGEST_NAME)]
Id = Annotated[Name, Field(pattern=r"^[^\x00-\x1f\x7f]*$")]
Names = tuple[Name, ...]
Count = Annotated[int, Strict(), Field(ge=0, le=LARGEST_INT)]
Partition = Annotated[int, Strict(), Field(ge=-1, le=LARGEST_INT)]
Offset = Annotated[int, Strict(), Field(ge=-1, le=2**63 - 1)]
BigInt = Annotated[int, Strict(), Field(ge=-(2**63), le=2**63 - 1)]
Millis = Annotated[int, Strict(), Field(ge=0, le=LATEST)]
Amount = Annotated[float, Strict(), Field(ge=0, le=1e15)]
Share = Annotated[float, Strict(), Field(ge=0, le=1)]


def reader(form: type[T]) -> Callable[[Any], T]:
    """The function from a parsed JSON value to a `form`, which ignores unknown fields.

    It raises ValueError with the field and what is wrong; a ValidationError in its `__cause__` has all of it.
    """
    adapter: TypeAdapter[T] = TypeAdapter(form)

    def read(value: Any) -> T:
        if not isinstance(value, dict):
            raise ValueError("it is no JSON object")
        try:
            return adapter.validate_python(value)
        except ValidationError as error:
            first = error.errors(include_url=False, include_input=False, include_context=False)[0]
            where = ".".join(map(str, first["loc"]))
            raise ValueError(f"field {where!r:.80}: {first['msg']:.200}") from error

    return read
