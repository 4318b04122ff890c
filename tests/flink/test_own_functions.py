"""An app's `udfs.py`: its functions work in rules and dispatches, travel by value, and say where they are wrong."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import cloudpickle
import pytest
from pyflink.table import TableEnvironment

from switchyard.core.app import App
from switchyard.core.ledger.record import Decision, parse_record
from switchyard.flink import job, udf_modules
from switchyard.flink.udf_modules import UdfError, load_functions
from switchyard.testing.minicluster import MiniCluster
from tests.flink.support import copy_of, created, edited

UDFS = """
import re

from pyflink.table import DataTypes
from pyflink.table.udf import udf, udtf

SCHOOLS = re.compile("university|school", re.I)


def is_school(company):
    return company is not None and bool(SCHOOLS.search(company))


@udf(result_type=DataTypes.BOOLEAN())
def from_school(company):
    return is_school(company)


@udtf(result_types=[DataTypes.STRING()])
def words(text):
    yield from (text or "").split()
"""
RULE = (
    "-- WHEN type = 'lead.created' THEN",
    "WHEN type = 'lead.created' AND NOT from_school(JSON_VALUE(data, '$.company')) THEN",
)
WORDS = """
CREATE TEMPORARY TABLE said (word STRING) WITH ('connector' = 'blackhole');
INSERT INTO said SELECT word FROM dispatches, LATERAL TABLE(words(agent)) AS w (word);
"""


def with_udfs(folder: Path, text: str) -> App:
    app = copy_of("sdr", folder)
    (folder / "udfs.py").write_text(text)
    return app


@pytest.mark.flink
def test_a_function_decides_in_a_rule_and_a_table_function_is_usable(
    tmp_path: Path, mini_cluster: Callable[..., MiniCluster]
) -> None:
    app = edited(with_udfs(tmp_path / "sdr", UDFS), "requests.sql", RULE)
    app = edited(app, "dispatch.sql", ("FROM dispatches;", "FROM dispatches;" + WORDS))
    running = mini_cluster(app)
    running.publish("agent-messages", created(1))
    outputs = running.until(lambda found: any(output.topic == "agent-inboxes" for output in found))
    records = [parse_record(output.value) for output in outputs if output.topic == "routing-decisions"]
    [decision] = [record for record in records if isinstance(record, Decision)]
    assert (decision.agents, decision.decided_by) == (("lead-ingestion",), "rule")


def test_functions_travel_by_value(tmp_path: Path) -> None:
    """A process that knows neither the app nor its module runs them."""
    functions = load_functions(with_udfs(tmp_path / "sdr", UDFS))
    assert sorted(functions) == ["from_school", "words"]
    pickled = tmp_path / "function"
    pickled.write_bytes(cloudpickle.dumps(functions["from_school"]._func))
    program = "import pickle, sys; print(pickle.load(open(sys.argv[1], 'rb'))('University of Westmark'))"
    done = subprocess.run(
        [sys.executable, "-c", program, str(pickled)], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "True"


def test_two_apps_and_two_runs_each_get_their_own_code(tmp_path: Path) -> None:
    plain = "from pyflink.table.udf import udf\n\n@udf(result_type='INT')\ndef number():\n    return {}\n"
    one, two = (with_udfs(tmp_path / name / "sdr", plain.format(value)) for name, value in (("a", 1), ("b", 2)))
    first, second = load_functions(one), load_functions(two)
    version = job.sql_version(one)
    (one.folder / "udfs.py").write_text(plain.format(3))
    again = load_functions(one)
    values = [functions["number"]._func() for functions in (first, second, again)]
    assert values == [1, 2, 3]
    assert job.sql_version(one) != version
    copies = [cloudpickle.loads(cloudpickle.dumps(functions["number"]._func))() for functions in (second, again)]
    assert copies == [2, 3]


def test_an_app_without_functions_needs_no_file() -> None:
    assert load_functions(App.load("sdr")) == {}


WRONG = {
    "import os\n\nraise OSError('no')\n": (3, "it cannot be loaded: OSError: no"),
    "def broken(:\n": (1, "it cannot be loaded: SyntaxError: invalid syntax"),
    "import no_such_package\n": (1, "it cannot be loaded: ModuleNotFoundError: No module named 'no_such_package'"),
    "import json\n\nfrom handlers import anything\n": (3, "it imports another file of the app"),
    "from . import research\n": (1, "it imports another file of the app"),
    "def plain(x):\n    return x\n": (1, "it has no function for SQL; make one with @udf"),
    "from pyflink.table.udf import udf\n\n@udf(result_type='INT')\nasync def late():\n    return 1\n": (
        4,
        "late is async",
    ),
}


@pytest.mark.parametrize(("text", "expected"), WRONG.items(), ids=range(len(WRONG)))
def test_what_is_wrong_has_a_line(text: str, expected: tuple[int, str], tmp_path: Path) -> None:
    app = with_udfs(tmp_path / "sdr", text)
    with pytest.raises(UdfError) as caught:
        load_functions(app)
    assert (caught.value.file, caught.value.line) == (app.folder / "udfs.py", expected[0])
    assert caught.value.message.startswith(expected[1])


@pytest.mark.parametrize("name", ["upper", "check_event"])
def test_names_of_other_functions_are_refused(name: str, tmp_path: Path) -> None:
    class Environment:
        def list_functions(self) -> list[str]:
            return ["upper", "check_event"]

    text = f"from pyflink.table.udf import udf\n\n{name} = udf(lambda: 1, result_type='INT')\n"
    environment: TableEnvironment = Environment()
    with pytest.raises(UdfError, match=rf"line 3: {name} is a function of Flink or of Switchyard; rename it"):
        udf_modules.register_functions(with_udfs(tmp_path / "sdr", text), environment)
