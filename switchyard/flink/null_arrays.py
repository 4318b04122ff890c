"""Work-around for a fault of PyFlink's thread mode: an argument that is a null array ends the job.

`'NoneType' object is not iterable`, from the converter of arrays in `pyflink/fn_execution/embedded/converters.py`,
which all others of that file do not have. Importing this module mends it where thread mode runs. A function that
answers a null array ends the job as well, in Java (`PythonTypeUtils`), which cannot be mended here.
Take it out when AFFECTED names no version of apache-flink that we support: tests/flink/test_modes.py tells.
"""

from __future__ import annotations

from typing import Any

from pyflink.version import __version__

AFFECTED = ("2.3.0",)


def apply(undo: bool = False) -> None:
    """Where Python does not run in a JVM, the converters cannot be imported, nor are they used.

    `undo` is for the test that shows what happens without it.
    """
    try:
        from pyflink.fn_execution.embedded.converters import ArrayDataConverter
    except ImportError:
        return
    if __version__ in AFFECTED:
        plain = getattr(ArrayDataConverter.to_internal, "plain", ArrayDataConverter.to_internal)
        ArrayDataConverter.to_internal = plain if undo else _keeping_none(plain)


def _keeping_none(plain: Any) -> Any:
    def convert(self: Any, value: Any) -> Any:
        return None if value is None else plain(self, value)

    convert.plain = plain  # type: ignore[attr-defined]
    return convert


apply()
