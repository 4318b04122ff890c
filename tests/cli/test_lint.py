"""`lint`: a good app passes; each kind of fault is named with its file and line."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from switchyard.core.bundled import SQL
from tests.cli.conftest import Run


@pytest.fixture
def folder(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A new app in the current folder."""
    monkeypatch.chdir(tmp_path)
    assert run("new", "app", "desk").exit_code == 0
    return Path("desk")


def edit(file: Path, old: str, new: str) -> None:
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new, 1))


def line_with(file: Path, part: str) -> int:
    return next(number for number, line in enumerate(file.read_text().splitlines(), 1) if part in line)


def problems(run: Run, folder: Path) -> list[str]:
    result = run("lint", str(folder))
    assert result.exit_code == 1
    return result.stdout.splitlines()


def test_static_faults_are_told_before_anything_is_planned(
    run: Run, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def planned(*_: object) -> None:
        raise AssertionError("it planned")

    monkeypatch.setattr("switchyard.cli.linting.planning.unplannable_sql", planned)
    edit(folder / "handlers.py", "def reply", "def replay")
    result = run("lint", str(folder))
    assert result.exit_code == 1
    assert "handlers.py has no function 'reply'" in result.stdout
    assert result.stderr == "The SQL was not planned; mend this first.\n"


@pytest.mark.parametrize(
    ("name", "place", "sentence"),
    [
        ("shared:make", "agents.yaml", "there is no module 'shared'"),
        ("handlers:memory", "handlers.py", "handlers has no 'memory'"),
        ("handlers:ONLY_DATA", "handlers.py", "str cannot be called"),
    ],
)
def test_a_memory_backend_that_is_not_there(
    run: Run, folder: Path, monkeypatch: pytest.MonkeyPatch, name: str, place: str, sentence: str
) -> None:
    monkeypatch.setenv("SWITCHYARD_MEMORY", name)
    [line] = problems(run, folder)
    assert f"{place}:1: SWITCHYARD_MEMORY is {name}: {sentence}" in line


@pytest.mark.parametrize("command", [["lint"], ["test"], ["route", '{"id": "1"}']])
def test_without_java_it_says_what_to_install(
    run: Run, folder: Path, monkeypatch: pytest.MonkeyPatch, command: list[str]
) -> None:
    monkeypatch.delenv("JAVA_HOME", raising=False)
    monkeypatch.setenv("PATH", str(folder))
    monkeypatch.chdir(folder)
    result = run(*command)
    assert result.exit_code == 1
    assert result.stderr.startswith("Java 17 is needed and 'java' was not found. Install a JDK 17")
    assert len(result.stderr.splitlines()) == 1


@pytest.mark.flink
@pytest.mark.parametrize("app", ["sdr", "desk"])
def test_a_good_app_passes(run: Run, folder: Path, app: str) -> None:
    result = run("lint", app)
    assert result.exit_code == 0, result.output
    assert re.fullmatch(
        rf"{app}: no problems \(\d agents, \d contracts, 2 SQL files planned in [\d.]+ s\)", result.stdout.strip()
    )


@pytest.mark.flink
def test_a_statement_that_does_not_plan_is_named_with_its_line(run: Run, folder: Path) -> None:
    file = folder / "sql" / "requests.sql"
    edit(file, "WHEN type =", "WHEN typo =")
    assert problems(run, folder) == [
        f"{file}:{line_with(file, 'typo')}: statement 2: Column 'typo' not found in any table"
    ]
    edit(file, "WHEN typo =", "WHEN type =")
    dispatch = folder / "sql" / "dispatch.sql"
    edit(dispatch, "FROM dispatches", "FORM dispatches")
    assert problems(run, folder) == [
        f'{dispatch}:{line_with(dispatch, "FORM")}: statement 1: Encountered "dispatches".'
    ]


@pytest.mark.flink
def test_requests_without_their_view_or_its_columns_are_told_so(run: Run, folder: Path) -> None:
    file = folder / "sql" / "requests.sql"
    edit(file, "  *,\n", "  type,\n")
    assert problems(run, folder) == [
        f"{file}:1: the view routing_requests lacks the column shard; select * and rule_agents"
    ]
    edit(file, "VIEW routing_requests", "VIEW requests")
    assert "it defines no view routing_requests" in problems(run, folder)[0]


def test_names_of_agents_that_there_are_not_in_sql(run: Run, folder: Path) -> None:
    requests, dispatch = folder / "sql" / "requests.sql", folder / "sql" / "dispatch.sql"
    edit(requests, "ARRAY['triage']", "ARRAY['triage', 'triag', '']")
    edit(dispatch, "FROM dispatches", "FROM dispatches\nWHERE agent <> 'repply'\nAND `topic` <> 'desk.agent.lost'")
    known = "there are triage, reply"
    assert problems(run, folder) == [
        f"{requests}:{line_with(requests, 'triag')}: there is no agent 'triag'; {known}",
        f"{dispatch}:{line_with(dispatch, 'repply')}: there is no agent 'repply'; {known}",
        f"{dispatch}:{line_with(dispatch, 'lost')}: there is no agent 'lost'; {known}",
    ]


def test_everything_wrong_with_agents_contracts_and_prompt_is_listed(run: Run, folder: Path) -> None:
    agents = folder / "agents.yaml"
    edit(agents, "emits: [request.sorted]", "emits: [request.sorte]")
    edit(folder / "router.md", "$complete", "$completed")
    (folder / "contracts" / "reply.written.avsc").write_text("{")
    found = problems(run, folder)
    misspelt = "agent triage names the event type 'request.sorte', which has no contract"
    assert f"{agents}:{line_with(agents, 'sorte]')}: {misspelt}; did you mean 'request.sorted'?" in found
    prompt = folder / "router.md"
    missing = f"{prompt}:{line_with(prompt, '$completed')}: there is no placeholder $completed"
    assert any(line.startswith(missing) for line in found)
    assert len(found) == 3
    assert any(re.match(r"desk/contracts/reply\.written\.avsc:\d+: ", line) for line in found)


def test_an_unknown_key_of_agents_yaml_has_a_line(run: Run, folder: Path) -> None:
    edit(folder / "agents.yaml", "complete:", "completed:")
    assert problems(run, folder) == ["desk/agents.yaml:5: unknown key 'completed'; did you mean 'complete'?"]
    text = (folder / "agents.yaml").read_text().replace("completed:", "complete:")
    (folder / "agents.yaml").write_text(text.replace("  - name: reply\n", "  - name: reply\n    aproval: required\n"))
    line = line_with(folder / "agents.yaml", "aproval")
    assert problems(run, folder) == [
        f"desk/agents.yaml:{line}: agent reply: unknown key 'aproval'; did you mean 'approval'?"
    ]


def test_handlers_that_cannot_be_used(run: Run, folder: Path) -> None:
    edit(folder / "handlers.py", "def reply", "def replay")
    agents = folder / "agents.yaml"
    line = line_with(agents, "name: reply")
    assert problems(run, folder) == [f"{agents}:{line}: handlers.py has no function 'reply', which agents.yaml names"]
    edit(folder / "handlers.py", "from typing import Any", "import no_such_module")
    found = problems(run, folder)
    assert len(found) == 1
    assert re.match(r"desk/handlers\.py:5: it cannot be imported: ModuleNotFoundError", found[0])


@pytest.mark.parametrize(
    ("key", "text", "file", "fault"),
    [
        ("router: choices:rout", "def route(context): ...\n", "agents.yaml", "choices.py has no function 'rout'"),
        ("router: choices:route", "import no_such_module\n", "choices.py", "it cannot be imported: ModuleNotFound"),
        ("router: choices:route", "def route(:\n", "choices.py", "it cannot be imported: SyntaxError"),
        ("background: [chores:run]", "", "agents.yaml", "'chores:run' names no module: write chores.py"),
        ("memory: {summarise: choices:sum}", "", "agents.yaml", "choices.py has no function 'sum'"),
    ],
)
def test_every_function_that_agents_yaml_names_is_looked_at(
    run: Run, folder: Path, key: str, text: str, file: str, fault: str
) -> None:
    edit(folder / "agents.yaml", "starts:", f"{key}\nstarts:")
    (folder / "choices.py").write_text(text)
    (found,) = problems(run, folder)
    line = line_with(folder / "agents.yaml", key) if file == "agents.yaml" else 1
    assert found.startswith(f"{folder / file}:{line}: {fault}")


def test_contracts_must_read_their_predecessors(run: Run, folder: Path) -> None:
    contracts = folder / "contracts"
    (contracts / "previous").mkdir()
    changes = {
        "request.received": ('{"name": "sender", "type": "string", "format": "email"},', ""),
        "request.sorted": ('"problem"', '"complaint"'),
        "reply.written": (
            '{"name": "to", "type": "string"',
            '{"name": "old", "type": "int"}, {"name": "to", "type": "int"',
        ),
    }
    for name, (now, before) in changes.items():
        text = (contracts / f"{name}.avsc").read_text()
        assert now in text
        (contracts / "previous" / f"{name}.avsc").write_text(text.replace(now, before))
    sorted_now = contracts / "request.sorted.avsc"
    shorter = '{"name": "sender", "type": "string", "maxLength": 99'
    sorted_now.write_text(sorted_now.read_text().replace('{"name": "sender", "type": "string"', shorter))
    (contracts / "previous" / "gone.avsc").write_text('{"type": "record", "name": "gone", "fields": []}')
    found = "\n".join(problems(run, folder))
    assert "previous/gone.avsc:1: there is no contracts/gone.avsc" in found
    assert "request.received.avsc:7: " in found
    assert "field 'sender': it needs a default, for older events lack it" in found
    assert "field 'kind': older events may hold the symbols 'complaint'" in found
    assert "field 'to': reader type: string not compatible with writer type: int" in found
    assert "field 'sender' takes 99 characters, and older events may hold more" in found
    assert "field 'old' is gone, and a field that a contract lacks is refused" in found


@pytest.mark.flink
def test_own_functions_tables_and_sinks_are_planned(run: Run, folder: Path) -> None:
    """The example of sql/README.md, in an app outside the checkout."""
    udfs, sinks, requests = folder / "udfs.py", folder / "sql" / "sinks.sql", folder / "sql" / "requests.sql"
    blocks = re.findall(r"```(\w+) (\S+)\n(.*?)```", (SQL / "README.md").read_text(), re.S)
    for _, name, text in blocks:
        (folder / name).write_text(text)
    assert {name for _, name, _ in blocks} == {"udfs.py", "sql/sinks.sql"}
    edit(requests, "FROM events;", "FROM events WHERE domain(JSON_VALUE(data, '$.sender')) IS NOT NULL;")
    result = run("lint", str(folder))
    assert result.exit_code == 0, result.output
    assert "3 SQL files planned" in result.stdout

    edit(requests, "WHERE domain(", "WHERE domains(")
    assert problems(run, folder)[0].startswith(f"{requests}:{line_with(requests, 'domains')}: statement 2: ")
    edit(requests, "WHERE domains(", "WHERE domain(")
    edit(sinks, "FROM decisions", "FROM decision")
    assert problems(run, folder)[0].startswith(f"{sinks}:{line_with(sinks, 'FROM decision')}: statement 2: ")
    edit(sinks, "FROM decision", "FROM decisions")

    edit(udfs, "from pyflink.table import", "import handlers\nfrom pyflink.table import")
    (folder / "sql" / "sink.sql").write_text("SELECT 1;")
    assert problems(run, folder) == [
        f"{udfs}:{line_with(udfs, 'import handlers')}: it imports another file of the app, and udfs.py travels to the "
        "cluster alone; put what it needs into it, or into an installed package",
        f"{folder}/sql/sink.sql:1: no job loads this file; "
        "what an app may have is tables.sql, requests.sql, dispatch.sql, sinks.sql",
    ]
