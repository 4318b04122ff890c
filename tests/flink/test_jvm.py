"""How the JVM of a process that plans or runs a job itself is started."""

from __future__ import annotations

import os

import pytest

from switchyard.flink.jvm import QUICK_START, gateway


def test_it_starts_quickly_unless_somebody_says_how(monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[str] = []
    monkeypatch.setattr("pyflink.java_gateway.get_gateway", lambda: started.append(os.environ["JVM_ARGS"]))
    monkeypatch.setenv("JVM_ARGS", "-Xmx1g")
    gateway()
    monkeypatch.delenv("JVM_ARGS")
    gateway()
    assert started == ["-Xmx1g", " ".join(QUICK_START)]
