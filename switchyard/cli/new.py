"""The commands `new app` and `new agent`."""

from __future__ import annotations

from typing import Annotated

import typer

from switchyard import terminal
from switchyard.cli.options import AppNeverGuessed

new = typer.Typer(help="Make an app, or one more agent of an app.", no_args_is_help=True)


@new.command("app")
def new_app(
    name: Annotated[str, typer.Argument(metavar="NAME|PATH", help="A name, or a path whose last part is the name.")],
) -> None:
    """Make the folder of a small app that passes `lint` and `test` and runs in `demo`."""
    from switchyard.cli.formatting import here
    from switchyard.cli.newapp import create
    from switchyard.environment import read_settings

    read_settings()
    folder, files = create(name)
    shown = here(folder)
    terminal.say(f"Made {shown} with {len(files)} files: {', '.join(files)}.")
    terminal.say(f"Check it: switchyard lint {shown}     Run its cases: switchyard test {shown}")
    terminal.say(f"See it run: switchyard demo {shown}   Add an agent: switchyard new agent NAME --app {shown}")


@new.command("agent")
def new_agent(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Lower-case words joined by dashes.")],
    app: AppNeverGuessed = None,
    accepts: Annotated[
        str | None, typer.Option("--accepts", help="The event type it takes; the first one under starts: if not given.")
    ] = None,
    emits: Annotated[
        str | None, typer.Option("--emits", help="The event type it answers with; NAME.done, a new one, if not given.")
    ] = None,
    description: Annotated[
        str | None, typer.Option("--description", help="What it is for: this is what the router chooses by.")
    ] = None,
) -> None:
    """Add an agent to an app: its entry, a contract where its event type is new, a handler, an offline answer."""
    from switchyard.cli.app_choice import app_argument
    from switchyard.cli.formatting import here
    from switchyard.cli.newagent import NewAgent, add
    from switchyard.core.app import App
    from switchyard.environment import read_settings

    argument = app_argument(app, read_settings(), guess=False)
    loaded = App.load(argument)
    made = add(loaded, NewAgent.of(loaded, name, accepts, emits, description))
    for change in made:
        terminal.say(change)
    function = name.replace("-", "_")
    terminal.say(
        f"Now: say in agents.yaml when {name} should act, and write {function}() in {here(loaded.folder)}/handlers.py."
    )
    terminal.say(f"Then: switchyard lint {argument}")
