"""Flink's map state of the current key as a mapping of text, in the same form wherever Python runs.

PyFlink keeps state in another form, under another name, when it runs in the TaskManager (thread mode) than when it
runs beside it (process mode), so that neither would find what the other left. Here thread mode reads and writes what
process mode does: a savepoint of one is restored in the other.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, MutableMapping
from typing import Any

from pyflink.common import Types
from pyflink.datastream import RuntimeContext
from pyflink.datastream.state import MapStateDescriptor, StateTtlConfig

PREFIX = "python-state-"
"""What Flink puts before the name of a state that a Python process asks it for."""

_LENGTH = struct.Struct(">i")


def embedded(context: RuntimeContext) -> bool:
    """Whether this Python runs in the TaskManager."""
    return type(context).__module__.startswith("pyflink.fn_execution.datastream.embedded.")


def keyed_map(context: RuntimeContext, name: str, ttl: StateTtlConfig | None = None) -> MutableMapping[str, str]:
    """The map of this name; its entries are dropped when `ttl` has passed."""
    if embedded(context):
        return _EmbeddedMap(context, name, ttl)
    import switchyard.flink.pipelined_state  # noqa: F401 - before state is used

    descriptor = MapStateDescriptor(name, Types.STRING(), Types.STRING())
    if ttl is not None:
        descriptor.enable_time_to_live(ttl)
    return KeyedMap(context.get_map_state(descriptor))


class KeyedMap(MutableMapping[str, str]):
    """Map state as PyFlink has it."""

    def __init__(self, state: Any) -> None:
        self._state = state

    def __getitem__(self, key: str) -> str:
        value = self._state.get(key)
        if value is None:
            raise KeyError(key)
        return str(value)

    def __setitem__(self, key: str, value: str) -> None:
        self._state.put(key, value)

    def __delitem__(self, key: str) -> None:
        self._state.remove(key)

    def __iter__(self) -> Iterator[str]:
        return iter(list(self._state.keys()))

    def __len__(self) -> int:
        return len(list(iter(self)))


class _EmbeddedMap(KeyedMap):
    """Flink's own map state, as a process of Python's would fill it."""

    def __init__(self, context: Any, name: str, ttl: StateTtlConfig | None) -> None:
        from pemja import findClass
        from pyflink.fn_execution.embedded import java_utils, state_impl

        serializers = "org.apache.flink.api.common.typeutils.base.array.BytePrimitiveArraySerializer"
        self._wrapped = findClass("org.apache.flink.streaming.api.utils.ByteArrayWrapper")
        keys = findClass("org.apache.flink.streaming.api.utils.ByteArrayWrapperSerializer").INSTANCE
        descriptor = java_utils.JMapStateDescriptor(PREFIX + name, keys, findClass(serializers).INSTANCE)
        if ttl is not None:
            descriptor.enableTimeToLive(java_utils.to_java_state_ttl_config(ttl))
        backend = context.get_keyed_state_backend()._keyed_state_backend
        namespace = state_impl.JVoidNamespace_INSTANCE, state_impl.JVoidNamespaceSerializer_INSTANCE
        super().__init__(backend.getPartitionedState(*namespace, descriptor))

    def __getitem__(self, key: str) -> str:
        value = self._state.get(self._key(key))
        if value is None:
            raise KeyError(key)
        return decoded(value)

    def __setitem__(self, key: str, value: str) -> None:
        self._state.put(self._key(key), encoded(value))

    def __delitem__(self, key: str) -> None:
        self._state.remove(self._key(key))

    def __iter__(self) -> Iterator[str]:
        return iter([decoded(key.getData()) for key in self._state.keys() or ()])

    def _key(self, key: str) -> Any:
        return self._wrapped(encoded(key))


def encoded(text: str) -> bytes:
    """Text as PyFlink's coder of strings writes it: the number of its bytes in UTF-8, in four bytes, then these."""
    data = text.encode()
    return _LENGTH.pack(len(data)) + data


def decoded(value: bytes) -> str:
    return bytes(value[_LENGTH.size :]).decode()
