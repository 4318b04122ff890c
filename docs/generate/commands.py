"""docs/reference/cli.md, from the commands themselves."""

from __future__ import annotations

from typing import Any

import typer.main

from docs.generate.markdown import GENERATED, item, wrapped
from switchyard.cli.main import app

HEAD = """The command `switchyard`, as its `--help` says it. An app is its name, or the folder of its `agents.yaml`.
Where none is named, the folder that you stand in is meant, else `SWITCHYARD_APP`, else the only one that is submitted;
`send` and `new agent` never guess. Exit code 0 is success, 1 a problem that is told in a sentence, 2 a wrong argument,
130 an interruption."""


def page() -> str:
    root: Any = typer.main.get_command(app)
    context = root.make_context("switchyard", [], resilient_parsing=True)
    parts = ["# Commands", GENERATED, wrapped(" ".join(HEAD.split())), _parameters(root, context)]
    group = None
    for name in root.list_commands(context):
        command = root.get_command(context, name)
        if command.rich_help_panel != group:
            group = command.rich_help_panel
            parts.append(f"## {group}")
        parts += _command(command, context, f"switchyard {name}", "###")
    return "\n\n".join(parts) + "\n"


def _command(command: Any, parent: Any, path: str, level: str) -> list[str]:
    context = command.context_class(command, info_name=path, parent=parent)
    parts = [f"{level} {path}", wrapped(" ".join((command.help or "").split("\f")[0].split()))]
    if hasattr(command, "list_commands"):
        for name in command.list_commands(context):
            parts += _command(command.get_command(context, name), context, f"{path} {name}", "####")
        return parts
    usage = " ".join([path, *command.collect_usage_pieces(context)])
    parts.append(f"```\n{usage}\n```")
    parameters = _parameters(command, context)
    return [*parts, parameters] if parameters else parts


def _parameters(command: Any, context: Any) -> str:
    return "\n".join(
        item(_described(parameter, context))
        for parameter in command.get_params(context)
        if parameter.name != "help" and not getattr(parameter, "hidden", False)
    )


def _described(parameter: Any, context: Any) -> str:
    """`--name VALUE`: what it does, and what it is where it is not given."""
    if parameter.param_type_name == "argument":
        names = (parameter.metavar or parameter.name.upper()).removesuffix("...")
        names += "..." if parameter.nargs != 1 else ""
    else:
        names = "`, `".join((*parameter.opts, *parameter.secondary_opts))
        names += "" if parameter.is_flag else f" {parameter.make_metavar(ctx=context)}"
    told = " ".join((parameter.help or "").split())
    default = parameter.get_default(context)
    shown = parameter.show_default and default not in (None, False, "", (), []) and not callable(default)
    return f"`{names}`: {told}" + (f" Default: `{default}`." if shown else "")
