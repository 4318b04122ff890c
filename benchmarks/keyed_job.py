"""PyFlink's own ceiling: a keyed process function that passes rows on, between two topics. Flink's client runs it.

It reads and writes the topics that the orchestrator does, under the same options of Flink, and keeps no state.
"""

from __future__ import annotations

from collections.abc import Iterator

from pyflink.common import Row, Types
from pyflink.datastream import KeyedProcessFunction

from switchyard.core.shards import shard_keys
from switchyard.flink import job
from switchyard.flink.arguments import JobArguments
from switchyard.flink.tables import Loader

_BYTES = Types.PRIMITIVE_ARRAY(Types.BYTE())
_ROW = Types.ROW_NAMED(["key", "value", "topic"], [_BYTES, _BYTES, Types.STRING()])


class PassOn(KeyedProcessFunction):  # type: ignore[misc]
    def process_element(self, value: Row, ctx: KeyedProcessFunction.Context) -> Iterator[Row]:
        yield value


def main() -> None:
    arguments = JobArguments.read("keyed_job")
    name = f"benchmark {arguments.namespace}"
    environment = job.environment(name, arguments.config, arguments.settings.parallelism, **arguments.options)
    loader = Loader(environment)
    arguments.tables()(loader)
    (agent,) = arguments.app.registry.agents
    keys = ", ".join(str(key) for key in shard_keys(arguments.config.shards))
    rows = environment.sql_query(
        f"SELECT ARRAY[{keys}][1 + MOD(CAST(RIGHT(DECODE(`key`, 'UTF-8'), 5) AS INT), {arguments.config.shards})], "  # noqa: S608
        f"ROW(`key`, `value`, '{arguments.namespace}.agent.{agent}') FROM agent_messages"
    )
    stream = environment.to_append_stream(rows, Types.ROW([Types.INT(), _ROW]))
    passed = job.keyed(stream).process(PassOn(), _ROW)
    environment.create_temporary_view("passed", passed)
    loader.inserts.add_insert_sql("INSERT INTO agent_inboxes SELECT `key`, `value`, `topic` FROM passed")
    arguments.run(loader.inserts)


if __name__ == "__main__":
    main()
