"""What is told of a Flink job that fails."""

from __future__ import annotations

import pytest

from switchyard.deployment import submit
from switchyard.flink.rest import Flink, FlinkError

JAVA = """org.apache.flink.util.FlinkException: Global failure triggered by OperatorCoordinator
\tat org.apache.flink.runtime.Some.method(Some.java:1)
Caused by: org.apache.flink.util.FlinkRuntimeException: Failed to list subscribed topic partitions
\t... 7 more
Caused by: org.apache.kafka.common.errors.SaslAuthenticationException: Authentication failed
"""
PYTHON = """java.lang.RuntimeException: Failed to create stage bundle factory!
\tat org.apache.flink.Some.method(Some.java:1)
Caused by: java.util.concurrent.ExecutionException: Traceback (most recent call last):
  File "access.py", line 1, in read
switchyard.core.model.access.MissingKey: No key for the model
\tat org.apache.beam.Some.method(Some.java:1)
"""
THREAD = """pemja.core.PythonException: <class 'builtins.RuntimeError'>: first
\tat /srv/switchyard/flink/operator.open(operator.py:1)
Caused by: pemja.core.PythonException: <class 'switchyard.core.model.access.MissingKey'>: No key for the model
\tat pemja.core.PythonInterpreter.invokeMethod(Native Method)
"""


@pytest.mark.parametrize(
    ("trace", "told"),
    [
        (THREAD, "switchyard.core.model.access.MissingKey: No key for the model"),
        (JAVA, "Kafka refused Flink: set SWITCHYARD_KAFKA_PASSWORD where JobManager and TaskManagers start"),
        (PYTHON, "switchyard.core.model.access.MissingKey: No key for the model"),
    ],
)
def test_the_innermost_cause_is_told(trace: str, told: str, monkeypatch: pytest.MonkeyPatch) -> None:
    answer = {"exceptionHistory": {"entries": [{"stacktrace": trace}]}}
    flink = Flink("127.0.0.1:1")
    monkeypatch.setattr(flink, "_call", lambda path: answer)
    assert str(submit._trouble(flink, "job")).startswith(told)


@pytest.mark.parametrize("state", ["FAILED", "RESTARTING"])
def test_a_job_that_fails_names_the_log_that_tells_more(state: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(submit, "RESTARTS_S", -1.0)
    flink = Flink("127.0.0.1:1")
    monkeypatch.setattr(flink, "state", lambda job_id: state)
    monkeypatch.setattr(flink, "trouble", lambda job_id: "it broke")
    monkeypatch.setattr(flink, "cancel", lambda job_id: None)
    with pytest.raises(FlinkError, match=r"it broke \(more in /log/flink-taskmanager\.log\)"):
        submit._wait_running(flink, "job", " (more in /log/flink-taskmanager.log)")
