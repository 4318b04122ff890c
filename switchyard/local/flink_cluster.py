"""The local Flink session cluster, out of the apache-flink wheel and with a configuration of its own.

The JVMs are started directly: the wheel's scripts would start four more of them to work out the memory
settings that stand in this file.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path

import yaml

from switchyard.flink.jvm import QUICK_START
from switchyard.local.errors import StackError
from switchyard.local.health import Health
from switchyard.local.jars import jars
from switchyard.local.java import java
from switchyard.local.layout import Layout
from switchyard.local.ports import LOOPBACK
from switchyard.local.program import Program

SLOTS = 8
JOBMANAGER = "org.apache.flink.runtime.entrypoint.StandaloneSessionClusterEntrypoint"
TASKMANAGER = "org.apache.flink.runtime.taskexecutor.TaskManagerRunner"
JOBMANAGER_JVM = ("-Xms128m", "-Xmx512m", "-XX:MaxMetaspaceSize=256m")
TASKMANAGER_JVM = (
    "-Xms256m",
    "-Xmx640m",
    "-XX:MaxDirectMemorySize=256m",
    "-XX:MaxMetaspaceSize=512m",
)
# Adds up to the flags above; managed memory is RocksDB's, and in process mode Python's, too. In thread mode
# Python takes what it needs of the process, beside all of these.
TASKMANAGER_MEMORY = {
    "taskmanager.cpu.cores": 2.0,
    "taskmanager.memory.framework.heap.size": "128m",
    "taskmanager.memory.task.heap.size": "512m",
    "taskmanager.memory.framework.off-heap.size": "128m",
    "taskmanager.memory.task.off-heap.size": "0m",
    "taskmanager.memory.network.min": "128m",
    "taskmanager.memory.network.max": "128m",
    "taskmanager.memory.managed.size": "512m",
    "taskmanager.memory.jvm-metaspace.size": "512m",
    "taskmanager.memory.jvm-overhead.min": "192m",
    "taskmanager.memory.jvm-overhead.max": "192m",
}
# Bytes of a file name, and of what Flink and RocksDB add to the temporary folder to make one of a database.
LONGEST_NAME = 255
LONGEST_DATABASE = 200

# Beam logs a Python worker's environment, keys included, as the payload of a message.
_LOG4J = """\
monitorInterval = 30
rootLogger.level = INFO
rootLogger.appenderRef.file.ref = file
appender.file.type = RollingFile
appender.file.name = file
appender.file.fileName = ${sys:log.file}
appender.file.filePattern = ${sys:log.file}.%i
appender.file.layout.type = PatternLayout
appender.file.layout.pattern = %d{yyyy-MM-dd HH:mm:ss,SSS} %-5p %c - %replace{%m%n%xEx}{payload: ".*"}{payload withheld}
appender.file.policies.type = Policies
appender.file.policies.size.type = SizeBasedTriggeringPolicy
appender.file.policies.size.size = 50MB
appender.file.strategy.type = DefaultRolloverStrategy
appender.file.strategy.max = 2
logger.kafka.name = org.apache.kafka
logger.kafka.level = WARN
logger.pekko.name = org.apache.pekko
logger.pekko.level = WARN
logger.metrics.name = org.apache.flink.metrics.MetricGroup
logger.metrics.level = ERROR
"""


def wheel() -> Path:
    """The Flink distribution inside the installed apache-flink package."""
    spec = importlib.util.find_spec("pyflink")
    if spec is None or not spec.submodule_search_locations:
        raise StackError("apache-flink is not installed in this Python; run `make setup`.")
    return Path(spec.submodule_search_locations[0])


def environment(layout: Layout) -> dict[str, str]:
    """What points Flink's processes and its command line at this cluster's folders."""
    return {
        "FLINK_CONF_DIR": str(layout.flink_conf),
        "FLINK_LIB_DIR": str(layout.flink_lib),
        "FLINK_OPT_DIR": str(wheel() / "opt"),
        "FLINK_PLUGINS_DIR": str(layout.flink_plugins),
        "FLINK_LOG_DIR": str(layout.log),
    }


def config(layout: Layout, ports: Mapping[str, int]) -> dict[str, object]:
    """The cluster's `config.yaml`; what a job does not set itself, it takes from here."""
    return {
        "env.java.opts.all": _java_options(),
        "env.log.dir": str(layout.log),
        "env.pid.dir": str(layout.run),
        "jobmanager.rpc.address": LOOPBACK,
        "jobmanager.rpc.port": ports["flink-rpc"],
        "jobmanager.bind-host": LOOPBACK,
        "jobmanager.memory.process.size": "1024m",
        "blob.server.port": ports["flink-blob"],
        "rest.address": LOOPBACK,
        "rest.bind-address": LOOPBACK,
        "rest.port": ports["flink"],
        "rest.bind-port": ports["flink"],
        # No web page of elsewhere reads what this server says, and nobody gives it a jar to run.
        "web.access-control-allow-origin": f"http://{LOOPBACK}:{ports['flink']}",
        "web.submit.enable": False,
        "web.cancel.enable": False,
        "taskmanager.host": LOOPBACK,
        "taskmanager.bind-host": LOOPBACK,
        "taskmanager.rpc.port": ports["flink-taskmanager-rpc"],
        "taskmanager.data.port": ports["flink-data"],
        "taskmanager.numberOfTaskSlots": SLOTS,
        **TASKMANAGER_MEMORY,
        "heartbeat.interval": "1 s",
        "heartbeat.timeout": "5 s",
        # A TaskManager that is there before its JobManager asks again soon.
        "cluster.registration.error-delay": "500 ms",
        "cluster.registration.refused-registration-delay": "1 s",
        "cluster.registration.max-timeout": "2 s",
        "restart-strategy.type": "exponential-delay",
        "restart-strategy.exponential-delay.initial-backoff": "500 ms",
        "restart-strategy.exponential-delay.max-backoff": "10 s",
        "restart-strategy.exponential-delay.reset-backoff-threshold": "1 min",
        "state.backend.type": "rocksdb",
        "execution.checkpointing.incremental": True,
        "execution.checkpointing.interval": "1 s",
        "execution.checkpointing.min-pause": "200 ms",
        "execution.checkpointing.tolerable-failed-checkpoints": 100,
        "execution.checkpointing.dir": f"file://{layout.checkpoints}",
        "execution.checkpointing.savepoint-dir": f"file://{layout.savepoints}",
        "execution.checkpointing.externalized-checkpoint-retention": "RETAIN_ON_CANCELLATION",
        "execution.checkpointing.num-retained": 2,
        "io.tmp.dirs": str(layout.flink_tmp),
        "web.tmpdir": str(layout.flink_tmp),
        "classloader.check-leaked-classloader": False,
        # The Python runner is on the cluster's class path once; a job brings the same jar along.
        "classloader.parent-first-patterns.additional": "org.apache.beam.;pemja.",
        "python.executable": sys.executable,
        "python.client.executable": sys.executable,
        **_rocksdb_log(layout),
        "metrics.fetcher.update-interval": "1 s",
        "metrics.reporter.prom.factory.class": "org.apache.flink.metrics.prometheus.PrometheusReporterFactory",
    }


def prepare(layout: Layout, ports: Mapping[str, int]) -> list[Program]:
    """Write the cluster's configuration and say how to start JobManager and TaskManager."""
    settings = config(layout, ports)
    distribution = wheel()
    conf_file = layout.flink_conf / "config.yaml"
    conf_file.write_text(yaml.safe_dump(settings, sort_keys=False, width=10_000), encoding="utf-8")
    (layout.flink_conf / "log4j.properties").write_text(_LOG4J, encoding="utf-8")
    for name in ("log4j-cli.properties", "log4j-session.properties"):
        shutil.copyfile(distribution / "conf" / name, layout.flink_conf / name)
    _empty(layout.flink_tmp)
    _link(layout.flink_lib, [*(distribution / "lib").glob("*.jar"), *_python_jars(distribution), *jars("flink")])
    _link(layout.flink_plugins, [distribution / "plugins" / "metrics-prometheus"])
    rest = f"http://{LOOPBACK}:{ports['flink']}"
    taskmanager = Health("taskmanager", rest, f"{LOOPBACK}:{ports['flink-taskmanager-rpc']}")
    return [
        _program(layout, ports, "jobmanager", JOBMANAGER, JOBMANAGER_JVM, Health("flink", rest), 200),
        _program(layout, ports, "taskmanager", TASKMANAGER, TASKMANAGER_JVM, taskmanager, 210),
    ]


def _program(
    layout: Layout,
    ports: Mapping[str, int],
    role: str,
    main_class: str,
    jvm: Iterable[str],
    health: Health,
    priority: int,
) -> Program:
    options = _java_options().split()
    command = [
        *(sys.executable, "-P", "-m", "switchyard.local.exec_clean"),
        java(),
        *jvm,
        *QUICK_START,
        *options,
        f"-Dlog.file={layout.log / f'flink-{role}.log'}",
        f"-Dlog4j.configurationFile={(layout.flink_conf / 'log4j.properties').as_uri()}",
        "-classpath",
        class_path(layout),
        main_class,
        "--configDir",
        str(layout.flink_conf),
        "-D",
        f"metrics.reporter.prom.port={ports[f'{role}-metrics']}",
    ]
    port = ports["flink"] if role == "jobmanager" else ports["flink-taskmanager-rpc"]
    env = environment(layout)
    return Program(f"flink-{role}", command, env, port, health, log_suffix="out", priority=priority)


def client_command(layout: Layout) -> list[str]:
    """Flink's command line, `flink` without its script; run it with `environment` on top of one's own."""
    return [
        java(),
        *QUICK_START,
        *_java_options().split(),
        f"-Dlog.file={layout.log / 'flink-client.log'}",
        f"-Dlog4j.configurationFile={(layout.flink_conf / 'log4j-cli.properties').as_uri()}",
        *("-classpath", class_path(layout), "org.apache.flink.client.cli.CliFrontend"),
    ]


def remote_client() -> tuple[list[str], dict[str, str]]:
    """The command line for a cluster that is not ours, and what to add to the environment it runs in."""
    distribution = wheel()
    path = [*sorted((distribution / "lib").glob("*.jar")), *_python_jars(distribution)]
    command = [
        java(),
        *QUICK_START,
        *_java_options().split(),
        *("-classpath", os.pathsep.join(str(jar) for jar in path), "org.apache.flink.client.cli.CliFrontend"),
    ]
    folders = {"CONF": "conf", "LIB": "lib", "OPT": "opt", "PLUGINS": "plugins"}
    return command, {f"FLINK_{name}_DIR": str(distribution / folder) for name, folder in folders.items()}


def class_path(layout: Layout) -> str:
    """Every jar of the cluster's lib folder, flink-dist last, as Flink's own scripts have it."""
    jars_there = sorted(layout.flink_lib.glob("*.jar"), key=lambda jar: (jar.name.startswith("flink-dist"), jar.name))
    return os.pathsep.join(str(jar) for jar in jars_there)


def _java_options() -> str:
    """The module openings that Flink needs, as the wheel's own configuration lists them."""
    shipped = yaml.safe_load((wheel() / "conf" / "config.yaml").read_text(encoding="utf-8"))
    return str(shipped["env"]["java"]["opts"]["all"])


def _python_jars(distribution: Path) -> list[Path]:
    return list((distribution / "opt").glob("flink-python-*.jar"))


def logging_jars() -> list[Path]:
    """Log4j with its binding for slf4j, which the broker's own jars lack."""
    names = ("log4j-api", "log4j-core", "log4j-slf4j-impl")
    return [jar for name in names for jar in (wheel() / "lib").glob(f"{name}-*.jar")]


def _rocksdb_log(layout: Layout) -> dict[str, object]:
    """Keeps RocksDB's own logs out of ours, where a file may be called as RocksDB calls one there: by the whole path of
    the database. Where that is too long, Flink leaves them beside the database."""
    fits = len(os.fsencode(layout.flink_tmp)) + LONGEST_DATABASE <= LONGEST_NAME
    return {"state.backend.rocksdb.log.dir": str(layout.flink_tmp)} if fits else {}


def _empty(folder: Path) -> None:
    """Remove what an earlier cluster left in a folder."""
    for entry in folder.iterdir():
        if entry.is_dir() and not entry.is_symlink():
            shutil.rmtree(entry, ignore_errors=True)
        else:
            entry.unlink()


def _link(folder: Path, targets: Iterable[Path]) -> None:
    _empty(folder)
    for target in targets:
        (folder / target.name).symlink_to(target)
