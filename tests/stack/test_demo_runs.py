"""Which demos run, and which have ended."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

from switchyard.local.demo_runs import DemoRuns
from switchyard.local.layout import Layout

HOLD = """
import sys
from pathlib import Path
from switchyard.local.demo_runs import DemoRuns
from switchyard.local.layout import Layout
with DemoRuns(Layout(Path(sys.argv[1]))).running("sdr-1"):
    print("runs", flush=True)
    sys.stdin.read()
"""


def test_a_demo_runs_until_its_process_ends(tmp_path: Path) -> None:
    layout = Layout(tmp_path / "home")
    runs = DemoRuns(layout)
    assert runs.active() == runs.ended() == []
    command = [sys.executable, "-c", HOLD, str(layout.home)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"runs\n"
        assert (runs.active(), runs.ended()) == (["sdr-1"], [])
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert (runs.active(), runs.ended()) == ([], ["sdr-1"])
    runs.forget("sdr-1")
    assert runs.ended() == []
    with runs.running("sdr-2"):
        assert runs.active() == ["sdr-2"]
    assert runs.ended() == ["sdr-2"]
