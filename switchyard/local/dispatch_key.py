"""The local stack's key under which its jobs prove answers (ADR 8): made once, and read by its owner alone."""

from __future__ import annotations

import secrets
from collections.abc import Mapping

from switchyard.core.data_folder import make
from switchyard.environment import variable
from switchyard.local.layout import Layout

VARIABLE = variable("dispatch_key")


def environment(layout: Layout, environ: Mapping[str, str]) -> dict[str, str]:
    """The key in the environment, else the stack's own, for the processes of the stack to inherit."""
    return {VARIABLE: environ.get(VARIABLE) or _kept(layout)}


def _kept(layout: Layout) -> str:
    path = layout.dispatch_key
    if not path.exists():
        make(layout.home, path.parent)
        path.touch(mode=0o600, exist_ok=False)
        path.write_text(secrets.token_hex(32), encoding="ascii")
    return path.read_text(encoding="ascii")
