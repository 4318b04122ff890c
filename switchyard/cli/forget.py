"""The command `forget`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import asdict, replace
from functools import partial
from typing import TYPE_CHECKING, Annotated

import typer

from switchyard import terminal
from switchyard.cli import formatting
from switchyard.cli.options import AppName, Json, Kafka, OwnNamespace
from switchyard.core.errors import SwitchyardError

if TYPE_CHECKING:
    from pathlib import Path

    from switchyard.cli.options import AppOnKafka
    from switchyard.core.erasure import Erasure, ReceiptLine, Removal
    from switchyard.core.settings import Settings
    from switchyard.worker.erasure import WorkerStores

FLINK = "Flink's checkpoints and savepoints"
FLINK_NOTE = "older ones may hold it until they are deleted: stop with a savepoint, submit from it, delete the others"


def forget(
    subject: Annotated[
        str, typer.Option("--subject", metavar="EMAIL|WORKFLOW", help="A mail address, or the id of a workflow.")
    ],
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask before removing.")] = False,
    app: AppName = None,
    namespace: OwnNamespace = None,
    kafka: Kafka = None,
    as_json: Json = False,
) -> None:
    """Find everything about a person, or a workflow, in topics, stores, mails and memory, and remove it.

    It says what is there, and asks. The receipt says of each place what was done, and of what is kept, until when.

    The audit keeps the receipt, under a hash of the subject. Workflows that have not ended are refused: cancel them.

    Run it where the workers run, or with their SWITCHYARD_DATABASE.
    """
    from switchyard.cli.namespace_choice import changed_namespace
    from switchyard.cli.options import AppOnKafka
    from switchyard.environment import read_settings
    from switchyard.worker.erasure import WorkerStores

    if as_json and not yes:
        raise SwitchyardError("--json asks nothing; give --yes, too, or look first without --json")
    target = AppOnKafka.find(app, namespace, kafka, changed_namespace)
    settings = read_settings(kafka=kafka)
    with _sentences(), closing(WorkerStores(target.app, target.topics.namespace, settings)) as stores:
        erasure, removals = _found(target, settings, stores, subject)
        if not removals:
            if not as_json:
                terminal.say(f"Nothing in {target.topics.namespace} is about it.")
            return
        if not yes:
            _ask(erasure, [removal.line for removal in removals])
        receipt = [removal.done() for removal in removals]
    if as_json:
        terminal.say_json({**asdict(line), "until": formatting.iso(line.until)} for line in receipt)
    else:
        _table(receipt)
    _tell(target, erasure, receipt)
    if not as_json:
        terminal.say(f"The audit has this receipt, about {erasure.digest}: switchyard audit --json {target.options}")


@contextmanager
def _sentences() -> Iterator[None]:
    """Raises SwitchyardError for what a database raises."""
    from sqlalchemy.exc import SQLAlchemyError

    try:
        yield
    except SQLAlchemyError as error:
        raise SwitchyardError(
            f"the workers' store cannot do its work now ({type(error).__name__}): is its server away, its disk full? "
            "Then run this again; what was removed stays so"
        ) from error


def _ask(erasure: Erasure, lines: Sequence[ReceiptLine]) -> None:
    """Show what there is. Raises SwitchyardError where nobody agrees to its removal."""
    if erasure.workflow_ids:
        terminal.say(f"Workflows that are forgotten as a whole: {', '.join(sorted(erasure.workflow_ids))}")
    _table(lines)
    formatting.agreed("Do this? Nothing brings back what is removed.")


def _found(target: AppOnKafka, settings: Settings, stores: WorkerStores, subject: str) -> tuple[Erasure, list[Removal]]:
    """What is to be forgotten, and every place of it. Raises SwitchyardError where a workflow has not ended."""
    from switchyard.cli import control_client
    from switchyard.core.erasure import Erasure, ReceiptLine, Removal
    from switchyard.kafka.erasure import TopicErasure
    from switchyard.local.layout import Layout
    from switchyard.local.mail_folder import mails_about
    from switchyard.worker.memory.store import record_key

    target.require(target.topics.control, target.topics.audit)
    control_client.shards_of(target)  # which raises, before anything is removed, where the job could not be told
    if control_client.paused(target) is not None:
        raise SwitchyardError(
            f"{target.topics.namespace} is paused, and it is not known whose events it holds; go on first: "
            f"switchyard resume {target.again}"
        )
    topics = TopicErasure(target.app, target.topics, target.cluster)
    if topics.stores() - {stores.id}:
        raise SwitchyardError(
            "the workers keep what they did in another store than the one that is found here: run this where they "
            "run, or set SWITCHYARD_DATABASE as they have it"
        )
    erasure, claimed = Erasure.of(subject), set()
    if erasure.address is not None:
        claimed = topics.claimed(erasure)
        erasure = replace(erasure, workflow_ids=frozenset(topics.workflow_ids(erasure) | stores.workflow_ids(erasure)))
    unended = _unended(target)
    _check_ended(target, sorted(unended & (claimed | erasure.workflow_ids)))
    removals = stores.removals(erasure)
    mail = Layout.of(settings).mail
    files = mails_about(mail, target.topics.namespace, erasure, topics.message_ids(erasure))
    if files:
        removals.append(Removal(ReceiptLine(f"mails in {mail}", len(files), "removed"), partial(_unlink, files)))
    memories = {record_key(entry) for entry in stores.remembered(erasure)}
    removals += topics.removals(erasure, unended, memories)
    if removals:
        removals.append(Removal(topics.kept_request(len(erasure.workflow_ids))))
        removals.append(Removal(ReceiptLine(FLINK, len(erasure.workflow_ids), "kept", note=FLINK_NOTE)))
    return erasure, removals


def _unended(target: AppOnKafka) -> set[str]:
    from switchyard.cli import reading
    from switchyard.cli.workflows import all_workflows

    return {item["workflow_id"] for item in all_workflows(target) if not reading.has_ended(item)}


def _check_ended(target: AppOnKafka, running: Sequence[str]) -> None:
    if running:
        others = f" and {len(running) - 1} more have" if len(running) > 1 else " has"
        raise SwitchyardError(
            f"workflow {running[0]}{others} not ended, and what still runs would remember anew; wait for the end, or: "
            f"switchyard cancel {running[0]} {target.options}"
        )


def _unlink(files: Sequence[Path]) -> None:
    for file in files:
        file.unlink(missing_ok=True)


def _tell(target: AppOnKafka, erasure: Erasure, receipt: Sequence[ReceiptLine]) -> None:
    """Have the job forget the workflows, and keep the receipt in the audit."""
    from switchyard.cli import control_client

    workflows, lines = sorted(erasure.workflow_ids), [asdict(line) for line in receipt]
    control = control_client.new(target, "forget", subject=erasure.digest, workflows=workflows, receipt=lines)
    control_client.send(target, control)
    control_client.wait_for_audit(target, control)


def _table(lines: Sequence[ReceiptLine]) -> None:
    rows = []
    for line in lines:
        until = None if line.until is None else formatting.clock(line.until)
        rows.append([line.place, line.offsets or None, line.found, line.done, until, line.note])
    formatting.table(["place", "offsets", "found>", "done", "gone by", "note"], rows)
