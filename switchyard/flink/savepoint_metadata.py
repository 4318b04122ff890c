"""What the file `_metadata` of a savepoint or checkpoint says, read by Flink's own classes in PyFlink's JVM.

As a program, which takes its JVM along when it ends: `python -m switchyard.flink.savepoint_metadata FILE JAR…` prints
the names as a JSON list.

Flink says the ids of operators. Which topics a Kafka source read stands in the state of its coordinator: two versions
and a length of Flink's, each a four-byte integer, then what the Kafka connector wrote.
"""

from __future__ import annotations

import struct
import sys
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from py4j.protocol import Py4JJavaError
from pyflink.util.java_utils import to_jarray

from switchyard.core import strictjson
from switchyard.core.errors import SwitchyardError
from switchyard.flink.jvm import gateway
from switchyard.flink.tables import first_cause

_HEADER = struct.Struct(">iii")
_SERIALIZER = "org.apache.flink.connector.kafka.source.enumerator.KafkaSourceEnumStateSerializer"


def names(metadata: Path, connectors: Sequence[Path]) -> set[str]:
    """Ids of operators and names of topics. Raises SwitchyardError where Flink cannot read the file."""
    serializer = new_instance(connector_classes(tuple(connectors)), _SERIALIZER)
    operators = _operators(metadata)
    uids = {operator.getOperatorUid().get() for operator in operators if operator.getOperatorUid().isPresent()}
    return uids | {topic for operator in operators for topic in _topics(operator, serializer)}


@cache
def connector_classes(connectors: tuple[Path, ...]) -> Any:
    """A Java class loader that has the connector's classes beside Flink's.

    One for a process: py4j keeps a class's methods by its name, and takes those of another loader's for the same.
    """
    jvm = gateway().jvm
    urls = [jvm.java.net.URI(jar.as_uri()).toURL() for jar in connectors]
    parent = jvm.java.lang.Thread.currentThread().getContextClassLoader()
    return jvm.java.net.URLClassLoader(to_jarray(jvm.java.net.URL, urls), parent)


def new_instance(loader: Any, name: str) -> Any:
    """An object of a Java class that has a constructor without arguments."""
    jvm = gateway().jvm
    constructor = loader.loadClass(name).getConstructor(to_jarray(jvm.java.lang.Class, []))
    return constructor.newInstance(to_jarray(jvm.java.lang.Object, []))


def _operators(metadata: Path) -> list[Any]:
    jvm = gateway().jvm
    loader = jvm.java.lang.Thread.currentThread().getContextClassLoader()
    stream = jvm.java.io.DataInputStream(jvm.java.io.FileInputStream(str(metadata)))
    try:
        load = jvm.org.apache.flink.runtime.checkpoint.Checkpoints.loadCheckpointMetadata
        return list(load(stream, loader, str(metadata.parent)).getOperatorStates())
    except Py4JJavaError as error:
        raise SwitchyardError(f"it is no state of Flink's: {first_cause(error)}") from None
    finally:
        stream.close()


def _topics(operator: Any, serializer: Any) -> Iterator[str]:
    """None where an operator is no source of Kafka's."""
    state = operator.getCoordinatorState()
    if state is None:
        return
    data = bytes(state.getData())
    if len(data) < _HEADER.size:
        return
    _, version, length = _HEADER.unpack_from(data)
    try:
        splits = serializer.deserialize(version, data[_HEADER.size : _HEADER.size + length]).splits()
    except Py4JJavaError:
        return
    for split in splits:
        yield str(split.split().getTopic())


def main(arguments: Sequence[str]) -> None:
    file, *connectors = map(Path, arguments)
    try:
        print(strictjson.dumps(sorted(names(file, connectors))))  # noqa: T201
    except SwitchyardError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main(sys.argv[1:])
