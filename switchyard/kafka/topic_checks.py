"""Whether the topics of an app keep what it needs for as long as it needs it, whoever made them."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from kafka.partitioner.default import murmur2

from switchyard.core.agents_file import AgentsFile
from switchyard.core.topics import Topics

MANY_REPLICAS = 3
"""From so many on a second replica can take every decision, also while one broker is away."""


@dataclass(frozen=True)
class TopicFacts:
    """What Kafka tells of a topic.

    settings    those in force
    replicas    of the partition that has the fewest
    partitions  how many
    first_keys  the key of the oldest record, by partition; of topics that only Switchyard writes
    """

    settings: Mapping[str, str]
    replicas: int
    partitions: int
    first_keys: Mapping[int, bytes]

    @property
    def policy(self) -> str:
        return ",".join(sorted(self.settings.get("cleanup.policy", "delete").replace(" ", "").split(",")))

    @property
    def kept_ms(self) -> float:
        """How long a record is kept; infinity where time is no reason to drop it."""
        milliseconds = int(self.settings.get("retention.ms", -1))
        return milliseconds if milliseconds >= 0 and "delete" in self.policy else math.inf

    @property
    def largest_record(self) -> int:
        return int(self.settings["max.message.bytes"])


def own_topics(topics: Topics) -> list[str]:
    """Those that are read in the order in which they are written by key, by Switchyard alone."""
    return [topics.routing_decisions, topics.workflow_status, topics.control]


def largest_source(file: AgentsFile, topics: Topics, facts: Mapping[str, TopicFacts]) -> int:
    """Bytes of the largest record that the job may read."""
    sources = [topics.agent_messages, topics.routing_decisions, topics.control, *_inputs(file, topics)]
    return max(facts[name].largest_record for name in sources)


def topic_problems(
    file: AgentsFile, topics: Topics, wanted: Mapping[str, Mapping[str, str]], facts: Mapping[str, TopicFacts]
) -> list[str]:
    """Each thing to change, with what to set. `wanted` are the settings that an app's topics are made with."""
    problems = [*_ledger(file, topics, facts), *_dead_letters(file, topics, facts)]
    problems += _newest(file, topics, wanted, facts)
    for name, settings in wanted.items():
        if name not in _inputs(file, topics):
            problems += _kept_as_made(name, settings, facts[name])
        problems += _replicas(name, facts[name])
    return problems + [problem for name in own_topics(topics) for problem in _partitions(name, facts[name])]


def _inputs(file: AgentsFile, topics: Topics) -> list[str]:
    return [topics.named(item.topic) for item in file.inputs]


def _ledger(file: AgentsFile, topics: Topics, facts: Mapping[str, TopicFacts]) -> Iterator[str]:
    ledger = facts[topics.routing_decisions]
    deadline = file.limits.deadline * 1000
    for source in (topics.agent_messages, *_inputs(file, topics)):
        kept = facts[source].kept_ms
        if ledger.kept_ms < kept:
            yield (
                f"{topics.routing_decisions} keeps records for a shorter time than {source}, whose events would be "
                f"decided anew: set its retention.ms={'-1' if kept == math.inf else int(kept)}, or less for {source}"
            )
    if ledger.kept_ms < deadline:
        yield (
            f"{topics.routing_decisions} keeps records for a shorter time than a workflow may take, "
            f"{file.limits.deadline:.0f} s (limits.deadline): set its retention.ms={int(deadline)}"
        )
    if ledger.replicas >= MANY_REPLICAS and _in_sync(ledger) < 2:
        yield (
            f"{topics.routing_decisions} has {ledger.replicas} replicas, and a decision that one of them has taken "
            "could be lost with it: set its min.insync.replicas=2"
        )


def _dead_letters(file: AgentsFile, topics: Topics, facts: Mapping[str, TopicFacts]) -> Iterator[str]:
    largest = largest_source(file, topics, facts)
    room = facts[topics.dead_letters].largest_record
    if room < largest * 4 // 3:
        yield (
            f"{topics.dead_letters} takes records of {room} bytes, but a source record may have {largest}: "
            f"set its max.message.bytes={largest * 4 // 3 + 65536}"
        )


def _newest(
    file: AgentsFile, topics: Topics, wanted: Mapping[str, Mapping[str, str]], facts: Mapping[str, TopicFacts]
) -> Iterator[str]:
    """Of the topics that hold the newest of each key, until that is old."""
    needed = {
        topics.workflow_status: (file.limits.deadline, "a workflow may take", "limits.deadline"),
        topics.memory: (file.memory.days * 86_400, "agents remember", "memory.days"),
    }
    for name, (seconds, what, key) in needed.items():
        setting = f"set its retention.ms={wanted[name]['retention.ms']}"
        if facts[name].kept_ms < seconds * 1000:
            yield f"{name} keeps records for a shorter time than {what}, {seconds:.0f} s ({key}): {setting}"
        elif "delete" in facts[name].policy and facts[name].kept_ms == math.inf:
            yield f"{name} keeps what it has for ever: {setting}"


def _kept_as_made(name: str, wanted: Mapping[str, str], facts: TopicFacts) -> Iterator[str]:
    policy = wanted.get("cleanup.policy", "delete")
    if facts.policy != ",".join(sorted(policy.split(","))):
        fault = "can lose what is not read yet" if policy == "delete" else "can lose the newest of each key"
        if facts.policy == "compact" and policy != "delete":
            fault = "keeps what it has for ever"
        value = f"[{policy}]" if "," in policy else policy
        yield f"{name} has cleanup.policy={facts.policy} and {fault}: set its cleanup.policy={value}"
    size = int(facts.settings.get("retention.bytes", -1))
    if size >= 0 and "delete" in facts.policy:
        yield f"{name} drops records beyond {size} bytes of a partition, read or not: set its retention.bytes=-1"


def _replicas(name: str, facts: TopicFacts) -> Iterator[str]:
    if _in_sync(facts) > facts.replicas:
        yield (
            f"{name} takes no record, for it has {facts.replicas} replicas and asks for {_in_sync(facts)}: "
            f"set its min.insync.replicas={facts.replicas}"
        )


def _partitions(name: str, facts: TopicFacts) -> Iterator[str]:
    """Records that stand where their key does not belong were written when the topic had another number."""
    if any(_partition_of(key, facts.partitions) != number for number, key in facts.first_keys.items()):
        yield (
            f"{name} had another number of partitions than {facts.partitions} when its records were written, so they "
            "are out of order now, and Kafka cannot take a partition back: use another namespace (--namespace)"
        )


def _in_sync(facts: TopicFacts) -> int:
    return int(facts.settings.get("min.insync.replicas", 1))


def _partition_of(key: bytes, partitions: int) -> int:
    """Where Kafka's default partitioner puts a key."""
    return int(murmur2(key) & 0x7FFFFFFF) % partitions


def sentence(problems: Sequence[str], bootstrap: str) -> str:
    """All problems, and how each is mended."""
    return (
        f"topics are not kept as the app needs them: {'; '.join(problems)}. Set one with `kafka-configs.sh "
        f"--bootstrap-server {bootstrap} --alter --entity-type topics --entity-name TOPIC --add-config KEY=VALUE`"
    )
