"""Each call of an async function gets its own row. Without our work-around it does not.

Where the second test fails, a release of apache-flink has the fix: take switchyard/flink/flink_39532.py out.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from pyflink.common import Configuration
from pyflink.datastream import StreamExecutionEnvironment
from pyflink.table import StreamTableEnvironment

from switchyard.flink import flink_39532
from tests.flink.asyncs import pair

pytestmark = pytest.mark.flink

ROWS = 200


@pytest.fixture
def without_the_work_around() -> Iterator[None]:
    flink_39532.revert()
    yield
    flink_39532.apply()


def wrong_rows() -> int:
    configuration = Configuration()
    configuration.set_string("parallelism.default", "1")
    configuration.set_string("table.exec.async-scalar.max-concurrent-operations", "100")
    environment = StreamTableEnvironment.create(StreamExecutionEnvironment.get_execution_environment(configuration))
    rows = environment.from_elements([(n, -n) for n in range(ROWS)], ["a", "b"])
    environment.create_temporary_view("numbers", rows)
    environment.create_temporary_function("pair", pair)
    with environment.execute_sql("SELECT a, b, pair(a, b) FROM numbers").collect() as results:
        found = [(row[0], row[1], row[2]) for row in results]
    assert len(found) == ROWS
    return sum(text != f"{left} {right}" for left, right, text in found)


def test_each_call_gets_its_own_row() -> None:
    assert wrong_rows() == 0


def test_without_the_work_around_calls_get_other_rows(without_the_work_around: None) -> None:
    assert wrong_rows() > 0
