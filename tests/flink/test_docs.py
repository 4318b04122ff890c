"""The example in docs/testing.md is true."""

from __future__ import annotations

import inspect
import re
from typing import Any

import pytest

from switchyard.core.bundled import ROOT

pytestmark = pytest.mark.flink

[CODE] = re.findall(r"```python\n(.*?)```", (ROOT / "docs" / "testing.md").read_text(encoding="utf-8"), re.S)
NAMES = re.findall(r"^def (test_\w+)", CODE, re.M)


@pytest.mark.parametrize("name", NAMES)
def test_the_example(name: str, request: pytest.FixtureRequest) -> None:
    space: dict[str, Any] = {}
    exec(CODE, space)
    test = space[name]
    test(**{fixture: request.getfixturevalue(fixture) for fixture in inspect.signature(test).parameters})
