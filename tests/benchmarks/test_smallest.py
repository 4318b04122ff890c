"""Every benchmark at its smallest: that it comes to its end, and that its figures are there. None is looked at."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import fields

import pytest

from benchmarks.__main__ import BENCHMARKS
from benchmarks.figures import Figures, Hang, Rate, State, Workflows
from benchmarks.passages import FanOut
from benchmarks.ways import RULE_WAYS, WAYS
from switchyard.core.bundled import ROOT

WANTED = {
    "inference": dict.fromkeys(WAYS, Figures),
    "rules": dict.fromkeys(RULE_WAYS, Rate),
    "hang": Hang,
    "state": State,
    "workflows": Workflows,
    "fanout": FanOut,
}


@pytest.mark.e2e
@pytest.mark.own_stack
def test_every_benchmark_comes_to_its_end() -> None:
    command = [sys.executable, "-m", "benchmarks", "all", "--smallest", "--json"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    results = json.loads(done.stdout.splitlines()[-1])
    assert results.keys() == WANTED.keys() == BENCHMARKS.keys()
    for name, kind in WANTED.items():
        found = results[name]
        for way, one in kind.items() if isinstance(kind, dict) else [(None, kind)]:
            figures = found if way is None else found[way]
            assert figures.keys() == {item.name for item in fields(one)}, name
            assert all(isinstance(value, int | float) for value in figures.values()), name
