"""The local Kafka broker: one KRaft node on loopback."""

from __future__ import annotations

import base64
import os
import subprocess
import uuid
from collections.abc import Mapping

from switchyard.flink.jvm import QUICK_START
from switchyard.local.errors import StackError
from switchyard.local.flink_cluster import logging_jars
from switchyard.local.health import Health
from switchyard.local.jars import jars
from switchyard.local.java import java
from switchyard.local.layout import Layout
from switchyard.local.ports import LOOPBACK
from switchyard.local.program import Program

_LOG4J = """\
status = error
rootLogger.level = warn
rootLogger.appenderRef.file.ref = file
appender.file.type = RollingFile
appender.file.name = file
appender.file.fileName = ${sys:switchyard.log}
appender.file.filePattern = ${sys:switchyard.log}.%i
appender.file.layout.type = PatternLayout
appender.file.layout.pattern = %d{yyyy-MM-dd HH:mm:ss,SSS} %-5p %c{1} - %m%n
appender.file.policies.type = Policies
appender.file.policies.size.type = SizeBasedTriggeringPolicy
appender.file.policies.size.size = 20MB
appender.file.strategy.type = DefaultRolloverStrategy
appender.file.strategy.max = 2
logger.server.name = kafka.server.KafkaRaftServer
logger.server.level = info
logger.settings.name = org.apache.kafka.common.config.AbstractConfig
logger.settings.level = error
"""


def server_properties(layout: Layout, ports: Mapping[str, int]) -> dict[str, str]:
    """The broker's settings: a single node, so every replication factor is one."""
    broker, controller = f"{LOOPBACK}:{ports['kafka']}", f"{LOOPBACK}:{ports['kafka-controller']}"
    return {
        "process.roles": "broker,controller",
        "node.id": "1",
        "controller.quorum.voters": f"1@{controller}",
        "listeners": f"PLAINTEXT://{broker},CONTROLLER://{controller}",
        "advertised.listeners": f"PLAINTEXT://{broker}",
        "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
        "controller.listener.names": "CONTROLLER",
        "inter.broker.listener.name": "PLAINTEXT",
        "log.dirs": str(layout.kafka / "data"),
        "auto.create.topics.enable": "false",
        "num.partitions": "1",
        "default.replication.factor": "1",
        "min.insync.replicas": "1",
        "offsets.topic.replication.factor": "1",
        "offsets.topic.num.partitions": "8",
        "transaction.state.log.replication.factor": "1",
        "transaction.state.log.min.isr": "1",
        "transaction.state.log.num.partitions": "8",
        "share.coordinator.state.topic.replication.factor": "1",
        "share.coordinator.state.topic.min.isr": "1",
        "group.initial.rebalance.delay.ms": "0",
        "log.cleaner.dedupe.buffer.size": str(16 * 1024 * 1024),
        "num.network.threads": "2",
        "num.io.threads": "4",
        # After a hard kill the controller takes a new broker only when the old one's session has ended.
        "broker.session.timeout.ms": "3000",
        "broker.heartbeat.interval.ms": "500",
    }


def prepare(layout: Layout, ports: Mapping[str, int]) -> Program:
    """Write the broker's settings, format its storage once, and say how to start it."""
    properties = layout.kafka / "server.properties"
    settings = server_properties(layout, ports)
    properties.write_text("".join(f"{key}={value}\n" for key, value in settings.items()), encoding="utf-8")
    log4j = layout.kafka / "log4j2.properties"
    log4j.write_text(_LOG4J, encoding="utf-8")
    own = [jar for jar in jars("kafka") if not jar.name.startswith("log4j-")]
    class_path = os.pathsep.join(str(jar) for jar in [*logging_jars(), *own])
    common = [f"-Dlog4j2.configurationFile={log4j.as_uri()}", "-cp", class_path]
    if not (layout.kafka / "data" / "meta.properties").exists():
        _format(layout, [*common, "kafka.tools.StorageTool"], str(properties))
    command = [
        java(),
        *QUICK_START,
        "-Xms128m",
        "-Xmx512m",
        "-Djava.awt.headless=true",
        f"-Dswitchyard.log={layout.log / 'kafka.log'}",
        *common,
        "kafka.Kafka",
        str(properties),
    ]
    address = f"{LOOPBACK}:{ports['kafka']}"
    return Program(
        "kafka", command, port=ports["kafka"], health=Health("kafka", address), log_suffix="out", priority=100
    )


def _format(layout: Layout, tool: list[str], properties: str) -> None:
    cluster = base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
    log = f"-Dswitchyard.log={layout.log / 'kafka-format.log'}"
    command = [java(), *QUICK_START, log, *tool, "format", f"--cluster-id={cluster}", "--config", properties]
    done = subprocess.run(command, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)
    if done.returncode != 0:
        output = (done.stderr or done.stdout).strip().splitlines()
        raise StackError(f"Kafka's storage could not be formatted: {output[-1] if output else 'no reason given'}")
