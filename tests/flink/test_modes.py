"""The job with Python in the TaskManager (thread mode) and beside it (process mode): the same, and what thread mode
needs. Where a work-around's test fails, a release of apache-flink may have the fix: see the module that it names.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import cloudpickle
import pytest
from pyflink.common import Configuration, Types
from pyflink.datastream import KeyedProcessFunction, StreamExecutionEnvironment
from pyflink.fn_execution.coders import from_type_info
from pyflink.table import DataTypes, StreamTableEnvironment
from pyflink.table.udf import ScalarFunction, udf

import switchyard
from switchyard.core import strictjson
from switchyard.core.app import App
from switchyard.core.ledger.record import Decision, parse_record
from switchyard.core.settings import PythonMode
from switchyard.environment import python_path, read_settings
from switchyard.flink import keyed_map, null_arrays
from switchyard.flink.release import VERSION, OfOneRelease
from switchyard.local.model_server.behaviour import Action
from switchyard.local.model_server.scripted import ScriptedServer
from switchyard.testing.minicluster import JobFailed, MiniCluster, Output
from tests.flink.support import answer, copy_of, created
from tests.flink.test_hostile_records import DECISION
from tests.flink.test_restore import Harness

MODES: list[PythonMode] = ["thread", "process"]
SDR = App.load("sdr")
HANGS = Action(hang=True)

ROUTER = """
import logging
import threading

from switchyard import Verdict

from . import words


def route(event, context):
    logger = threading.Thread(target=logging.getLogger("app").warning, args=("on a thread of its own",))
    logger.start()
    logger.join()
    asking = sum(thread.name == "switchyard-asks" for thread in threading.enumerate())
    return Verdict.complete(reason=f"{words.WORD}, {asking} asking")
"""


def decisions(outputs: list[Output]) -> list[Decision]:
    records = [parse_record(output.value) for output in outputs if output.topic == "routing-decisions"]
    return [record for record in records if isinstance(record, Decision)]


def completed(outputs: list[Output]) -> int:
    return sum(b"workflow.completed" in output.value for output in outputs if output.topic == "workflow-status")


def letters(outputs: list[Output]) -> int:
    return sum(output.topic == "dead-letters" for output in outputs)


@pytest.mark.flink
@pytest.mark.parametrize("mode", MODES)
def test_a_lead_passes(mode: PythonMode, mini_cluster: Callable[..., MiniCluster]) -> None:
    """Beside what is none: in thread mode a number that is null in what a function answers would end the job."""
    job = mini_cluster(SDR, python_mode=mode)
    for topic in ("agent-messages", "routing-decisions", "control", "incoming-leads"):
        job.publish(topic, b"{broken", b"0")
    job.publish("agent-messages", created(1))
    outputs = job.until(lambda found: completed(found) == 1 and letters(found) == 4, answer)
    assert {item.decided_by for item in decisions(outputs)} == {"model"}


@pytest.mark.flink
def test_why_the_operator_ends_the_job_is_the_jobs_failure(mini_cluster: Callable[..., MiniCluster]) -> None:
    job = mini_cluster(SDR, python_mode="thread")
    other = strictjson.dumps({**strictjson.loads(DECISION.json()), "version": 9}).encode()
    job.publish("routing-decisions", other, b"0")
    with pytest.raises(
        JobFailed,
        match=r"^the job failed: switchyard.core.errors.LedgerVersionError: .*go on with the release that wrote it",
    ):
        job.until(lambda _: False)


@pytest.mark.flink
@pytest.mark.parametrize("before", MODES)
def test_state_of_one_mode_is_restored_in_the_other(
    before: PythonMode, tmp_path: Path, scripted_model: ScriptedServer
) -> None:
    """What was asked is asked again, by the timer that was restored."""
    scripted_model.script([HANGS])
    job = MiniCluster(SDR, tmp_path, scripted_model.base_url, settings=read_settings(shards=1, parallelism=1))
    job.python_mode = before
    job.start()
    job.publish("agent-messages", created(1))
    job.until(lambda _: len(scripted_model.calls) == 1)
    savepoint = job.stop_with_savepoint()
    job.python_mode = MODES[1 - MODES.index(before)]
    job.start(savepoint)
    outputs = job.until(lambda found: completed(found) == 1, answer)
    job.stop()
    assert len(decisions(outputs)) == 3


def test_text_is_kept_as_pyflink_keeps_it() -> None:
    from pyflink.fn_execution.state_impl import FlinkCoder

    coder = FlinkCoder(from_type_info(Types.STRING())).get_impl()
    for text in ("", "hällo", "x" * 70_000, "a\0\U0001f600"):
        assert keyed_map.encoded(text) == coder.encode(text)
        assert keyed_map.decoded(coder.encode(text)) == text


@pytest.mark.flink
def test_each_job_runs_its_own_code_and_leaves_no_thread(
    tmp_path: Path, mini_cluster: Callable[..., MiniCluster]
) -> None:
    """Two apps at once, whose modules have the same names; one of them is submitted again with other code."""
    one, two = (with_router(tmp_path / name / "sdr", name) for name in ("one", "two"))
    job, other = (mini_cluster(app, python_mode="thread", namespace=name) for app, name in ((one, "one"), (two, "two")))
    assert reason(other).startswith("two, ")
    said = reason(job)
    assert said.startswith("one, ")
    for word in ("three", "four"):
        job.stop()
        (one.folder / "words.py").write_text(f"WORD = {word!r}\n")
        job = mini_cluster(App.load(str(one.folder)), python_mode="thread", namespace="one")
        assert reason(job) == said.replace("one", word)


def with_router(folder: Path, word: str) -> App:
    folder.parent.mkdir()
    app = copy_of("sdr", folder)
    (folder / "routing.py").write_text(ROUTER)
    (folder / "words.py").write_text(f"WORD = {word!r}\n")
    agents = folder / "agents.yaml"
    agents.write_text("router: routing:route\n" + agents.read_text())
    return App.load(str(app.folder))


def reason(job: MiniCluster) -> str:
    job.publish("agent-messages", created(1))
    return decisions(job.until(lambda found: bool(decisions(found))))[0].reason


def test_an_attempt_ends_what_the_one_before_has_left(scripted_model: ScriptedServer) -> None:
    """switchyard/flink/attempts.py."""

    def asking() -> int:
        return sum(thread.name == "switchyard-asks" for thread in threading.enumerate())

    before = asking()
    operator = Harness(scripted_model.base_url)
    for _ in range(3):
        operator.open()
        assert asking() == before + 1
    operator.crash()
    assert asking() == before


class Converted(ScalarFunction):  # type: ignore[misc]
    """A null array as the function behind the converter sees it."""

    def eval(self, undo: bool) -> str:
        from pyflink.fn_execution.embedded.converters import ArrayDataConverter, IdentityDataConverter

        null_arrays.apply(undo=undo)
        try:
            return str(ArrayDataConverter(IdentityDataConverter()).to_internal(None))
        except TypeError as error:
            return str(error)
        finally:
            null_arrays.apply()


def in_a_thread() -> StreamExecutionEnvironment:
    configuration = Configuration()
    configuration.set_string("python.execution-mode", "thread")
    configuration.set_string("python.pythonpath", python_path())
    configuration.set_string("parallelism.default", "1")
    return StreamExecutionEnvironment.get_execution_environment(configuration)


@pytest.mark.flink
def test_an_array_may_be_null_only_with_the_work_around() -> None:
    """switchyard/flink/null_arrays.py."""

    environment = StreamTableEnvironment.create(in_a_thread())
    environment.create_temporary_function("converted", udf(Converted(), result_type=DataTypes.STRING()))
    with environment.execute_sql("SELECT converted(u) FROM (VALUES (FALSE), (TRUE)) AS t (u)").collect() as results:
        assert sorted(row[0] for row in results) == ["'NoneType' object is not iterable", "None"]


class Parameter(KeyedProcessFunction):  # type: ignore[misc]
    def open(self, runtime_context: object) -> None:
        self._value = runtime_context.get_job_parameter("given", "nothing")  # type: ignore[attr-defined]

    def process_element(self, value: object, ctx: object) -> object:
        yield self._value


@pytest.mark.flink
def test_a_process_function_is_given_no_job_parameter() -> None:
    """So `Orchestrator` carries its configuration."""
    environment = in_a_thread()
    environment.get_config().set_global_job_parameters({"given": "something"})
    keyed = environment.from_collection([1], Types.INT()).key_by(lambda value: value, Types.INT())
    with keyed.process(Parameter(), Types.STRING()).execute_and_collect() as results:
        assert list(results) == ["nothing"]


class Packed(OfOneRelease):
    def __init__(self, value: int) -> None:
        self.value = value


def test_what_a_job_carries_is_unpacked_where_its_code_is_loaded() -> None:
    assert cloudpickle.loads(cloudpickle.dumps(Packed(3))).value == 3


UPGRADED = """
import pathlib, pickle, sys
import switchyard.core.strictjson, switchyard.flink.release as before

folder = pathlib.Path(switchyard.__file__).parent
assert folder.parent == pathlib.Path(sys.argv[1])
packed = pickle.dumps((type(sys.implementation), {"value": 3}))
try:
    before.unpack("other", packed)
except RuntimeError as error:
    print(error)
(folder / "core" / "strictjson.py").open("a").write("\\nUPGRADED = True\\n")
value = before.unpack(before.code_version(folder), packed).value
import switchyard.core.strictjson, switchyard.flink.release as now
print(value, now.VERSION != before.VERSION, switchyard.core.strictjson.UPGRADED)
"""


def test_code_of_another_release_is_loaded_anew_or_refused(tmp_path: Path) -> None:
    package = Path(switchyard.__file__).parent
    shutil.copytree(package, tmp_path / "switchyard", ignore=shutil.ignore_patterns("__pycache__"))
    env = {**os.environ, "PYTHONPATH": str(tmp_path), "PYTHONDONTWRITEBYTECODE": "1"}
    command = [sys.executable, "-P", "-c", UPGRADED, str(tmp_path)]
    done = subprocess.run(command, env=env, cwd=tmp_path, capture_output=True, text=True, check=False)
    refused, upgraded = done.stdout.splitlines() or [done.stderr, ""]
    assert refused.startswith(f"Flink's Python has the code {VERSION} of Switchyard and the job is of other; install")
    assert upgraded == "3 True True"
