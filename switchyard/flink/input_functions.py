"""Functions for SQL that check what is read: `check_event(value, topic)` and `check_data(type, value)`.

Both answer a row and never fail. They are declared non-deterministic, so that the planner computes the row once,
however often its fields are used.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any, TypeVar

from pyflink.common import Row
from pyflink.table import DataTypes
from pyflink.table.udf import FunctionContext, ScalarFunction

from switchyard.core import strictjson
from switchyard.core.errors import Rejected, internal_error
from switchyard.core.input_validator import InputValidator
from switchyard.core.registry import Registry
from switchyard.core.shards import shard_of
from switchyard.core.topics import Topics
from switchyard.flink import null_arrays, thread_log  # noqa: F401 - before a function runs
from switchyard.flink.capabilities import capabilities
from switchyard.flink.job_parameters import job_config
from switchyard.flink.release import OfOneRelease

T = TypeVar("T")

log = logging.getLogger(__name__)

_ERROR = [
    DataTypes.FIELD("error", DataTypes.STRING()),
    DataTypes.FIELD("error_field", DataTypes.STRING()),
    DataTypes.FIELD("error_message", DataTypes.STRING()),
]
_STRINGS = ("workflow_id", "id", "source", "type", "causation_id", "data")


class _Check(OfOneRelease, ScalarFunction):  # type: ignore[misc]
    def open(self, function_context: FunctionContext) -> None:
        config = job_config(function_context)
        self._shards = config.shards
        self._control = Topics(config.namespace).control
        self._validator = InputValidator(Registry.from_json(config.registry), capabilities())

    def is_deterministic(self) -> bool:
        return False


class CheckEvent(_Check):
    """A CloudEvent's attributes and data (as JSON text), or why it is none.

    A record of the control topic is a request to send an event again.
    """

    def eval(self, value: Any, topic: str) -> Row:
        check = self._validator.retried if topic == self._control else self._validator.event
        event = _read(lambda: check(value))
        if isinstance(event, Rejected):
            # In thread mode a number that is null ends the job: tests/flink/test_modes.py.
            return Row(None, None, None, None, None, None, 0, 0, event.reason, event.field, event.message)
        return Row(
            event.workflow_id,
            event.id,
            event.source,
            event.type,
            event.causation_id,
            strictjson.dumps(event.data),
            event.hops,
            shard_of(event.workflow_id, self._shards),
            None,
            None,
            None,
        )


class CheckData(_Check):
    """An input object as JSON text, or why it breaks the contract of its type."""

    def eval(self, event_type: str, value: Any) -> Row:
        data = _read(lambda: strictjson.dumps(self._validator.data(event_type, value)))
        if isinstance(data, Rejected):
            return Row(None, data.reason, data.field, data.message)
        return Row(data, None, None, None)


def _read(read: Callable[[], T]) -> T | Rejected:
    """What is read, or why it cannot be."""
    try:
        return read()
    except Rejected as error:
        return error
    except Exception as error:
        log.exception("a check failed on one record; it is kept as a dead letter")
        return internal_error(error)


EVENT_TYPE = DataTypes.ROW(
    [DataTypes.FIELD(name, DataTypes.STRING()) for name in _STRINGS]
    + [DataTypes.FIELD("hops", DataTypes.INT()), DataTypes.FIELD("shard", DataTypes.INT())]
    + _ERROR
)
DATA_TYPE = DataTypes.ROW([DataTypes.FIELD("data", DataTypes.STRING()), *_ERROR])
