"""A Kafka that asks for TLS and a password: command line, workers and a Flink job get in; a wrong password is told."""

from __future__ import annotations

import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import trustme
from pydantic import SecretStr

from switchyard.core.app import App
from switchyard.core.event import Event
from switchyard.core.job_config import job_name
from switchyard.flink.rest import Flink
from switchyard.kafka.admin import Cluster
from switchyard.kafka.connection import PASSWORD, KafkaRefused
from switchyard.local.info import StackInfo
from switchyard.local.stack import Stack
from tests.e2e.conftest import KAFKA_PASSWORD, CommandLine, files_with
from tests.e2e.secured import PLAIN_PASSWORD, PLAIN_USER, USER, Secured, secured_broker

pytestmark = pytest.mark.e2e

NAMESPACE = "secured"
CHECK = "check SWITCHYARD_KAFKA_USERNAME and SWITCHYARD_KAFKA_PASSWORD"


@pytest.fixture(scope="module")
def secured(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Secured]:
    with secured_broker(tmp_path_factory.mktemp("secured"), KAFKA_PASSWORD) as broker:
        yield broker


@pytest.fixture
def insider(home: Path, stack: Stack, secured: Secured) -> CommandLine:
    return CommandLine(home, **secured.environment, **{PASSWORD: KAFKA_PASSWORD})


def test_job_workers_and_command_line_get_in(
    insider: CommandLine, secured: Secured, stack: Stack, info: StackInfo
) -> None:
    insider.run("submit", "sdr", "--namespace", NAMESPACE)
    stack.add_app("sdr", NAMESPACE, {**secured.environment, "SDR_DAY_SECONDS": "0.05"})
    try:
        lead = (App.load("sdr").folder / "leads.jsonl").read_bytes().splitlines()[0]
        insider.run("send", "-", "--app", "sdr", "--namespace", NAMESPACE, stdin=lead)
        follower = Cluster(secured.access(KAFKA_PASSWORD)).follow([f"{NAMESPACE}.agent-messages"])
        deadline, answers = time.monotonic() + 60, 0
        while answers < 2:
            assert time.monotonic() < deadline, f"{answers} answers"
            answers += sum(Event.parse(item.value).type != "lead.created" for item in follower.poll(1.0))
        follower.close()
        assert len(insider.objects("workflows", "--app", "sdr", "--namespace", NAMESPACE)) == 1
        (job,) = Flink(info.flink).jobs(job_name(NAMESPACE))
        for told in ("", "/config", "/plan", "/exceptions"):
            with urllib.request.urlopen(f"{info.flink}/jobs/{job.id}{told}", timeout=60) as answer:
                assert KAFKA_PASSWORD.encode() not in answer.read()
        Flink(info.flink).cancel(job.id)
    finally:
        stack.remove_app(NAMESPACE)
    assert files_with(insider.home, NAMESPACE)
    assert not files_with(insider.home, KAFKA_PASSWORD)


def test_a_cluster_reads_what_it_wrote_by_any_mechanism(secured: Secured) -> None:
    scram = secured.access(KAFKA_PASSWORD)
    plain = replace(scram, mechanism="PLAIN", username=PLAIN_USER, password=SecretStr(PLAIN_PASSWORD))
    assert Cluster(scram).create_topics({"written": {}}) == ["written"]
    Cluster(plain).send("written", [(b"key", b"value")])
    assert [(item.key, item.value) for item in Cluster(scram).read("written")] == [(b"key", b"value")]
    assert Cluster(plain).topics() >= {"written"}


def test_who_is_not_let_in_is_told_why(secured: Secured, tmp_path: Path) -> None:
    trustme.CA().cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    right = secured.access(KAFKA_PASSWORD)
    port = secured.address.rpartition(":")[2]
    for access, sentence in (
        (secured.access("wrong"), f"Kafka at {secured.address} refused user {USER}: {CHECK}"),
        (replace(right, mechanism="SCRAM-SHA-256"), "does not take SCRAM-SHA-256 but "),
        (replace(right, mechanism="PLAIN"), f"refused user {USER}"),
        (replace(right, ca=tmp_path / "ca.pem"), "cannot be trusted .*check SWITCHYARD_KAFKA_CA"),
        (replace(right, ca=None), "cannot be trusted .*check SWITCHYARD_KAFKA_CA"),
        (replace(right, address=f"localhost:{port}"), "Hostname mismatch"),
    ):
        with pytest.raises(KafkaRefused, match=sentence):
            Cluster(access).topics()
    assert (
        replace(right, security="PLAINTEXT")
        .unreachable_reason()
        .endswith("over PLAINTEXT: check SWITCHYARD_KAFKA_SECURITY")
    )


def test_a_wrong_password_ends_commands_and_workers(secured: Secured, tmp_path: Path) -> None:
    outsider = CommandLine(tmp_path / "home", **secured.environment, **{PASSWORD: "wrong"})
    sentence = f"Kafka at {secured.address} refused user {USER}: {CHECK}\n"
    assert outsider.run("workflows", "--app", "sdr", code=1) == sentence
    assert outsider.run("up", "--kafka", secured.address, code=1) == sentence
    worker = subprocess.run(
        [sys.executable, "-m", "switchyard.worker", "sdr", "--agent", "send-email"],
        env=outsider.env,
        capture_output=True,
        timeout=60,
        check=False,
    )
    assert worker.returncode == 2
    assert worker.stderr.decode().endswith(sentence)
