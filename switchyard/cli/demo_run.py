"""A demo: an app end to end, in a namespace of its own, on the local stack."""

from __future__ import annotations

import os
import secrets
import time
from dataclasses import dataclass
from pathlib import Path

from switchyard import terminal
from switchyard.cli.formatting import program
from switchyard.cli.live import Screen
from switchyard.cli.observe import TopicObserver
from switchyard.cli.send import lines, workflow_of
from switchyard.cli.summary import demo_environment, in_words, logs_of, lost, still_to_do, summary
from switchyard.core.app import App, check_senders
from switchyard.core.errors import SwitchyardError
from switchyard.core.settings import Settings
from switchyard.core.topics import Topics
from switchyard.deployment.stop import FlinkTarget, end
from switchyard.deployment.submit import Submission, check_slots, prepare_topics, submit
from switchyard.deployment.target import Target
from switchyard.flink.rest import Flink
from switchyard.kafka.admin import Cluster
from switchyard.local.demo_runs import DemoRuns
from switchyard.local.info import StackInfo
from switchyard.local.options import StackOptions
from switchyard.local.stack import Stack
from switchyard.worker.background import BackgroundContext
from switchyard.worker.database import database_url, open_database

STALLED_S = 300.0
EVENTS = "events.jsonl"


@dataclass(frozen=True)
class Demo:
    """One run: an app, the lines for its first input, events for agent-messages, a namespace that nothing else uses."""

    app: App
    argument: str
    namespace: str
    lines: list[bytes]
    events: list[bytes]
    stateless: bool

    @property
    def size(self) -> int:
        """How many records it sends."""
        return len(self.lines) + len(self.events)

    @property
    def most_calls(self) -> int:
        """About how many model calls it may make: each agent asks once, and so does the router before each."""
        return 2 * self.size * len(self.app.registry.agents)


def run_demo(argument: str, settings: Settings, stop: bool, as_json: bool, file: Path | None, stateless: bool) -> None:
    """Run an app to its end. Raises SwitchyardError where something is missing then."""
    loaded = App.load(argument)
    check_senders(loaded, settings)
    events = [] if file else _read(loaded.folder / EVENTS)
    planned = Demo(loaded, argument, f"{loaded.name}-{secrets.token_hex(3)}", _lines(loaded, file), events, stateless)
    screen = Screen(quiet=as_json)
    stack = Stack.of(settings)
    runs = DemoRuns(stack.layout)
    screen.say(_model(settings))
    agents = len(loaded.registry.agents)
    screen.say(f"It will be asked {planned.most_calls} times at most, for {planned.size} records and {agents} agents.")
    problems: list[str] = ["it was interrupted"]
    with runs.running(planned.namespace):
        try:
            problems = _run(planned, stack, runs, settings, screen)
        finally:
            if stop:
                _leave(planned, stack, runs, settings, screen)
    if not stop:
        screen.say(f"The stack is up. Stop it: {program()} down")
    if as_json:
        terminal.say_json([screen.figures])
    if problems:
        raise SwitchyardError("; ".join(problems))


def _leave(planned: Demo, stack: Stack, runs: DemoRuns, settings: Settings, screen: Screen) -> None:
    """Stop what this demo started, and nothing else: the stack only where it did so, and no other demo runs on it."""
    others = [namespace for namespace in runs.active() if namespace != planned.namespace]
    info = stack.info()
    runs.forget(planned.namespace)
    if info is None:
        return
    ours = info.started_by == os.getpid()
    down = ours and not others
    if down:
        screen.say("Stopping the job and the stack ...")
    else:
        why = f"{others[0]} runs on it" if ours and others else "it was up before"
        screen.say(f"Stopping this demo's job and worker; the stack stays up, for {why}.")
    try:
        if settings.flink is not None or not down:
            end(planned.namespace, FlinkTarget.find(settings, info))
    finally:
        if down:
            stack.down()
        elif planned.namespace in info.apps:
            stack.remove_app(planned.namespace)


def _run(planned: Demo, stack: Stack, runs: DemoRuns, settings: Settings, screen: Screen) -> list[str]:
    with screen.step("Bringing the local stack up"):
        info = stack.up([], StackOptions.of(settings), screen.say)
    _end_earlier(stack, info, runs, settings, screen)
    started = time.monotonic()
    target = Target.find(settings, info)
    check_slots(Flink(target.flink), settings.parallelism)
    prepare_topics(Cluster(target.kafka), planned.app, planned.namespace, lambda line: None)
    with screen.step("Starting the agents"):
        info = stack.add_app(planned.argument, planned.namespace, _environment(planned.app))
    wanted = Submission(planned.argument, planned.namespace, planned.stateless)
    with screen.step("Flink is planning the SQL and starting the job"):
        job = submit(wanted, target, settings, screen.say)
    topics = Topics(planned.namespace)
    sent = {topics.named(planned.app.registry.file.inputs[0].topic): planned.lines}
    if planned.events:
        sent[topics.agent_messages] = planned.events
    for topic, records in sent.items():
        Cluster(target.kafka).send(topic, [(workflow_of(line), line) for line in records])
        screen.say(f"Sent {len(records)} records to {topic}.")
    observer = TopicObserver(Cluster(target.kafka), planned.app, planned.namespace, planned.stateless)
    try:
        _follow(planned, observer, info, settings, screen)
    finally:
        observer.close()
    observed = observer.observed
    figures = summary(planned.app, observed, info, planned.namespace, time.monotonic() - started)
    screen.finish(figures, observed, info, planned.namespace, f"{target.flink}/#/job/{job.job_id}/overview")
    return lost(planned.size, figures, observed, logs_of(info, planned.namespace))


def _follow(planned: Demo, observer: TopicObserver, info: StackInfo, settings: Settings, screen: Screen) -> None:
    """Until every workflow has ended and nothing is left to send. Raises SwitchyardError when all stands still."""
    context = _context(planned, settings)
    moved = time.monotonic()
    asked = 0.0
    with screen.live():
        while True:
            new = observer.poll(0.2)
            screen.show(observer.observed, new)
            now = time.monotonic()
            if new:
                moved = now
            if now - asked > 0.5 and (observer.observed.all_ended or now - moved > 3):
                asked = now
                if observer.finished():
                    left = still_to_do(planned.app, context)
                    if left == 0:
                        return
                    screen.waiting(in_words(planned.app, left))
                    moved = now
            if now - moved > STALLED_S:
                raise SwitchyardError(
                    f"nothing has moved for {STALLED_S:.0f} s; look at {info.flink} "
                    f"and into {logs_of(info, planned.namespace)}"
                )


def _end_earlier(stack: Stack, info: StackInfo, runs: DemoRuns, settings: Settings, screen: Screen) -> None:
    """Stop job and worker of demos whose own process has ended; what they wrote stays."""
    flink_target = FlinkTarget.find(settings.model_copy(update={"flink": info.flink}), info)
    for namespace in runs.ended():
        if namespace in info.apps:
            screen.say(f"Stopping the earlier demo {namespace} ...")
            end(namespace, flink_target)
            stack.remove_app(namespace)
        runs.forget(namespace)


def _lines(app: App, file: Path | None) -> list[bytes]:
    """The records to send: every line that is not blank, as the bytes it is."""
    inputs = app.registry.file.inputs
    if not inputs:
        raise SwitchyardError(f"app {app.name!r} has no inputs in agents.yaml, so a demo has nowhere to send to")
    path = file or app.folder / f"{inputs[0].topic.removeprefix('incoming-')}.jsonl"
    if not path.is_file():
        raise SwitchyardError(f"{path} is missing; give a file of records, one a line, with --input FILE")
    return _read(path)


def _read(path: Path) -> list[bytes]:
    return lines(path.read_bytes()) if path.is_file() else []


def _environment(app: App) -> dict[str, str]:
    """What the app's `demo.py` wants its worker to be told, unless the environment says otherwise."""
    return {name: os.environ.get(name, value) for name, value in demo_environment(app).items()}


def _model(settings: Settings) -> str:
    if settings.embedded_model:
        return "Model: the embedded offline model (no language model behind it), on this machine."
    return f"Model: {settings.model} at {settings.openai_base_url}."


def _context(planned: Demo, settings: Settings) -> BackgroundContext:
    database = open_database(database_url(settings, planned.namespace))
    return BackgroundContext(planned.app.name, planned.namespace, database)
