"""Work-around for FLINK-39532: an async function gets the arguments of another row.

The rows of a bundle share one list; by the time a coroutine reads its arguments, the list may hold the next row.
Handing each call a copy of its own mends it. Importing this module applies it, in a worker before a function is built.
Take it out when AFFECTED names no version of apache-flink that we support: tests/flink/test_flink_39532.py tells.
"""

from __future__ import annotations

from typing import Any

from pyflink.fn_execution.table.async_function.operations import AsyncScalarFunctionOperation
from pyflink.version import __version__

AFFECTED = ("2.3.0",)

_original = AsyncScalarFunctionOperation.process_element


def _process_element(self: Any, value: Any) -> None:
    _original(self, list(value))


def apply() -> None:
    if __version__ in AFFECTED:
        AsyncScalarFunctionOperation.process_element = _process_element


def revert() -> None:
    """For the test that shows what happens without it."""
    AsyncScalarFunctionOperation.process_element = _original


apply()
