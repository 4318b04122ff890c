"""Stands as `switchyard/__init__.py` before the package that a job brings along: see `shipping`.

Flink unpacks an archive into the working folder of a Python worker, and puts only `-pyfs` files on its path.
"""

# ruff: noqa: PTH109, PTH112, PTH113, PTH118, PTH120, PTH123 - before anything else is imported
import os
import sys

_LIBRARIES = os.path.join(os.getcwd(), "switchyard-libraries")
if os.path.isdir(_LIBRARIES) and _LIBRARIES not in sys.path:
    sys.path.append(_LIBRARIES)
for _folder in sys.path:
    _real = os.path.join(_folder, "switchyard", "__init__.py")
    if os.path.isfile(_real) and _real != __file__:
        __path__ = [os.path.dirname(_real)]
        __file__ = _real
        with open(_real, encoding="utf-8") as _source:
            exec(compile(_source.read(), _real, "exec"))  # noqa: S102
        break
