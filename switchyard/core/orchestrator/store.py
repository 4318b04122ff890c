"""The workflows of a shard, between state and the work on them."""

from __future__ import annotations

from collections import OrderedDict

from switchyard.core import strictjson
from switchyard.core.orchestrator.known import Known
from switchyard.core.orchestrator.limits import ShardUsage
from switchyard.core.orchestrator.state import ShardState
from switchyard.core.orchestrator.workflow import Tombstone, Workflow

WORKFLOWS = "workflows"
KEPT_BYTES = 2_000_000
"""How much of running workflows, measured as text, is kept as objects: the next input to one need not load it."""


class WorkflowStore:
    """Reads and writes workflows. State is written through; what is kept in memory is never ahead of it.

    `usage` is told how large those are that run.

    Once work on a workflow has failed half-way, `forget` must be called: its object no longer says what state says.
    """

    def __init__(self, state: ShardState, usage: ShardUsage) -> None:
        self._state = state
        self._usage = usage
        self._kept: OrderedDict[str, tuple[Workflow, int]] = OrderedDict()
        self._bytes = 0

    def __contains__(self, workflow_id: str) -> bool:
        return workflow_id in self._kept or workflow_id in self._state.workflows

    def running(self, workflow_id: str) -> Workflow | None:
        """The workflow, or None where no such one runs."""
        if workflow_id in self._kept:
            self._kept.move_to_end(workflow_id)
            return self._kept[workflow_id][0]
        text = self._state.workflows.get(workflow_id)
        if text is None:
            return None
        workflow = Workflow.parse(text, self._state.workflows)
        self._keep(workflow, _size(workflow, text))
        return workflow

    def tombstone(self, workflow_id: str) -> Tombstone | None:
        """What stays of a workflow that has ended, or None."""
        text = self._state.tombstones.get(workflow_id)
        return None if text is None else Tombstone.parse(text, self._state.tombstones)

    def known(self, workflow_id: str) -> Known | None:
        """What a workflow that runs, or has ended, must not forget; None where there is no such one."""
        workflow = self.running(workflow_id) or self.tombstone(workflow_id)
        return None if workflow is None else workflow.known

    def save(self, workflow: Workflow) -> int:
        """Write it; its size in bytes."""
        before = self._size(workflow.id)
        text = workflow.dump()
        if workflow.known.save(self._state.workflows, workflow.id):
            self._state.tombstones.pop(workflow.id, None)
        self._state.workflows[workflow.id] = text
        size = _size(workflow, text)
        self._usage.resize(WORKFLOWS, size - before)
        self._keep(workflow, size)
        return size

    def bury(self, tombstone: Tombstone) -> None:
        """Write what stays of a workflow that has ended."""
        self._usage.resize(WORKFLOWS, -self._size(tombstone.workflow_id))
        text = tombstone.dump()
        if tombstone.known.save(self._state.tombstones, tombstone.workflow_id):
            self._state.workflows.pop(tombstone.workflow_id, None)
        self._state.tombstones[tombstone.workflow_id] = text
        self._drop(tombstone.workflow_id)

    def forget(self) -> None:
        """Drop what is kept in memory."""
        self._kept.clear()
        self._bytes = 0

    def _size(self, workflow_id: str) -> int:
        """Of what state has of one that runs."""
        if self.running(workflow_id) is None:
            return 0
        return self._kept[workflow_id][1]

    def _keep(self, workflow: Workflow, size: int) -> None:
        """Keep it as the newest; the ones that were not worked on for longest give way."""
        self._drop(workflow.id)
        self._kept[workflow.id] = (workflow, size)
        self._bytes += size
        while self._bytes > KEPT_BYTES and len(self._kept) > 1:
            self._drop(next(iter(self._kept)))

    def _drop(self, workflow_id: str) -> None:
        _, size = self._kept.pop(workflow_id, (None, 0))
        self._bytes -= size


def _size(workflow: Workflow, text: str) -> int:
    """Bytes of a workflow with what stands apart from it; what stands in it still counts twice."""
    return strictjson.size(text) + workflow.known.characters
