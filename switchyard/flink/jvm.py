"""The JVM that PyFlink starts for a process which plans or runs a job itself."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from py4j.java_gateway import JavaGateway

QUICK_START = ("-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-Xshare:auto")
"""For a JVM that lives too short to earn back what it compiles twice."""


def gateway() -> JavaGateway:
    """The way to the process's JVM, which the first call starts, with JVM_ARGS as options where these are set."""
    from pyflink.java_gateway import get_gateway

    os.environ.setdefault("JVM_ARGS", " ".join(QUICK_START))
    return get_gateway()
