"""Serve agents: `python -m switchyard.worker APP --namespace NS [--agent NAME ...] --health-port N`."""

from __future__ import annotations

import argparse
import logging
import os
import signal
from collections.abc import Sequence

from sqlalchemy.exc import SQLAlchemyError

from switchyard import terminal
from switchyard.core.app import App
from switchyard.core.errors import SwitchyardError
from switchyard.core.model import BlockingModel, OpenAIModel, api_key
from switchyard.core.model.access import is_loopback
from switchyard.core.settings import Settings
from switchyard.environment import read_settings
from switchyard.worker.database import unavailable
from switchyard.worker.health import HealthServer
from switchyard.worker.worker import Worker, WorkerOptions

log = logging.getLogger("switchyard.worker")


def main(arguments: Sequence[str] | None = None) -> int:
    options = _options().parse_args(arguments)
    terminal.log_to_stderr("%(asctime)s %(levelname)-7s %(name)s %(message)s")
    for noisy, level in (("kafka", logging.ERROR), ("httpx2", logging.WARNING), ("openai", logging.WARNING)):
        logging.getLogger(noisy).setLevel(level)
    try:
        return _serve(options)
    except (SwitchyardError, ValueError, OSError) as error:
        terminal.complain(error)
        return 2
    except SQLAlchemyError as error:
        if not unavailable(error):
            raise
        return 2  # the log has the sentence


def _serve(options: argparse.Namespace) -> int:
    settings = read_settings()
    app = App.load(options.app)
    namespace = options.namespace or app.name
    model = open_model(settings, namespace)
    job = WorkerOptions(app, namespace, settings, options.agent, options.background, options.concurrency)
    worker = Worker(job, model)
    health = HealthServer(options.health_port, worker.report)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: worker.stop())
    worker.start()
    health.start()
    log.info("serving %s in %s; health on port %d", ", ".join(job.chosen()), namespace, health.port)
    worker.wait()
    log.info("stopping: running handlers finish first")
    try:
        worker.join()
    finally:
        health.close()
        if model is not None:
            model.close()
    log.info("stopped")
    return 0


def open_model(settings: Settings, namespace: str) -> BlockingModel | None:
    """The model of the settings; None where none is set. A server on this machine needs no key."""
    url, name = settings.openai_base_url, settings.model
    if url is None or name is None:
        return None
    key = api_key(settings.openai_api_key, url, embedded=not settings.openai_api_key and is_loopback(url))
    client = OpenAIModel(url, key, name, settings.model_deadline_s, settings.allow_remote_model, namespace=namespace)
    return BlockingModel(client)


def _options() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m switchyard.worker", description="Serves agents of an app.")
    parser.add_argument("app", help="name of an app, or path of its folder")
    parser.add_argument("--namespace", help="prefix of topics and groups; the app's name if not given")
    parser.add_argument("--agent", action="append", default=[], help="serve this agent only; may be repeated")
    parser.add_argument("--background", action="store_true", help="run background functions also with --agent")
    parser.add_argument("--health-port", type=int, default=0, help="port of GET /health; a free one if not given")
    parser.add_argument("--concurrency", type=int, default=8, help="messages at once for each agent")
    return parser


if __name__ == "__main__":
    code = main()
    logging.shutdown()
    os._exit(code)  # a thread in which a handler hangs would keep the process
