"""python -m switchyard.local.model_server --port N: the embedded model server, on loopback only."""

import argparse
import os
import sys
from pathlib import Path

import uvicorn

from switchyard.local.model_server import behaviour
from switchyard.local.model_server.app import create_app
from switchyard.local.model_server.calls import Calls
from switchyard.local.model_server.habits import HABITS, with_habit
from switchyard.local.model_server.templates import Templates
from switchyard.terminal import complain, log_to_stderr

FAULTS = "SWITCHYARD_MODEL_FAULTS"


def main() -> None:
    """Serve until stopped."""
    parser = argparse.ArgumentParser(prog="python -m switchyard.local.model_server", description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--apps", type=Path, help="JSON file: namespace -> app folder")
    parser.add_argument("--delay-s", type=float, default=0.0, help="median latency of an answer")
    parser.add_argument("--delay-sigma", type=float, default=0.0, help="sigma of the lognormal latency")
    parser.add_argument("--seed", type=int, default=0, help="for latencies and faults")
    parser.add_argument("--hang-on", metavar="TEXT", help="never answer a question that has this in it")
    parser.add_argument("--script", type=Path, help="JSON file: what happens to the first calls")
    parser.add_argument("--habit", choices=HABITS, help="what it does to a request, or to an answer")
    args = parser.parse_args()
    try:
        faults = float(os.environ.get(FAULTS) or 0.0)
        behave = behaviour.from_file(args.script) if args.script else behaviour.in_turn([])
    except (OSError, ValueError, TypeError) as error:
        complain(f"{args.script or FAULTS}: {error}")
        sys.exit(1)
    if args.habit:
        behave = with_habit(args.habit, behave)
    if faults:
        behave = behaviour.failing(faults, args.seed, behave)
    if args.hang_on:
        behave = behaviour.hanging(args.hang_on, behave)
    behave = behaviour.slow(args.delay_s, args.delay_sigma, args.seed, behave)
    log_to_stderr("%(asctime)s %(levelname)s %(message)s")
    app = create_app(Templates(args.apps), Calls(), behave)
    uvicorn.run(app, host="127.0.0.1", port=args.port, access_log=False, log_config=None)


if __name__ == "__main__":
    main()
