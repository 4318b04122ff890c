"""Reads what a namespace's topics and mail folder tell."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from email.parser import BytesHeaderParser
from pathlib import Path

from switchyard.core.deadletter import DeadLetter
from switchyard.core.event import Event
from switchyard.core.ledger.record import Decision, parse_record
from switchyard.core.topics import Topics
from switchyard.kafka.admin import Cluster, Follower, KafkaRecord
from tests.recovery.evidence import Evidence, Mail, Told


class EvidenceReader:
    """`evidence` is what was read so far; `decided` has when each record was written, when its event was made, and it.

    Times are seconds since 1970.
    """

    def __init__(self, cluster: Cluster, topics: Topics, agents: Iterable[str], mail_folder: Path) -> None:
        self.evidence = Evidence()
        self.decided: list[tuple[float, float, Decision]] = []
        self._topics = topics
        self._mail_folder = mail_folder
        self._mails: dict[str, Mail] = {}
        others = [topics.routing_decisions, topics.workflow_status, topics.dead_letters]
        self._follower: Follower = cluster.follow([*others, *map(topics.inbox, agents)])

    def look(self) -> int:
        """Take in what is new; answers how many records."""
        taken = 0
        for message in self._follower.poll(0.2):
            self._take(message)
            taken += 1
        for path in self._mail_folder.rglob("*.eml"):
            if path.name not in self._mails:
                headers = BytesHeaderParser().parsebytes(path.read_bytes())
                self._mails[path.name] = Mail(str(headers["Message-ID"]), ".repeat" in path.name)
        ours = f"@{self._topics.namespace}."
        self.evidence.mails = [mail for mail in self._mails.values() if ours in mail.message_id]
        return taken

    def look_again(self) -> None:
        """Take in what is there now, to its end."""
        while self.look():
            pass

    def close(self) -> None:
        self._follower.close()

    def _take(self, message: KafkaRecord) -> None:
        if message.topic == self._topics.routing_decisions:
            record = parse_record(message.value)
            if isinstance(record, Decision):
                self.evidence.records.append(record)
                self.decided.append((message.time / 1000, _time(record.parsed_event()), record))
        elif message.topic == self._topics.workflow_status:
            event = Event.parse(message.value)
            told = Told(event.workflow_id, event.data["status"], event.data["steps"], event.data["ended_at"])
            self.evidence.statuses.append(told)
        elif message.topic == self._topics.dead_letters:
            self.evidence.dead_letters.add(DeadLetter.parse(message.value).workflow_id or "")
        else:
            self.evidence.dispatched.add(str(Event.parse(message.value).attributes["dispatchid"]))


def _time(event: Event) -> float:
    """When the event was made; 0 where it does not say."""
    said = event.attributes.get("time")
    return datetime.fromisoformat(said).timestamp() if said else 0.0
