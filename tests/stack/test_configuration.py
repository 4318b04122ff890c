"""What is written for broker, cluster and supervisor."""

from __future__ import annotations

import configparser
import dataclasses
import socket
import sys
from pathlib import Path

import pytest

from switchyard.local import broker, flink_cluster, model_endpoint, ports
from switchyard.local.errors import StackError
from switchyard.local.health import Health
from switchyard.local.info import ProgramRecord, StackInfo
from switchyard.local.layout import Layout
from switchyard.local.program import Program
from switchyard.local.supervisor import ProcessState, Supervisor, conf, program_conf
from switchyard.local.wait import wait_healthy

PORTS = {name: 20000 + number for number, name in enumerate(ports.NAMES)}


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    made = Layout(tmp_path / "100% home")
    made.make()
    return made


def test_everything_listens_on_loopback(layout: Layout) -> None:
    broker_settings = broker.server_properties(layout, PORTS)
    assert broker_settings["listeners"].count("127.0.0.1") == 2
    cluster = flink_cluster.config(layout, PORTS)
    hosts = [key for key in cluster if key.endswith(("bind-host", "bind-address", "rpc.address", "rest.address"))]
    assert len(hosts) == 5
    assert all(cluster[key] == "127.0.0.1" for key in hosts)


def test_the_cluster_keeps_checkpoints_and_runs_this_python(layout: Layout) -> None:
    cluster = flink_cluster.config(layout, PORTS)
    assert cluster["state.backend.type"] == "rocksdb"
    assert cluster["execution.checkpointing.incremental"] is True
    assert cluster["execution.checkpointing.externalized-checkpoint-retention"] == "RETAIN_ON_CANCELLATION"
    assert cluster["execution.checkpointing.dir"] == f"file://{layout.checkpoints}"
    assert cluster["python.executable"] == sys.executable


def test_the_clusters_lib_holds_the_connector_and_is_written_anew(layout: Layout) -> None:
    for _ in range(2):
        jobmanager, taskmanager = flink_cluster.prepare(layout, PORTS)
    names = {jar.name.partition("-2.3")[0].partition("-5.0")[0] for jar in layout.flink_lib.iterdir()}
    assert {"flink-dist", "flink-python", "flink-sql-connector-kafka"} <= names
    assert flink_cluster.class_path(layout).rpartition("/")[2].startswith("flink-dist")
    assert (jobmanager.name, taskmanager.name) == ("flink-jobmanager", "flink-taskmanager")
    assert 'payload: ".*"' in (layout.flink_conf / "log4j.properties").read_text()


def test_a_program_is_restarted_and_stopped_with_its_children(layout: Layout) -> None:
    program = Program("mail", [sys.executable, "-c", "print('a b')"], {"X": "1%"}, 25)
    parser = configparser.RawConfigParser()
    parser.read_string(program_conf(layout, program))
    section = parser["program:mail"]
    assert section["autorestart"] == section["stopasgroup"] == section["killasgroup"] == "true"
    assert section["command"].endswith("""-c 'print('"'"'a b'"'"')'""")
    assert section["environment"] == 'X="1%%"'
    assert "100%% home" in section["stdout_logfile"]
    assert "100%% home" in conf(layout)


def test_a_secret_is_never_written_to_a_program_file() -> None:
    with pytest.raises(StackError, match="OPENAI_API_KEY may be a secret"):
        Program("worker", ["true"], {"OPENAI_API_KEY": "sk-1"})
    Program("worker", ["true"], {"OPENAI_BASE_URL": "http://127.0.0.1:1/v1", "MONKEY": "1"})


def test_an_address_is_saved_without_its_password() -> None:
    assert model_endpoint.without_secrets("http://me:pw@host:80/v1?k=1") == "http://host:80/v1"


def test_the_embedded_model_never_sees_the_callers_key() -> None:
    env = model_endpoint.environment({"OPENAI_API_KEY": "sk-1", "PATH": "/bin"}, "http://127.0.0.1:1/v1", True)
    assert "sk-1" not in env.values()
    assert env["PATH"] == "/bin"


def test_a_long_home_has_its_socket_in_a_short_folder(tmp_path: Path) -> None:
    assert Layout(Path("/x")).socket == Path("/x/run/supervisor.sock")
    assert len(str(Layout(tmp_path / ("a" * 90)).socket)) < 96


def test_ports_are_as_set_else_as_last_time_else_free() -> None:
    chosen = ports.choose({"flink": ports.free_port()}, {})
    assert set(chosen) == set(ports.NAMES)
    assert len(set(chosen.values())) == len(ports.NAMES)
    assert ports.choose({}, chosen) == chosen
    with pytest.raises(StackError, match="No port is called web"):
        ports.choose({"web": 80}, {})


def test_a_port_that_was_set_and_is_in_use_is_named() -> None:
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        taken = holder.getsockname()[1]
        with pytest.raises(StackError, match=f"Port {taken}, set for kafka, is in use"):
            ports.choose({"kafka": taken}, {})
        assert ports.choose({}, {"kafka": taken})["kafka"] != taken


def test_a_wished_for_port_moves_no_other_than_the_one_that_had_it(monkeypatch: pytest.MonkeyPatch) -> None:
    last = ports.choose({}, {})
    moved = ports.choose({"smtp": last["kafka"]}, last)
    assert moved["smtp"] == last["kafka"]
    assert {name for name in ports.NAMES if moved[name] != last[name]} == {"smtp", "kafka"}
    before = {name: port for name, port in last.items() if name != "kafka"}
    monkeypatch.setattr(ports.random, "sample", lambda pool, count: [last["smtp"], last["flink"], last["kafka"]])
    assert ports.choose({"model": last["model"]}, before) == last, "a free port is one that nobody had last time"


def test_one_port_for_two_is_refused() -> None:
    port = ports.free_port()
    with pytest.raises(StackError, match=f"Port {port} is set for both kafka and flink"):
        ports.choose({"kafka": port, "flink": port}, {})


def test_a_program_that_serves_nobody_is_said_to_be_healthy_at_no_address(layout: Layout) -> None:
    class Running:
        def states(self) -> list[ProcessState]:
            return [ProcessState("watchdog", "RUNNING", 7, 1.0), ProcessState("mail", "RUNNING", 8, 1.0)]

        def spawns(self) -> dict[str, int]:
            return {}

    none, web = Health("none"), Health("none", "127.0.0.1:25")
    programs = {"watchdog": ProgramRecord(None, none, ""), "mail": ProgramRecord(25, web, "")}
    info = StackInfo("id", layout.home, "", "", "", True, "", 25, layout.mail, {}, {}, programs=programs)
    lines: list[str] = []
    wait_healthy(Running(), info, list(programs), 1.0, lines.append)  # type: ignore[arg-type]
    assert [line.rpartition(",")[0] for line in lines] == [
        "watchdog is healthy (process 7",
        "mail is healthy at 127.0.0.1:25 (process 8",
    ]


def test_addresses_survive_the_file(layout: Layout) -> None:
    record = ProgramRecord(1, Health("http", "http://127.0.0.1:1"), "x.log", 2)
    info = StackInfo(
        *("id", layout.home, "k:1", "http://f", "http://m", True, "127.0.0.1", 25, layout.mail, {"jobmanager": 1}, {}),
        apps={"sdr": "/apps/sdr"},
        programs={"mail": record},
    )
    info.save(layout.stack_file)
    assert StackInfo.load(layout.stack_file) == info
    assert StackInfo.load(layout.run / "none.json") is None
    assert dataclasses.asdict(info)["programs"]["mail"]["spawned_before"] == 2


def test_starts_are_counted_from_the_supervisors_log(layout: Layout) -> None:
    layout.supervisor_log.write_text(
        "INFO supervisord started with pid 1\nINFO spawned: 'mail' with pid 2\n"
        "INFO supervisord started with pid 5\nINFO spawned: 'mail' with pid 6\n"
        "WARN exited: mail (terminated by SIGKILL; not expected)\nINFO spawned: 'mail' with pid 7\n"
    )
    assert Supervisor(layout).spawns() == {"mail": 2}


def test_a_dead_server_is_unhealthy() -> None:
    port = ports.free_port()
    for kind in ("kafka", "smtp"):
        problem = Health(kind, f"127.0.0.1:{port}").problem()  # type: ignore[arg-type]
        assert problem is not None
        assert "no answer" in problem


def test_a_home_with_a_long_path_makes_no_file_name_too_long() -> None:
    setting = "state.backend.rocksdb.log.dir"
    assert flink_cluster.config(Layout(Path("/home/somebody/switchyard/.switchyard")), PORTS)[setting]
    assert setting not in flink_cluster.config(
        Layout(Path("/home/somebody/work/projects/2026/switchyard/.switchyard")), PORTS
    )
