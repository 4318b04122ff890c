"""The environment of this process: read here and nowhere else, once, where the process starts."""

from __future__ import annotations

import os
import re
import sys
import sysconfig
from collections.abc import Iterable
from difflib import get_close_matches
from itertools import dropwhile
from pathlib import Path

from pydantic import Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from switchyard.core.errors import SettingsError
from switchyard.core.settings import SHORTEST_KEY, Settings

PREFIX = "SWITCHYARD_"
INTERNAL = frozenset(("SWITCHYARD_STACK_ID", "SWITCHYARD_MODEL_FAULTS"))
"""Variables that our processes set for each other."""

_OF_KUBERNETES = re.compile(r"_(SERVICE_HOST|SERVICE_PORT(_\w+)?|PORT(_\d+_(TCP|UDP|SCTP)(_\w+)?)?)$")
"""How a variable ends that a pod is given for each service; one may be called switchyard-kafka."""


class _Environment(Settings, BaseSettings):
    model_config = SettingsConfigDict(env_prefix=PREFIX, extra="ignore", populate_by_name=True)


class TaskManagerAccess(BaseSettings):
    """What a TaskManager's own environment says; none of it ever travels with a job."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, frozen=True, extra="ignore")

    openai_api_key: SecretStr | None = Field(default=None, validation_alias="OPENAI_API_KEY", repr=False)
    allow_remote_model: bool = True
    dispatch_key: SecretStr | None = Field(default=None, min_length=SHORTEST_KEY, repr=False)


def read_settings(**overrides: object) -> Settings:
    """Return the environment's settings, with `overrides` (None means not given) before them.

    Raises SettingsError with one sentence for each thing that is wrong, a misspelt variable among them.
    """
    problems = _misspelt(os.environ)
    values = {name: value for name, value in overrides.items() if value is not None}
    try:
        settings = Settings(**dict(_Environment(**values)))  # type: ignore[arg-type]
    except ValidationError as error:
        problems += _sentences(error)
    if problems:
        raise SettingsError("; ".join(problems))
    return settings


def read_own_access() -> TaskManagerAccess:
    """Return the keys and the switch, for a process that is told all else by its job.

    Raises SettingsError as `read_settings`.
    """
    problems = _misspelt(os.environ)
    try:
        access = TaskManagerAccess()
    except ValidationError as error:
        problems += _sentences(error)
    if problems:
        raise SettingsError("; ".join(problems))
    return access


def python_path() -> str:
    """Return where a Python that knows nothing of this virtual environment finds ours and what is installed."""
    installed = dropwhile(lambda place: place != sysconfig.get_path("purelib"), sys.path)
    return os.pathsep.join(dict.fromkeys((str(Path(__file__).parents[1]), *installed)))


def variable(field: str) -> str:
    """Return the environment variable of a setting."""
    alias = Settings.model_fields[field].validation_alias
    return str(alias) if alias is not None else PREFIX + field.upper()


def variables() -> dict[str, str]:
    """Return the variable of every setting, with what it is for."""
    return {variable(name): field.description or "" for name, field in Settings.model_fields.items()}


def _misspelt(names: Iterable[str]) -> list[str]:
    """A sentence for each variable that looks like a setting, in whatever case, and is none."""
    variable_names = set(variables()) | INTERNAL
    unknown = [name for name in sorted(names) if name.upper().startswith(PREFIX) and name not in variable_names]
    return [_no_such(name, variable_names) for name in unknown if not _OF_KUBERNETES.search(name)]


def _no_such(name: str, variable_names: Iterable[str]) -> str:
    by_suffix = {other.removeprefix(PREFIX): other for other in sorted(variable_names)}
    near = get_close_matches(name.upper().removeprefix(PREFIX), by_suffix, n=1)
    return f"{name}: there is no such setting; " + (f"did you mean {by_suffix[near[0]]}?" if near else "unset it")


def _sentences(error: ValidationError) -> list[str]:
    sentences = []
    for item in error.errors():
        field = ".".join(str(part) for part in item["loc"])
        name = field if field.isupper() or not field else PREFIX + field.upper()
        message = item["msg"].removeprefix("Value error, ")
        sentences.append(f"{name}: {message}" if name else message)
    return sentences
