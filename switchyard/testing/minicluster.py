"""An app's job on a Flink mini-cluster inside this process, with folders for topics.

The same SQL and operator as in production; only the tables are others (`sql/tables/files.sql`).
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import urlsplit

from switchyard.core import strictjson
from switchyard.core.app import App
from switchyard.core.errors import SwitchyardError
from switchyard.core.event import Event
from switchyard.core.job_config import JobConfig
from switchyard.core.settings import PythonMode, Settings
from switchyard.core.topics import Topics, table_name
from switchyard.environment import read_settings
from switchyard.testing.folders import WATCHED, WRITTEN, Sink, Source, options
from switchyard.testing.process_state import ProcessState, hush_ended_channels

if TYPE_CHECKING:
    from pyflink.table import StatementSet, StreamTableEnvironment

SINKS = (
    "agent_messages",
    "routing_decisions",
    "agent_inboxes",
    "workflow_status",
    "dead_letters",
    "operator_audit",
    "control",
)

FLINK = {
    "execution.checkpointing.interval": "1 h",
    "state.backend.type": "hashmap",
    "restart-strategy.type": "disable",
    "rest.port": "0",
    "taskmanager.numberOfTaskSlots": "1",
    "taskmanager.memory.network.min": "32 mb",
    "taskmanager.memory.network.max": "32 mb",
}


class JobFailed(SwitchyardError):
    """The job under test failed; the text is Flink's innermost reason."""


@dataclass(frozen=True)
class Output:
    """One record that the job wrote; `topic` without the namespace, `inbox` of a dispatch with it."""

    topic: str
    value: bytes
    key: bytes | None
    inbox: str | None

    @property
    def agent(self) -> str:
        """The agent that a dispatch is for."""
        return str(self.inbox).rpartition(".agent.")[2]


Answer = Callable[[str, Event], Iterable[Event]]


@dataclass
class MiniCluster:
    """One app's job. `model_base_url` is a model server on this machine.

    `own_sinks`: the app's sinks.sql runs, too. It does not unless asked for, so that no test writes to a database.
    `python_mode`: "process" runs the app's functions in this process, where a test sees them; "thread" in Flink's JVM.

    with MiniCluster(app, folder, server.base_url) as job:
        job.publish("agent-messages", event.json().encode())
        outputs = job.until(lambda written: any(output.topic == "agent-inboxes" for output in written))
    """

    app: App
    folder: Path
    model_base_url: str
    namespace: str = ""
    settings: Settings = field(default_factory=lambda: read_settings(shards=4, parallelism=1))
    flink: Mapping[str, str] = field(default_factory=dict)
    own_sinks: bool = False
    python_mode: PythonMode = "process"

    def __post_init__(self) -> None:
        self.namespace = self.namespace or self.app.name
        self.inputs = [item.topic for item in self.app.registry.file.inputs]
        folders = {topic: f"{table_name(topic)}_topic" for topic in self.inputs}
        folders |= {"agent-messages": "agent_messages", "routing-decisions": "routing_decisions", "control": "control"}
        self._sources = {topic: Source(self.folder / name) for topic, name in folders.items()}
        self._results = {item.result for item in self.app.registry.file.gathers}
        self._sinks = {name: Sink(self.folder / name) for name in SINKS}
        self._client: Any = None
        self._process_state = ProcessState()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        self.stop()

    def start(self, savepoint: Path | None = None) -> None:
        """Plan and run the job. Raises SqlError for a statement that does not plan."""
        self._process_state = ProcessState()
        hush_ended_channels()
        _, statements = self.plan(savepoint)
        self._client = statements.execute().get_job_client()

    def plan(self, savepoint: Path | None = None) -> tuple[StreamTableEnvironment, StatementSet]:
        """The job, ready to execute. Raises SqlError."""
        from switchyard.flink import job
        from switchyard.flink.tables import TABLES, Loader

        config = JobConfig.of(
            self.app.registry,
            self.namespace,
            self.settings,
            sql_version=job.sql_version(self.app),
            model_base_url=self.model_base_url,
            model="scripted",
            embedded=True,
        )
        topics = Topics(self.namespace)
        values = {
            "folder": str(self.folder),
            "watched": options(WATCHED),
            "written": options(WRITTEN),
            "agent_messages": topics.agent_messages,
            "routing_decisions": topics.routing_decisions,
            "control": topics.control,
        }

        def create_tables(loader: Loader) -> None:
            for source in self._sources.values():
                source.folder.mkdir(parents=True, exist_ok=True)
            loader.load(TABLES / "files.sql", values)
            for topic in self.inputs:
                table = {"table": table_name(topic), "topic": topics.named(topic)}
                loader.load(TABLES / "files_input.sql", {**values, **table})

        flink = {**FLINK, "python.execution-mode": self.python_mode, "python.executable": sys.executable, **self.flink}
        if savepoint is not None:
            flink["execution.state-recovery.path"] = savepoint.as_uri()
        environment = job.environment(f"test {self.namespace}", config, 1, **flink)
        statements = job.build_job(self.app, config, environment, create_tables, self.own_sinks)
        return environment, statements

    def publish(self, topic: str, value: bytes, key: bytes | None = None) -> int:
        """Append a record to a topic that the job reads, named without the namespace; its offset."""
        return self._sources[topic].append(value, key)

    def poll(self) -> list[Output]:
        """What the job wrote since the last call.

        The ledger and the control topic are read back, and so are the results of gathers; what SQL adds to
        agent-messages is not.

        Raises JobFailed.
        """
        outputs = []
        for table, sink in self._sinks.items():
            for row in sink.rows():
                outputs.append(Output(table.replace("_", "-"), row["value"], row["key"], row.get("topic")))
                if table in ("routing_decisions", "control"):
                    self.publish(table.replace("_", "-"), row["value"], row["key"])
                elif table == "agent_messages" and strictjson.loads(row["value"])["type"] in self._results:
                    self.publish("agent-messages", row["value"], row["key"])
        self._process_state.restore_logger()
        if not outputs:
            self._check()
        return outputs

    def until(
        self, condition: Callable[[list[Output]], bool], answer: Answer | None = None, timeout_s: float = 60.0
    ) -> list[Output]:
        """Poll until `condition` holds for all outputs of this call; what SQL adds to agent-messages goes on.

        `answer(agent, event)` gives the events that an agent answers. Raises JobFailed, TimeoutError.
        """
        outputs: list[Output] = []
        give_up = time.monotonic() + timeout_s
        while not condition(outputs):
            if time.monotonic() > give_up:
                raise TimeoutError(f"after {timeout_s:.0f} s: {[output.topic for output in outputs]}")
            time.sleep(0.01)
            for output in self.poll():
                outputs.append(output)
                if output.topic == "agent-messages":
                    self.publish(output.topic, output.value, output.key)
                elif output.topic == "agent-inboxes" and answer is not None:
                    for event in answer(output.agent, Event.parse(output.value)):
                        self.publish("agent-messages", event.json().encode(), event.workflow_id.encode())
        return outputs

    def stop_with_savepoint(self) -> Path:
        """Stop; the savepoint's folder, to start from."""
        from switchyard.flink.jvm import gateway

        # PyFlink's own method lacks the argument for the format that Flink's has.
        canonical = gateway().jvm.org.apache.flink.core.execution.SavepointFormatType.CANONICAL
        stopping = self._client._j_job_client.stopWithSavepoint(False, str(self.folder / "savepoints"), canonical)
        path = Path(urlsplit(str(stopping.get())).path)
        self._client = None
        self._process_state.restore()
        return path

    def stop(self) -> None:
        """Cancel the job, if it runs."""
        if self._client is not None:
            self._client.cancel().result()
            self._client = None
        self._process_state.restore()

    def _check(self) -> None:
        from py4j.protocol import Py4JJavaError
        from pyflink.util.exceptions import JavaException

        from switchyard.flink.tables import first_cause

        try:
            if self._client.get_job_status().result().name not in ("FAILED", "FAILING", "FINISHED", "CANCELED"):
                return
            ended, self._client = self._client, None
            ended.get_job_execution_result().result()
        except (Py4JJavaError, JavaException) as error:
            self._client = None
            raise JobFailed(f"the job failed: {first_cause(error)}") from None
        raise JobFailed("the job has ended by itself")
