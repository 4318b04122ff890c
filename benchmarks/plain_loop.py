"""The yardstick: the same routing in a plain asyncio loop, with no state, no ledger and no recovery.

    python -m benchmarks.plain_loop --kafka HOST:PORT --namespace NAME

A thread reads events, up to 100 calls are in flight, a producer writes what the model chose.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import threading
from typing import Any

import openai
from kafka import KafkaProducer

from benchmarks.apps import ECHO
from switchyard.core.app import App
from switchyard.core.event import Event
from switchyard.core.routing.prompt import SCHEMA_NAME
from switchyard.core.routing.question import question
from switchyard.core.topics import Topics
from switchyard.environment import read_settings
from switchyard.kafka.admin import Cluster, KafkaRecord
from switchyard.kafka.connection import KafkaConnection


class PlainLoop:
    def __init__(self, address: str, namespace: str) -> None:
        settings = read_settings()
        kafka = KafkaConnection.of(settings, address)
        self._model = settings.model or ""
        self._room = asyncio.Semaphore(settings.model_concurrency)
        self._registry = App.load(str(ECHO)).registry
        self._topics = Topics(namespace)
        self._inbox = Cluster(kafka).follow([self._topics.agent_messages])
        self._producer = KafkaProducer(**kafka.client(), acks="all", linger_ms=0)
        self._client = openai.AsyncOpenAI(http_client=openai.DefaultAsyncHttpxClient(trust_env=False))
        self._routing: set[asyncio.Task[None]] = set()

    async def run(self) -> None:
        """Until the process is ended."""
        loop = asyncio.get_running_loop()
        messages: asyncio.Queue[KafkaRecord] = asyncio.Queue()

        def read() -> None:
            while True:
                for message in self._inbox.poll(0.2):
                    loop.call_soon_threadsafe(messages.put_nowait, message)

        threading.Thread(target=read, name="events", daemon=True).start()
        while True:
            message = await messages.get()
            await self._room.acquire()
            task = asyncio.create_task(self._route(message))
            self._routing.add(task)
            task.add_done_callback(self._routed)

    def _routed(self, task: asyncio.Task[None]) -> None:
        self._room.release()
        self._routing.discard(task)

    async def _route(self, message: KafkaRecord) -> None:
        asked = question(self._registry, Event.parse(message.value))
        shape = {"name": SCHEMA_NAME, "schema": asked.schema, "strict": True}
        request: dict[str, Any] = {
            "model": self._model,
            "messages": asked.messages,
            "temperature": 0,
            "response_format": {"type": "json_schema", "json_schema": shape},
        }
        completion = await self._client.chat.completions.create(
            **request, extra_headers={"X-Switchyard-Purpose": "routing"}
        )
        for agent in json.loads(completion.choices[0].message.content or "")["agents"]:
            self._producer.send(self._topics.inbox(agent), key=message.key, value=message.value)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.plain_loop")
    parser.add_argument("--kafka", required=True, help="bootstrap servers")
    parser.add_argument("--namespace", required=True, help="prefix of the topics")
    given = parser.parse_args()

    async def run() -> None:
        await PlainLoop(given.kafka, given.namespace).run()

    asyncio.run(run())


if __name__ == "__main__":
    main()
