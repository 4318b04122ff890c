"""Jars are those that Switchyard pins, or none."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from switchyard.local import jars
from switchyard.local.errors import StackError


@pytest.fixture
def fetched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder for the jars, and a Maven that brings a copy of the pinned ones into it."""
    there = jars.folder()
    jars.fetch(lambda line: None)
    maven = tmp_path / "bin" / "mvn"
    maven.parent.mkdir()
    maven.write_text(
        f'#!/bin/sh\ncase "$*" in *--strict-checksums*) ;; *) exit 1 ;; esac\n'
        f'cp -r "{there / "kafka"}" "{there / "flink"}" "{tmp_path / "jars"}"\n'
        f'if [ -e "{tmp_path / "other"}" ]; then echo other > "{tmp_path / "jars"}/kafka/kafka-clients-4.1.0.jar"; fi\n'
    )
    maven.chmod(0o755)
    monkeypatch.setenv("PATH", str(maven.parent), prepend=":")
    monkeypatch.setattr(jars, "folder", lambda: tmp_path / "jars")
    return tmp_path


def test_the_pinned_jars_are_taken(fetched: Path) -> None:
    assert len(jars.jars("kafka")) > 20
    assert shutil.which("mvn") == str(fetched / "bin" / "mvn")


def test_another_jar_is_refused_by_name(fetched: Path) -> None:
    (fetched / "other").touch()
    for _ in range(2):
        with pytest.raises(StackError, match=r"is not what \S+jars.sha256 pins: kafka/kafka-clients-4.1.0.jar\."):
            jars.jars("kafka")
