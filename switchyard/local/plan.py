"""What a new stack is made of: addresses, programs, and what they are told."""

from __future__ import annotations

import os
import sys
import uuid
from collections.abc import Iterator, Mapping

from switchyard.kafka.admin import Cluster
from switchyard.local import broker, flink_cluster, model_endpoint
from switchyard.local.errors import StackError
from switchyard.local.health import Health
from switchyard.local.info import StackInfo
from switchyard.local.jars import jars
from switchyard.local.java import java
from switchyard.local.layout import Layout
from switchyard.local.options import StackOptions
from switchyard.local.ports import LOOPBACK
from switchyard.local.program import Program


def check(options: StackOptions) -> None:
    """Raises SwitchyardError where what the stack stands on is missing: Java, jars, servers that were named."""
    if options.kafka is None or options.flink is None:
        java()
        jars("kafka")
        jars("flink")
    if options.kafka is not None:
        if options.kafka.listening() is None:
            address = options.kafka.address
            raise StackError(f"Kafka cannot be used: no answer at {address}. Start it, or leave its address out.")
        Cluster(options.kafka).topics()
    if (url := flink_url(options)) is not None:
        problem = Health("flink", url).problem(5.0)
        if problem is not None:
            raise StackError(f"Flink cannot be used: {problem}. Start it, or leave its address out.")


def addresses(layout: Layout, ports: Mapping[str, int], options: StackOptions) -> StackInfo:
    """The addresses of a new stack."""
    embedded_flink = options.flink is None
    metrics = {role: ports[f"{role}-metrics"] for role in ("jobmanager", "taskmanager")}
    return StackInfo(
        stack_id=uuid.uuid4().hex,
        home=layout.home,
        kafka=options.kafka.address if options.kafka else f"{LOOPBACK}:{ports['kafka']}",
        flink=flink_url(options) or f"http://{LOOPBACK}:{ports['flink']}",
        model_base_url=model_endpoint.without_secrets(
            options.model_base_url or model_endpoint.embedded_url(ports["model"])
        ),
        model_embedded=options.model_base_url is None,
        smtp_host=LOOPBACK,
        smtp_port=ports["smtp"],
        mail_folder=layout.mail,
        prometheus_ports=metrics if embedded_flink else {},
        flink_env=flink_cluster.environment(layout) if embedded_flink else {},
        started_by=os.getpid(),
    )


def programs(layout: Layout, ports: Mapping[str, int], options: StackOptions) -> Iterator[Program]:
    """All but the workers. The slowest come first: they start while the broker's storage is formatted."""
    if options.flink is None:
        yield from flink_cluster.prepare(layout, ports)
    if options.kafka is None:
        yield broker.prepare(layout, ports)
    if options.model_base_url is None:
        yield model_endpoint.embedded(layout, ports["model"], options.embedded_model_delay_s)
    yield _mail(layout, ports["smtp"])
    if options.flink is None:
        yield _watchdog(layout, f"http://{LOOPBACK}:{ports['flink']}")


def worker_environment(info: StackInfo) -> dict[str, str]:
    """What a worker is told; the model's variables and its app's own it inherits."""
    return {
        "SWITCHYARD_HOME": str(info.home),
        "SWITCHYARD_KAFKA": info.kafka,
        "SWITCHYARD_FLINK": info.flink,
        "SWITCHYARD_LOCAL_SMTP": f"{info.smtp_host}:{info.smtp_port}",
    }


def flink_url(options: StackOptions) -> str | None:
    if options.flink is None:
        return None
    return (options.flink if "://" in options.flink else f"http://{options.flink}").rstrip("/")


def _mail(layout: Layout, port: int) -> Program:
    command = [
        *(sys.executable, "-P", "-m", "switchyard.local.mail_server"),
        *("--port", str(port), "--folder", str(layout.mail)),
    ]
    return Program("mail", command, port=port, health=Health("smtp", f"{LOOPBACK}:{port}"))


def _watchdog(layout: Layout, flink_address: str) -> Program:
    command = [sys.executable, "-P", "-m", "switchyard.deployment.watchdog", "--flink", flink_address]
    return Program("watchdog", command, {"SWITCHYARD_HOME": str(layout.home)}, priority=550)
