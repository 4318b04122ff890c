"""The text of agents' answers, from functions in the apps' own `offline.py`."""

import importlib.util
import json
import logging
from pathlib import Path
from types import ModuleType
from typing import Any

from switchyard.core.app import find, shipped

_log = logging.getLogger(__name__)


class NoTemplate(Exception):
    """No app folder, no `offline.py`, or no function of that name; the text says which."""


class TemplateFailed(Exception):
    """The app's function raised, or returned something that is not JSON; the log has the trace."""


class Templates:
    """Finds `def lead_scoring(facts) -> dict` for agent `lead-scoring`; reads changed files again.

    `apps_file` is a JSON object: namespace -> app folder. A shipped app is known by its name, which its namespaces
    begin with.
    """

    def __init__(self, apps_file: Path | None = None) -> None:
        self._apps_file = apps_file
        self._modules: dict[Path, tuple[int, ModuleType]] = {}

    def answer(self, namespace: str, agent: str, schema_name: str, facts: dict[str, Any]) -> str:
        """The answer as JSON text. Raises NoTemplate, TemplateFailed."""
        path = self._folder(namespace) / "offline.py"
        names = [name.replace("-", "_") for name in (agent, schema_name) if name]
        try:
            module = self._module(path)
            template = next((getattr(module, name) for name in names if hasattr(module, name)), None)
            if template is not None:
                return json.dumps(template(facts), ensure_ascii=False, allow_nan=False)
        except FileNotFoundError:
            raise NoTemplate(f"{path} does not exist: the offline model has no text for {agent}.") from None
        except Exception as error:
            _log.exception("offline template for %s/%s", namespace, agent)
            raise TemplateFailed(f"{path}: the template for {agent} failed.") from error
        raise NoTemplate(f"{path} has no function {' or '.join(names)}.")

    def _folder(self, namespace: str) -> Path:
        apps: dict[str, str] = {}
        if self._apps_file is not None and self._apps_file.exists():
            try:
                apps = json.loads(self._apps_file.read_text(encoding="utf-8"))
            except ValueError:
                raise NoTemplate(f"{self._apps_file} is not JSON.") from None
        if namespace in apps:
            return Path(apps[namespace])
        for app in shipped():
            if namespace == app or namespace.startswith(f"{app}-"):
                return find(app)[0]
        raise NoTemplate(f"No app folder is known for namespace {namespace!r}.")

    def _module(self, path: Path) -> ModuleType:
        changed = path.stat().st_mtime_ns
        cached = self._modules.get(path)
        if cached is not None and cached[0] == changed:
            return cached[1]
        spec = importlib.util.spec_from_file_location(f"offline_{abs(hash(path))}", path)
        if spec is None or spec.loader is None:
            raise NoTemplate(f"{path} cannot be loaded.")
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        self._modules[path] = (changed, module)
        return module
