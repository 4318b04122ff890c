"""Test cases as data: `sql/<app>/tests/*.yaml`, each a list of cases that know their lines."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from switchyard.core import yamlfile
from switchyard.core.app import App
from switchyard.core.bundled import shown
from switchyard.core.errors import SwitchyardError
from switchyard.core.ledger.record import Action, DecidedBy
from switchyard.core.orchestrator.workflow import WorkflowStatus


class CaseError(SwitchyardError):
    """A file of cases that cannot be used; the text begins with file and line."""


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class InputLines(_Strict):
    """Lines for an input topic: text is sent as it is, an object as JSON."""

    topic: str
    lines: list[str | dict[str, Any]]


class ExpectedDecision(_Strict):
    """What is named must be so. `reason` and `failed` are compared too; `event` is the type decided about."""

    event: str | None = None
    action: Action | None = None
    agents: list[str] | None = None
    by: DecidedBy | None = None
    reason: str | None = None
    code: str | None = None
    failed: list[str] | None = None


class ExpectedDeadLetter(_Strict):
    """`topic` without the namespace; `event` is the type, where the original is an event."""

    reason: str
    field: str | None = None
    topic: str | None = None
    event: str | None = None


class Expected(_Strict):
    """What must have come of a case. What is not named is not compared, but for dead letters: by default none.

    `decisions` are all there are, `decisions_include` some of them. `dispatches` holds an agent once for each event
    that it got, however many attempts at it there were.
    """

    status: WorkflowStatus | Literal["none"] | None = None
    decisions: list[ExpectedDecision] | None = None
    decisions_include: list[ExpectedDecision] | None = None
    dispatches: list[str] | None = None
    dead_letters: list[ExpectedDeadLetter] = Field(default_factory=list)
    duplicates: int | None = None
    model_calls: int | None = None


class CaseFile(_Strict):
    """One case as it is written."""

    name: str
    workflow: str
    input: InputLines | None = None
    events: list[str | dict[str, Any]] = Field(default_factory=list)
    model: dict[str, Any] = Field(default_factory=dict)
    agents: dict[str, Any] = Field(default_factory=dict)
    handlers: Literal["real"] | None = None
    expect: Expected


@dataclass(frozen=True)
class Case:
    """A case with its place. `line_of("expect", "decisions", 1)` is the line of that item, or of what holds it."""

    file: Path
    content: CaseFile
    node: yaml.Node = field(repr=False, compare=False)

    @property
    def name(self) -> str:
        return self.content.name

    def line_of(self, *path: str | int) -> int:
        return yamlfile.line(self.node, path)

    def place(self, *path: str | int) -> str:
        return f"{shown(self.file)}:{self.line_of(*path)}"


def load(app: App) -> list[Case]:
    """All cases of an app. Raises CaseError where one cannot be read, or two share a name or a workflow."""
    folder = app.sql / "tests"
    cases = [case for path in sorted(folder.glob("*.yaml")) for case in _file(path)]
    if not cases:
        raise CaseError(f"{shown(folder)}: there are no cases; write {shown(folder / 'routing.yaml')}")
    for attribute in ("name", "workflow"):
        first: dict[str, Case] = {}
        for case in cases:
            value = getattr(case.content, attribute)
            if value in first:
                raise CaseError(
                    f"{case.place(attribute)}: {attribute} {value!r} is that of {first[value].place()}, too"
                )
            first[value] = case
    for case in cases:
        _check(case, app)
    return cases


def _check(case: Case, app: App) -> None:
    content = case.content
    inputs = [item.topic for item in app.registry.file.inputs]
    if content.input is not None and content.input.topic not in inputs:
        raise CaseError(f"{case.place('input', 'topic')}: the app has no input {content.input.topic!r}")
    if content.input is None and not content.events:
        raise CaseError(f"{case.place()}: a case needs `input` or `events`")
    for name in content.agents:
        if name not in app.registry.agents:
            raise CaseError(f"{case.place('agents', name)}: the app has no agent {name!r}")
    for name in content.model:
        if name not in app.registry.contracts:
            raise CaseError(f"{case.place('model', name)}: the app has no event type {name!r}")


class _Loader(yaml.SafeLoader):
    """Times stay text, as JSON has them."""


_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:timestamp"]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


def _file(path: Path) -> list[Case]:
    try:
        text = path.read_text(encoding="utf-8")
        root, values = yaml.compose(text, _Loader), yaml.load(text, _Loader)  # noqa: S506
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        mark = getattr(error, "problem_mark", None)
        problem = getattr(error, "problem", None) or "not UTF-8 text"
        raise CaseError(f"{shown(path)}:{mark.line + 1 if mark else 1}: {problem}") from None
    if not isinstance(values, list) or not isinstance(root, yaml.SequenceNode):
        raise CaseError(f"{shown(path)}:1: expected a list of cases, each beginning with `- name:`")
    return [_case(path, node, value) for node, value in zip(root.value, values, strict=True)]


def _case(path: Path, node: yaml.Node, value: Any) -> Case:
    try:
        return Case(path, CaseFile.model_validate(value), node)
    except ValidationError as error:
        first = error.errors()[0]
        where: Sequence[str | int] = first["loc"]
        line = yamlfile.line(node, where)
        raise CaseError(f"{shown(path)}:{line}: {'.'.join(map(str, where))}: {first['msg']}") from None
