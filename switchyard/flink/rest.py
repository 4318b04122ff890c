"""Flink's REST API, as far as submitting, replacing and watching a job needs it."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import httpx2

from switchyard.core.errors import SwitchyardError

Outcome = TypeVar("Outcome")
ENDED = frozenset(("FINISHED", "CANCELED", "FAILED"))
TIMEOUT_S = 20.0


class FlinkError(SwitchyardError):
    """Flink is out of reach, refused a request, or a job did not do what was asked."""


@dataclass(frozen=True)
class FlinkJob:
    """`state` is Flink's: RUNNING, RESTARTING, FAILED, ..."""

    id: str
    name: str
    state: str


class Flink:
    """A cluster by its REST address, `http://host:port`. Every method raises FlinkError."""

    def __init__(self, address: str) -> None:
        self.address = (address if "://" in address else f"http://{address}").rstrip("/")
        # No connection outlives its answer, so there is nothing to close.
        self._http = httpx2.Client(
            timeout=TIMEOUT_S, follow_redirects=True, limits=httpx2.Limits(max_keepalive_connections=0)
        )

    @property
    def host_port(self) -> str:
        return self.address.partition("://")[2]

    def overview(self) -> dict[str, Any]:
        overview: dict[str, Any] = self._call("/overview")
        return overview

    def jobs(self, name: str | None = None) -> list[FlinkJob]:
        """Jobs that have not ended, those called `name` or all."""
        jobs = [FlinkJob(item["jid"], item["name"], item["state"]) for item in self._call("/jobs/overview")["jobs"]]
        return [job for job in jobs if job.state not in ENDED and name in (None, job.name)]

    def states(self) -> dict[str, str]:
        """The state of every job that the JobManager knows, ended ones included, by id."""
        return {item["jid"]: item["state"] for item in self._call("/jobs/overview")["jobs"]}

    def parameter(self, job_id: str, name: str) -> str:
        """A global parameter of a job; empty where it has none of this name."""
        config = self._call(f"/jobs/{job_id}/config").get("execution-config", {})
        return str(config.get("user-config", {}).get(name, ""))

    def running(self, job_id: str) -> bool:
        """Whether every task of the job runs. One without rows (`WHERE FALSE`) has finished, and holds nothing up."""
        job = self._call(f"/jobs/{job_id}")
        states = {vertex["status"] for vertex in job["vertices"]}
        return bool(job["state"] == "RUNNING" and "RUNNING" in states <= {"RUNNING", "FINISHED"})

    def state(self, job_id: str) -> str:
        return str(self._call(f"/jobs/{job_id}")["state"])

    def trouble(self, job_id: str) -> str | None:
        """The newest failure of a job, its innermost cause on one line; None where there was none."""
        entries = self._call(f"/jobs/{job_id}/exceptions")["exceptionHistory"]["entries"]
        return _cause(entries[0]["stacktrace"]) if entries else None

    def running_since(self, job_id: str) -> int | None:
        """When the job began to run, in milliseconds since 1970; None where it does not."""
        job = self._call(f"/jobs/{job_id}")
        return int(job["timestamps"]["RUNNING"]) if job["state"] == "RUNNING" else None

    def restarts(self, job_id: str) -> int:
        """How often Flink has started the job anew since it was submitted."""
        metrics = self._call(f"/jobs/{job_id}/metrics?get=numRestarts")
        return sum(int(item["value"]) for item in metrics)

    def gauges(self, job_id: str, names: Sequence[str]) -> dict[str, dict[str, int]]:
        """Gauges by name, `OPERATOR.GAUGE`: of each the `min`, `max`, `sum` over all subtasks.

        What no subtask has reported yet is left out. Flink gathers metrics only when it is asked for some, and answers
        at once with what it had: what is wanted new is to be asked for twice.
        """
        query = httpx2.QueryParams({"get": ",".join(names)})
        gauges = {}
        for vertex in self._call(f"/jobs/{job_id}")["vertices"]:
            for item in self._call(f"/jobs/{job_id}/vertices/{vertex['id']}/subtasks/metrics?{query}"):
                gauges[item["id"]] = {kind: int(item[kind]) for kind in ("min", "max", "sum")}
        return gauges

    def stop(self, job_id: str) -> str:
        """Stop with a savepoint; answers its path."""
        trigger = self._call(f"/jobs/{job_id}/stop", {"drain": False})["request-id"]

        def location() -> str | None:
            answer = self._call(f"/jobs/{job_id}/savepoints/{trigger}")
            if answer["status"]["id"] != "COMPLETED":
                return None
            operation = answer["operation"]
            if "location" not in operation:
                raise FlinkError(f"the savepoint failed: {_cause(operation['failure-cause']['stack-trace'])}")
            return str(operation["location"])

        path = wait_for(location, 120, "the savepoint did not complete")
        wait_for(lambda: self.state(job_id) in ENDED or None, 60, "the job did not stop")
        return path

    def cancel(self, job_id: str) -> None:
        self._call(f"/jobs/{job_id}?mode=cancel", method="PATCH")
        wait_for(lambda: self.state(job_id) in ENDED or None, 60, "the job did not stop")

    def checkpoint(self, job_id: str) -> str | None:
        """Path of the newest completed checkpoint or savepoint, else of what the job was started from."""
        latest = self._call(f"/jobs/{job_id}/checkpoints")["latest"]
        written = [latest[kind] for kind in ("completed", "savepoint") if latest.get(kind)]
        newest = max(written, key=lambda item: item["latest_ack_timestamp"], default=latest.get("restored"))
        return None if newest is None else str(newest["external_path"])

    def _call(self, path: str, body: dict[str, Any] | None = None, method: str | None = None) -> Any:
        try:
            answer = self._http.request(method or ("POST" if body else "GET"), self.address + path, json=body)
            if answer.is_success:
                return answer.json() if answer.content else {}
        except (httpx2.HTTPError, httpx2.InvalidURL, ValueError):
            raise FlinkError(
                f"no Flink answers at {self.address}; start the local stack with `switchyard up`, "
                "or say where Flink is with --flink http://HOST:PORT"
            ) from None
        raise FlinkError(f"Flink answered {answer.status_code} to {path}{_reason(answer)}")


def _reason(answer: httpx2.Response) -> str:
    """What Flink says is wrong, after a colon; empty where it says nothing."""
    try:
        errors = answer.json()["errors"]
    except (ValueError, KeyError, TypeError):
        return ""
    return f": {_cause(errors[-1])}" if errors else ""


def wait_for(look: Callable[[], Outcome | None], timeout_s: float, failed: str, pause_s: float = 0.2) -> Outcome:
    """Look until there is something; FlinkError with `failed` where there is nothing in time."""
    deadline = time.monotonic() + timeout_s
    while (outcome := look()) is None:
        if time.monotonic() > deadline:
            raise FlinkError(f"{failed} within {timeout_s:.0f} s")
        time.sleep(pause_s)
    return outcome


def _cause(trace: str) -> str:
    """The innermost cause of a Java stack trace; for a Python worker's, the last line of the Python trace."""
    lines = [line.strip() for line in trace.splitlines() if line.strip() and not line.lstrip().startswith("at ")]
    python = [
        line for line in lines[1:] if line.partition(":")[0].rsplit(".", 1)[-1].endswith(("Error", "Key", "Exception"))
    ]
    causes = [line.removeprefix("Caused by: ") for line in lines if line.startswith("Caused by: ")]
    return python_error((python or causes or lines or ["unknown"])[-1])[:500]


def python_error(cause: str) -> str:
    """A cause as Python would say it, where it is an error of Python inside the TaskManager."""
    return re.sub(r"^pemja\.core\.PythonException: <class '([\w.]+)'>: ", r"\1: ", cause)
