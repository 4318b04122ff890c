"""Workflows run, something is killed, and afterwards nothing is lost and nothing was done twice."""

from __future__ import annotations

import random
import time

import pytest

from switchyard.environment import read_settings
from switchyard.local.stack import Stack
from tests.recovery.evidence import ended, lost, mails_again, repeated
from tests.recovery.kills import FLINK_PYTHON, KILLS, SHORT, Kill
from tests.recovery.rig import Rig, running

pytestmark = [pytest.mark.recovery, pytest.mark.e2e]

DECISIONS = 3.5
"""Decisions of one workflow, about."""


def test_nothing_is_lost_or_done_twice(request: pytest.FixtureRequest, stack: Stack) -> None:
    full = request.config.getoption("--full-recovery")
    seed = request.config.getoption("--seed")
    seed = random.randrange(10_000) if seed is None else seed
    beside = read_settings().python_mode == "process"
    chosen = request.config.getoption("--kill") or (None if full else SHORT)
    kills = [kill for kill in KILLS if chosen is None or kill.name in chosen]
    kills = [kill for kill in kills if beside or kill.name != FLINK_PYTHON]
    count = 200 if full else 12
    began = time.monotonic()
    say(f"\n{len(kills)} kills, {count} workflows running at each; again with --seed {seed}")
    trouble: list[str] = []
    with running(stack, seed, delay_s=0.3) as rig:
        for number, kill in enumerate(kills):
            line, found = one(rig, kill, f"k{number}", count, random.Random(f"{seed} {kill.name}"))
            say(f"{time.monotonic() - began:5.0f} s  {line}")
            trouble += found
        rig.until(rig.nothing_left, "the job did not commit all input")
        rig.look_again()
        trouble += [
            item for item in (*lost(rig.evidence, rig.workflows), *repeated(rig.evidence)) if item not in trouble
        ]
    assert not trouble, "\n".join(trouble)


def one(rig: Rig, kill: Kill, name: str, count: int, chance: random.Random) -> tuple[str, list[str]]:
    """Strike at a random moment while `count` new workflows run; what came of it, in a line, and what is wrong."""
    rig.until(rig.healthy, "the stack was not healthy again")
    before = (set(lost(rig.evidence, rig.workflows)), set(repeated(rig.evidence)), mails_again(rig.evidence))
    decided = len(rig.decided)
    mine = rig.send(name, count)
    share = chance.uniform(0.1, 0.6)
    rig.until(lambda: len(rig.decided) - decided > share * DECISIONS * count, "too few decisions")
    time.sleep(chance.uniform(0.0, 0.3))
    open_workflows = count - len(ended(rig.evidence).intersection(mine))
    rig.note = ""
    at = kill.strike(rig, chance)
    rig.until(rig.all_done, f"{kill.name}: not all had ended")
    rig.look_again()
    missing = [item for item in lost(rig.evidence, rig.workflows) if item not in before[0]]
    twice = [item for item in repeated(rig.evidence) if item not in before[1]]
    copies = mails_again(rig.evidence) - before[2]
    line = (
        f"KILL {kill.name}: lost {len(missing)}, repeated {len(twice)}, mails repeated {copies}, "
        f"recovered in {recovered(rig, kill, at)} ({open_workflows} workflows were open)"
        f"{rig.note and f'; {rig.note}'}"
    )
    return line, [f"{kill.name}: {item}" for item in (*missing, *twice)]


def recovered(rig: Rig, kill: Kill, at: float) -> str:
    """Time from the strike to the first mail or decision: of the job that came back, or about what came later."""
    if kill.life == "mail":
        first = rig.first_mail(at)
    elif kill.life == "job":
        first = rig.first_record(rig.runs_since() or at)
    else:
        first = rig.first_decision(at, ("model",) if kill.life == "model" else ())
    return "no time: nothing was left to do" if first is None else f"{first - at:.1f} s"


def say(line: str) -> None:
    print(line, flush=True)  # noqa: T201  # seen while it runs with -s, as `make test-recovery` does
