"""Dead letters as a place of work: listed, shown, sent again, discarded."""

from __future__ import annotations

import json
import stat
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from switchyard.cli.observe import Observed
from switchyard.core.control import Control
from switchyard.core.deadletter import DeadLetter, Note, Position, parse_entry
from switchyard.core.errors import Rejected
from switchyard.core.event import Event
from switchyard.core.shards import shard_of
from switchyard.core.topics import Topics
from switchyard.kafka.admin import KafkaRecord
from tests.cli.conftest import FakeCluster, Run

MESSAGES, LEADS, LETTERS = "sdr.agent-messages", "sdr.incoming-leads", "sdr.dead-letters"
CONTROL, LEDGER = "sdr.control", "sdr.routing-decisions"

LEAD: dict[str, Any] = {
    "lead_id": "L1",
    "name": "Ada",
    "email": "ada@example.com",
    "company": "Analytical",
    "title": "Countess",
    "source": "website",
    "interest": "engines",
    "message": "Tell me more.",
    "created_at": "2026-01-05T09:00:00Z",
}


@pytest.fixture
def letters(kafka: type[FakeCluster]) -> type[FakeCluster]:
    kafka.content.update({topic: [] for topic in (LETTERS, MESSAGES, LEADS, CONTROL, LEDGER)})
    return kafka


def add(
    kafka: type[FakeCluster], raw: bytes, topic: str = MESSAGES, reason: str = "agent-failed", at: int | None = None
) -> int:
    """A dead letter; its number."""
    offset = len(kafka.content[LETTERS])
    now = int(time.time() * 1000) if at is None else at
    letter = DeadLetter.of(Rejected(reason, "so it is", "data"), raw, Position(topic, 2, offset), now)
    kafka.add(LETTERS, b"", letter.json().encode())
    return offset + 1


def lead(**changes: Any) -> Event:
    data = {**LEAD, **changes}
    more = {"causationid": "d1", "hops": 3}
    return Event.new(id="e1", source="tests", type="lead.created", workflow_id="w1", data=data, **more)


def listed(run: Run, *options: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in run("dead-letters", "list", "--json", *options).stdout.splitlines()]


def notes(kafka: type[FakeCluster]) -> list[Note]:
    entries = [parse_entry(item.value) for item in kafka.content[LETTERS]]
    return [item for item in entries if isinstance(item, Note)]


def asked(kafka: type[FakeCluster], kind: str) -> list[Control]:
    controls = [Control.of(Event.parse(item.value)) for item in kafka.content[CONTROL]]
    return [control for control in controls if control.kind == kind]


def sent(kafka: type[FakeCluster]) -> list[Event]:
    """The events that the job is asked to take again."""
    return [control.retried for control in asked(kafka, "retry")]


def editor(monkeypatch: pytest.MonkeyPatch, folder: Path, *texts: str | None) -> None:
    """An editor that writes these texts, one each time it is opened; None leaves the file as it is."""
    script = folder / "editor"
    for number, text in enumerate(texts):
        if text is not None:
            (folder / f"text-{number}").write_text(text)
    script.write_text(
        f'#!/bin/sh\ncd {folder}\nn=$(cat opened 2>/dev/null || echo 0)\necho $((n + 1)) > opened\ncat "$1" > seen-$n\n'
        'test ! -f "text-$n" || cat "text-$n" > "$1"\n'
    )
    script.chmod(script.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("VISUAL", str(script))


def test_letters_are_listed_once_and_shown_whole(run: Run, letters: type[FakeCluster]) -> None:
    raws = [b"\x00\x01broken", "ä".encode() * 3000]
    for offset, raw in [(0, raws[0]), (1, raws[1]), (1, raws[1])]:
        letter = DeadLetter.of(Rejected("not-json", "no JSON"), raw, Position(LEADS, 2, offset), offset)
        letters.add(LETTERS, b"", letter.json().encode())
    assert [(item["number"], item["reason"], item["offset"]) for item in listed(run)] == [
        (1, "not-json", 0),
        (2, "not-json", 1),
    ]
    assert "sdr.incoming-leads[2]@1" in run("dead-letters", "list").stdout
    assert "00000000  00 01 62 72" in run("dead-letters", "show", "1").stdout
    clipped = run("dead-letters", "show", "2").stdout
    assert "... 1904 bytes more; --full shows all" in clipped
    both = run("dead-letters", "show", "sdr.incoming-leads/2/1", "1", "--full").stdout
    assert "ä" * 3000 in both
    assert "00000000  00 01 62 72" in both
    assert (
        "there is no dead letter 3; there are 2: switchyard dead-letters list --all"
        in run(*("dead-letters", "show", "3")).stderr
    )


def test_a_number_stays_when_letters_come_and_go(run: Run, letters: type[FakeCluster]) -> None:
    first, second = add(letters, b"a", at=2000), add(letters, b"b", at=3000)
    run("dead-letters", "discard", str(first))
    earlier = add(letters, b"c", at=1000)
    assert [item["number"] for item in listed(run)] == [earlier, second]
    assert [(item["number"], item["state"]) for item in listed(run, "--all")] == [
        (earlier, "open"),
        (first, "discarded"),
        (second, "open"),
    ]
    shown = run("dead-letters", "list", "--all").stdout
    assert f"discarded {notes(letters)[0].by}" not in shown
    assert f"by {notes(letters)[0].by}" in shown
    assert "2 open, 1 discarded (--all)" in run("dead-letters", "list").stdout


def test_letters_are_found_by_reason_and_time(run: Run, letters: type[FakeCluster]) -> None:
    now = int(time.time() * 1000)
    add(letters, b"a", reason="not-json", at=now - 3 * 3_600_000)
    add(letters, b"b", reason="not-json", at=now - 60_000)
    add(letters, b"c", reason="no-agent-accepts", at=now)
    assert [item["number"] for item in listed(run, "--reason", "not-json")] == [1, 2]
    assert [item["number"] for item in listed(run, "--since", "2h")] == [2, 3]
    assert [item["number"] for item in listed(run, "--until", "30s")] == [1, 2]
    assert [item["number"] for item in listed(run, "--since", "2026-01-01", "--until", "2h")] == [1]
    assert "there are no-agent-accepts (1), not-json (2)" in run("dead-letters", "list", "--reason", "x").stderr
    assert "'soon' is no time; write 30m, 2h or 1d" in run("dead-letters", "list", "--since", "soon").stderr
    assert "is not before --until" in run("dead-letters", "list", "--since", "1h", "--until", "2h").stderr


def test_an_event_is_retried_as_its_next_retry(run: Run, letters: type[FakeCluster]) -> None:
    number = add(letters, lead().json().encode())
    assert "Asked the job to take 1 dead letter again." in run("dead-letters", "retry", str(number)).stdout
    (event,) = sent(letters)
    assert letters.content[CONTROL][0].key == str(shard_of("w1", 16)).encode()
    assert asked(letters, "retry")[0].by.endswith(" (unverified)")
    assert (event.id, event.source, event.retry, event.data) == ("e1", "tests", 1, LEAD)
    assert event.attributes["deadletter"] == "sdr.agent-messages/2/0"
    assert event.causation_id is None
    (note,) = notes(letters)
    assert (note.action, note.position) == ("retried", Position(MESSAGES, 2, 0))
    assert listed(run) == []


def test_two_retries_are_the_same_event(run: Run, letters: type[FakeCluster]) -> None:
    number = add(letters, lead().json().encode())
    run("dead-letters", "retry", str(number))
    again = run("dead-letters", "retry", str(number))
    assert "an event that comes again is handled once" in again.stdout
    first, second = sent(letters)
    assert first.key == second.key
    assert first == second
    third = add(letters, first.json().encode())
    run("dead-letters", "retry", str(third))
    assert [event.retry for event in sent(letters)] == [1, 1, 2]


def test_what_would_be_refused_again_is_not_sent(run: Run, letters: type[FakeCluster]) -> None:
    broken = add(letters, lead(email=7).json().encode(), reason="contract-violation")
    fine = add(letters, lead().json().encode())
    result = run("dead-letters", "retry", str(broken), str(fine))
    assert result.exit_code == 1
    assert (
        f"Dead letter {broken} was not sent: it would be refused again, contract-violation: data.email" in result.stderr
    )
    assert "mend it with --edit" in result.stderr
    assert len(sent(letters)) == 1
    assert [item["number"] for item in listed(run)] == [broken]


@pytest.mark.parametrize(
    ("topic", "raw", "sentence"),
    [
        (MESSAGES, b"no event", "not-json: the value is not JSON"),
        (MESSAGES, lead().with_attributes(type="lead.lost").json().encode(), "unknown-type"),
        (MESSAGES, b" " * 300_000, "not-json"),
        ("sdr.routing-decisions", b"{}", "only the job writes to the ledger"),
        ("sdr.control", b"{}", "a control event is given anew"),
        ("sdr.agent.lead-scoring", b"{}", "only the job writes to an inbox"),
        ("elsewhere", b"{}", "elsewhere is no topic that this app reads"),
    ],
)
def test_what_cannot_be_retried_says_what_to_do(
    run: Run, letters: type[FakeCluster], topic: str, raw: bytes, sentence: str
) -> None:
    number = add(letters, raw, topic)
    result = run("dead-letters", "retry", str(number))
    assert result.exit_code == 1
    assert sentence in result.stderr
    assert notes(letters) == []
    assert not letters.content[MESSAGES] + letters.content[CONTROL]


def test_a_line_of_an_input_topic_goes_there_again(run: Run, letters: type[FakeCluster]) -> None:
    raw = json.dumps(LEAD).encode() + b"\r"
    number = add(letters, raw, LEADS, "internal-error")
    run("dead-letters", "retry", str(number))
    assert [item.value for item in letters.content[LEADS]] == [raw]
    assert [item.event.data["deadletter"] for item in asked(letters, "resend")] == [f"{LEADS}/2/0"]


def test_the_ledger_is_read_once_whatever_is_sent_again(
    run: Run, letters: type[FakeCluster], monkeypatch: pytest.MonkeyPatch
) -> None:
    numbers = [add(letters, lead().json().encode()), add(letters, json.dumps(LEAD).encode(), LEADS, "internal-error")]
    read = letters.read
    topics: list[str] = []

    def reading(self: FakeCluster, topic: str) -> Iterator[KafkaRecord]:
        topics.append(topic)
        return read(self, topic)

    monkeypatch.setattr(letters, "read", reading)
    said = run("dead-letters", "retry", *map(str, numbers)).stdout
    assert said.count("again.") == 2
    assert (len(asked(letters, "retry")), len(asked(letters, "resend"))) == (1, 1)
    assert topics.count(LEDGER) == 1


def test_a_dry_run_sends_nothing(run: Run, letters: type[FakeCluster]) -> None:
    number = add(letters, lead().json().encode())
    said = run("dead-letters", "retry", str(number), "--dry-run").stdout
    assert f"Dead letter {number} would go to sdr.control (" in said
    assert '"retry":1' in said
    assert letters.content[CONTROL] == []
    assert notes(letters) == []


def test_edited_data_is_checked_and_marked(
    run: Run, letters: type[FakeCluster], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    number = add(letters, lead(email=7).json().encode(), reason="contract-violation")
    editor(monkeypatch, tmp_path, json.dumps({**LEAD, "email": "x@example.com"}))
    run("dead-letters", "retry", str(number), "--edit")
    (event,) = sent(letters)
    assert event.data["email"] == "x@example.com"
    assert event.effect_key("a") != lead().effect_key("a")
    assert json.loads((tmp_path / "seen-0").read_text()) == {**LEAD, "email": 7}
    assert '\n  "email": 7,' in (tmp_path / "seen-0").read_text()
    refused = run("dead-letters", "retry", str(number), "--edit")
    assert "a second retry is the same event, whatever its data" in refused.stderr


def test_an_editor_that_changes_nothing_is_no_edit(
    run: Run, letters: type[FakeCluster], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    fine, broken = add(letters, lead().json().encode()), add(letters, lead(email=7).json().encode())
    editor(monkeypatch, tmp_path)
    run("dead-letters", "retry", str(fine), "--edit")
    assert sent(letters)[0].effect_key("a") == lead().effect_key("a")
    assert "it would be refused again" in run("dead-letters", "retry", str(broken), "--edit").stderr
    assert len(sent(letters)) == 1


def test_a_person_may_edit_again(
    run: Run, letters: type[FakeCluster], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    number = add(letters, b"no event", reason="not-json")
    editor(monkeypatch, tmp_path, "still none", lead().json())
    monkeypatch.setattr("switchyard.cli.formatting.on_terminal", lambda: True)
    result = run("dead-letters", "retry", str(number), "--edit", input="y\n")
    assert f"Dead letter {number} would be refused again, not-json" in result.stderr
    assert (tmp_path / "seen-1").read_text() == "still none\n"
    (event,) = sent(letters)
    assert (event.retry, event.data) == (1, LEAD)


def test_an_edited_line_of_an_input_topic(
    run: Run, letters: type[FakeCluster], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    number = add(letters, b'{"lead_id": "\xff', LEADS, "not-json")
    editor(monkeypatch, tmp_path, json.dumps(LEAD) + "\n")
    run("dead-letters", "retry", str(number), "--edit")
    assert [item.value for item in letters.content[LEADS]] == [json.dumps(LEAD).encode()]


def test_an_editor_that_is_not_there(
    run: Run, letters: type[FakeCluster], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    number = add(letters, lead().json().encode())
    monkeypatch.setenv("VISUAL", str(tmp_path / "none"))
    assert "set EDITOR to one that does" in run("dead-letters", "retry", str(number), "--edit").stderr


def test_all_that_match_are_acted_on_after_a_person_agrees(
    run: Run, letters: type[FakeCluster], monkeypatch: pytest.MonkeyPatch
) -> None:
    for reason in ("agent-failed", "agent-failed", "not-json"):
        add(letters, lead().json().encode(), reason=reason)
    command = ("dead-letters", "discard", "--reason", "agent-failed")
    assert "Nobody can be asked here; give --yes" in run(*command).stderr
    monkeypatch.setattr("switchyard.cli.formatting.on_terminal", lambda: True)
    assert "nothing was done" in run(*command, input="n\n").stderr
    assert notes(letters) == []
    said = run(*command, input="y\n").stdout
    assert "2 dead letters of sdr: 2 agent-failed" in said
    assert "Discarded 2 dead letters" in said
    assert len(asked(letters, "discard")) == 2
    assert "No open dead letter matches" in run("dead-letters", "discard", "--since", "1h", "--until", "30m").stdout
    run("dead-letters", "retry", "--since", "1h", "--yes")
    assert len(sent(letters)) == 1
    assert [item["state"] for item in listed(run, "--all")] == ["discarded", "discarded", "retried"]


def test_which_ones_must_be_said(run: Run, letters: type[FakeCluster]) -> None:
    number = add(letters, b"x")
    for command in (["retry"], ["discard", str(number), "--since", "1h"]):
        result = run("dead-letters", *command)
        assert result.exit_code == 1
        assert "say which: numbers from the list, or else --reason, --since or --until" in result.stderr


def test_what_a_terminal_would_act_on_is_not_shown(run: Run, letters: type[FakeCluster]) -> None:
    letter = DeadLetter.of(Rejected("contract-violation", "x", "data.\x1b[2J"), b"\x1b[2J", Position(LEADS, 0, 0), 0)
    letters.add(LETTERS, b"", letter.json().encode())
    for command in (["list"], ["show", "1"]):
        assert "\x1b" not in run("dead-letters", *command).stdout


def test_a_demo_that_goes_on_does_not_count_notes(run: Run, letters: type[FakeCluster]) -> None:
    run("dead-letters", "discard", str(add(letters, b"x")))
    observed = Observed()
    for message in letters.content[LETTERS]:
        observed.add(message, Topics("sdr"))
    assert len(letters.content[LETTERS]) == 2
    assert len(observed.dead_letters) == 1
