"""Which app a command is about: one rule for all commands."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import yaml

from switchyard.cli.formatting import here
from switchyard.core import yamlfile
from switchyard.core.app import shipped
from switchyard.core.bundled import APPS
from switchyard.core.errors import AppError, SwitchyardError
from switchyard.core.settings import Settings

FILE = "agents.yaml"
EXAMPLE = "sdr"


@dataclass(frozen=True)
class KnownApp:
    """An app that the local stack serves, or that was submitted to it; `namespace` is where.

    `runs` tells that its worker or its job is there now.
    """

    name: str
    folder: Path
    namespace: str
    runs: bool

    @property
    def argument(self) -> str:
        """How a command names it: a bundled app by its name, any other by its folder."""
        return self.folder.name if self.folder.parent == APPS else here(self.folder)


def app_argument(named: str | None, settings: Settings, guess: bool = True) -> str:
    """The app that is meant, as `App.load` takes it.

    It is the one that was named; else the folder one stands in, or one around it, where that holds agents.yaml; else
    SWITCHYARD_APP; else, unless `guess` is False, the only app that the local stack has. Raises SwitchyardError, which
    lists what there is, where that names none.
    """
    if named is not None:
        return _named(named, settings)
    meant = _stood_in_or_set(settings)
    if meant is not None:
        return meant
    on_stack = arguments_on_stack(settings)
    if guess and len(on_stack) == 1:
        return on_stack[0]
    raise SwitchyardError(_which(on_stack, guess))


def app_or_example(named: str | None, settings: Settings) -> str:
    """As `app_argument`; where nothing at all says which app is meant, the bundled example."""
    nothing_said = named is None and _stood_in_or_set(settings) is None and not arguments_on_stack(settings)
    return EXAMPLE if nothing_said else app_argument(named, settings)


def apps_to_serve(named: Sequence[str], settings: Settings) -> list[str]:
    """The apps whose workers `up` starts; where none is named or set, all that the local stack has, or the example."""
    if named:
        return [app_argument(name, settings) for name in named]
    meant = _stood_in_or_set(settings)
    return [meant] if meant is not None else arguments_on_stack(settings) or [EXAMPLE]


def folder_around(folder: Path) -> Path | None:
    """The nearest folder, this one or one that holds it, with an agents.yaml."""
    return next((each for each in (folder, *folder.parents) if (each / FILE).is_file()), None)


def known_apps(settings: Settings) -> list[KnownApp]:
    """The apps of the local stack's record whose folders are still there, those that run first."""
    return sorted(_known(settings), key=lambda app: (not app.runs, app.name, app.namespace))


def arguments_on_stack(settings: Settings) -> list[str]:
    """The apps that run on the local stack, each once; where none runs, those that did."""
    apps = known_apps(settings)
    return list(dict.fromkeys(app.argument for app in apps if app.runs) or dict.fromkeys(app.argument for app in apps))


def _stood_in_or_set(settings: Settings) -> str | None:
    around = folder_around(Path.cwd())
    if around is not None:
        return here(around)
    return None if settings.app is None else _named(settings.app, settings)


def _named(name: str, settings: Settings) -> str:
    """A bundled app, a folder, or the name of an app that the stack's record has the folder of."""
    if name in shipped() or (Path(name).expanduser() / FILE).is_file():
        return name
    apps = known_apps(settings)
    argument = next((app.argument for app in apps if name in (app.name, app.namespace)), None)
    if argument is None:
        names = dict.fromkeys([*shipped(), *(app.name for app in apps)])
        message = f"there is no such app; name one of {', '.join(names)}, or a folder with an {FILE}"
        raise AppError(name, [message])
    return argument


def _known(settings: Settings) -> Iterator[KnownApp]:
    from switchyard.local.layout import Layout
    from switchyard.local.stack import Stack
    from switchyard.local.submitted_jobs import SubmittedJobs

    layout = Layout.of(settings)
    info = Stack(layout).info()
    served = info.apps if info is not None else {}
    try:
        folders = {**json.loads(layout.apps_file.read_text(encoding="utf-8")), **served}
    except (OSError, ValueError):
        folders = dict(served)
    jobs = {path.stem: SubmittedJobs(layout).load(path.stem) for path in layout.jobs.glob("*.json")}
    for namespace, job in jobs.items():
        if job is not None and namespace not in folders:
            folders[namespace] = str(APPS / job.app if job.app in shipped() else job.app)
    for namespace, folder in folders.items():
        name = _name_of(Path(folder))
        job = jobs.get(namespace)
        if name is not None:
            yield KnownApp(name, Path(folder), namespace, namespace in served or (job is not None and job.wanted))


def _name_of(folder: Path) -> str | None:
    """What agents.yaml calls the app; None where the folder holds none that can be read."""
    try:
        content = yamlfile.load((folder / FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError, yaml.YAMLError):
        return None
    name = content.get("app") if isinstance(content, dict) else None
    return name if isinstance(name, str) else None


def _which(on_stack: list[str], guess: bool) -> str:
    where = "the stack has" if on_stack else "there are"
    there = ", ".join(on_stack or shipped())
    reason = "" if guess else " (this command never guesses)"
    return (
        f"which app{reason}? Give its name or folder as APP or --app, stand in its folder, or set SWITCHYARD_APP; "
        f"{where} {there}"
    )
