"""Planning while another thread talks to the JVM.

Where the second test fails, a release of apache-flink has the fix: take switchyard/flink/flink_36298.py out.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterator

import pytest
from py4j.protocol import Py4JJavaError
from pyflink.datastream import StreamExecutionEnvironment
from pyflink.java_gateway import get_gateway
from pyflink.table import StreamTableEnvironment

from switchyard.flink import flink_36298

pytestmark = pytest.mark.flink


@pytest.fixture
def shared_connections() -> Iterator[None]:
    """py4j as it comes: all threads share the idle connections."""
    client = get_gateway()._gateway_client
    before, client.deque = client.deque, deque()
    yield
    client.deque = before


def plan_beside_another_thread() -> None:
    """The other thread has the idle connection while the environment is made, and is back before it is used."""
    client = get_gateway()._gateway_client
    taken, made = threading.Event(), threading.Event()

    def other() -> None:
        connection = client._get_connection()
        taken.set()
        made.wait()
        client._give_back_connection(connection)

    thread = threading.Thread(target=other)
    thread.start()
    taken.wait()
    environment = StreamTableEnvironment.create(StreamExecutionEnvironment.get_execution_environment())
    made.set()
    thread.join()
    environment.to_data_stream(environment.sql_query("SELECT a + 1 FROM (VALUES (1)) AS t(a)"))


def test_a_thread_that_plans_keeps_its_thread_of_the_jvm(shared_connections: None) -> None:
    flink_36298.apply(get_gateway())
    plan_beside_another_thread()


def test_without_the_work_around_it_may_get_another(shared_connections: None) -> None:
    with pytest.raises(Py4JJavaError, match="metadataHandlerProvider"):
        plan_beside_another_thread()
