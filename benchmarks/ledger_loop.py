"""The yardstick of the rule path: a write-ahead ledger in a plain loop of kafka-python, with no state and no recovery.

    python -m benchmarks.ledger_loop --kafka HOST:PORT --namespace NAME

Each event becomes a record of the ledger; what is read back from there is written to the inbox.
"""

from __future__ import annotations

import argparse
import json

from kafka import KafkaProducer

from benchmarks.apps import ECHO
from switchyard.core.app import App
from switchyard.core.event import Event
from switchyard.core.topics import Topics
from switchyard.environment import read_settings
from switchyard.kafka.admin import Cluster
from switchyard.kafka.connection import KafkaConnection


def run(address: str, namespace: str) -> None:
    """Until the process is ended."""
    kafka = KafkaConnection.of(read_settings(), address)
    topics, registry = Topics(namespace), App.load(str(ECHO)).registry
    follower = Cluster(kafka).follow([topics.agent_messages, topics.routing_decisions])
    producer = KafkaProducer(**kafka.client(), acks="all", linger_ms=0)
    while True:
        for message in follower.poll(0.2):
            if message.topic == topics.routing_decisions:
                record = json.loads(message.value)
                producer.send(topics.inbox(record["agent"]), key=message.key, value=record["event"].encode())
                continue
            event = Event.parse(message.value)
            registry.contracts[event.type].check(event.data)
            (agent,) = registry.accepting(event.type)
            record = {"agent": agent.name, "decided_by": "rule", "event": message.value.decode()}
            producer.send(topics.routing_decisions, key=message.key, value=json.dumps(record).encode())


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.ledger_loop")
    parser.add_argument("--kafka", required=True, help="bootstrap servers")
    parser.add_argument("--namespace", required=True, help="prefix of the topics")
    given = parser.parse_args()
    run(given.kafka, given.namespace)


if __name__ == "__main__":
    main()
