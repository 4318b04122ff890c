"""An app: a folder with agents, contracts, a router's prompt, handlers and SQL."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import yaml
from pydantic import ValidationError

from switchyard.core import yamlfile
from switchyard.core.agents_file import AgentsFile
from switchyard.core.app_checks import problems_of, unasked_senders
from switchyard.core.app_problem import AppProblem
from switchyard.core.bundled import APPS, SQL
from switchyard.core.contract import Contract
from switchyard.core.errors import AppError
from switchyard.core.extensions import AppExtensions
from switchyard.core.registry import Registry
from switchyard.core.routing.prompt import DEFAULT_ROUTER_PROMPT, prompt_problems
from switchyard.core.schema_errors import schema_problems
from switchyard.core.settings import Settings


@dataclass(frozen=True)
class App:
    """`folder` holds agents.yaml, contracts/ and handlers; `sql` its statements and tests."""

    name: str
    folder: Path
    sql: Path
    registry: Registry

    @property
    def extensions(self) -> AppExtensions:
        """The app's own Python that runs inside Flink."""
        own = self.registry.extensions
        return own if isinstance(own, AppExtensions) else AppExtensions(self.registry.file, self.folder)

    @classmethod
    def load(cls, name_or_path: str) -> App:
        """An app that ships with Switchyard, by name, or any folder, by path.

        Raises AppError with every problem found.
        """
        folder, sql = find(name_or_path)
        registry = _registry(folder)
        return cls(registry.app, folder, sql, registry)


def check_senders(app: App, settings: Settings) -> None:
    """Raise AppError where mails would leave and nobody has said whether a person is asked before."""
    problems = unasked_senders(app.registry.file, settings)
    if problems:
        raise AppError(app.name, problems)


def shipped() -> list[str]:
    """Names of the apps that ship with Switchyard."""
    return sorted(path.parent.name for path in APPS.glob("*/agents.yaml"))


def find(name_or_path: str) -> tuple[Path, Path]:
    """The folder of an app and the folder of its SQL. Raises AppError where there is none."""
    if name_or_path in shipped():
        return APPS / name_or_path, SQL / name_or_path
    folder = Path(name_or_path).expanduser().resolve()
    if (folder / "agents.yaml").is_file():
        return folder, SQL / folder.name if folder.parent == APPS else folder / "sql"
    raise AppError(
        name_or_path,
        [f"there is no such app; name one of {', '.join(shipped())}, or a folder with an agents.yaml"],
    )


def _registry(folder: Path) -> Registry:
    file = _agents_file(folder)
    problems: list[AppProblem] = []
    contracts = {}
    names = []
    for path in sorted((folder / "contracts").glob("*.avsc")):
        names.append(path.name.removesuffix(".avsc"))
        try:
            contracts[names[-1]] = Contract.load(path).schema
        except ValueError as error:
            message, line = str(error).removeprefix(f"{path.name}: "), getattr(error.__context__, "lineno", 1)
            problems.append(AppProblem(message, file=f"contracts/{path.name}", line=line))
    router = folder / "router.md"
    prompt = router.read_text(encoding="utf-8") if router.is_file() else DEFAULT_ROUTER_PROMPT
    problems += prompt_problems(prompt)
    problems += problems_of(file, names)
    if problems:
        raise AppError(folder.name, problems)
    return Registry(file, contracts, prompt, AppExtensions(file, folder))


def _agents_file(folder: Path) -> AgentsFile:
    try:
        content = yamlfile.load((folder / "agents.yaml").read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        mark = getattr(error, "problem_mark", None)
        what = getattr(error, "problem", None) or " ".join(str(error).split())
        problem = AppProblem(f"it is not YAML: {what}", line=mark.line + 1 if mark else 1)
        raise AppError(folder.name, [problem]) from None
    try:
        return AgentsFile.model_validate(content)
    except ValidationError as error:
        raise AppError(folder.name, list(schema_problems(content, error))) from None
