"""Takes what evaluations report, each thing once and nothing of an old lease, and starts what they have found."""

from __future__ import annotations

import traceback
from collections.abc import Mapping
from typing import TYPE_CHECKING

from orchestrator.engine.trigger_events import Emitted, Ended, ExecutionOver, How, Received, Told
from orchestrator.errors import OrchestratorError
from orchestrator.model import dispatch as said
from orchestrator.model.execution import Cause, Execution
from orchestrator.model.flow import Flow
from orchestrator.model.log import Level, LogLine, Metric
from orchestrator.model.trigger import Evaluation
from orchestrator.model.values import Json
from orchestrator.runtime.trigger_entries import Entry
from orchestrator.runtime.trigger_firing import Firing, Start
from orchestrator.runtime.turn import Turn

if TYPE_CHECKING:
    from orchestrator.runtime.executor import Executor
    from orchestrator.runtime.scheduler import Scheduler


class TriggerReports:
    """What is acknowledged is saved: a report that comes again finds its lease over, or its number taken."""

    def __init__(self, executor: Executor, scheduler: Scheduler, firing: Firing) -> None:
        self._executor, self._scheduler, self._firing = executor, scheduler, firing

    def take(self, turn: Turn, entry: Entry, report: said.Report) -> None:
        """One report of an evaluation."""
        evaluation = entry.standing.state.evaluation if entry.standing.state is not None else None
        if evaluation is None or evaluation.lease != report.lease:
            if isinstance(report, said.Outcome):  # of one whose trigger is gone
                self._scheduler.apply(turn, entry, Ended(report.lease, How.STOPPED))
            return
        match report:
            case said.Received():
                self._scheduler.apply(turn, entry, Received(report.lease))
            case said.Said():
                self._said(turn, entry, evaluation, report)
            case said.Emitted():
                self._emitted(turn, entry, evaluation, report)
            case said.Outcome():
                self._ended(turn, entry, evaluation, report)

    def _said(self, turn: Turn, entry: Entry, evaluation: Evaluation, report: said.Said) -> None:
        namespace, flow_id, trigger_id = entry.name
        fresh = [line for line in report.lines if line.offset > evaluation.said]
        turn.logs.extend(
            LogLine(namespace=namespace, flow_id=flow_id, trigger_id=trigger_id, timestamp=line.at, level=line.level, message=line.message) for line in fresh
        )
        turn.metrics.extend(Metric.model_validate({**metric, "namespace": namespace, "flow_id": flow_id}) for metric in report.metrics)
        if fresh:
            self._scheduler.apply(turn, entry, Told(report.lease, max(line.offset for line in fresh)))

    def _emitted(self, turn: Turn, entry: Entry, evaluation: Evaluation, report: said.Emitted) -> None:
        if report.number <= evaluation.emitted:
            return
        made = self._made(turn, entry, evaluation, self._executor.new_id(), report.variables)
        self._scheduler.apply(turn, entry, Emitted(report.lease, report.number))
        if made is not None:
            self._begin(turn, entry, *made)

    def _ended(self, turn: Turn, entry: Entry, evaluation: Evaluation, report: said.Outcome) -> None:
        how = _how(report)
        if how is How.HANDED_BACK:
            self._executor.places.drain(evaluation.worker)  # or it would come back at once
        found = report.outputs.get(said.FOUND) if how is How.LOOKED else None
        made = self._made(turn, entry, evaluation, evaluation.id, found) if found is not None else None
        self._scheduler.apply(turn, entry, Ended(report.lease, how, made[1].id if made is not None else None))
        if made is not None:
            self._begin(turn, entry, *made)

    def _made(self, turn: Turn, entry: Entry, evaluation: Evaluation, execution_id: str, variables: Mapping[str, Json]) -> tuple[Flow, Execution] | None:
        """The execution to begin; None, with a line in the trigger's log, when none can be made of what was found."""
        declared = self._scheduler.declared(entry)
        if declared is None:
            return None
        try:
            made = self._firing.execution(*declared, Start(execution_id, variables, evaluation.id), turn.now)
        except (OrchestratorError, ValueError) as err:
            self._scheduler.say(turn, entry, Level.ERROR, f"No execution could be started for what it has found: {err}")
            return None
        return declared[0], made

    def _begin(self, turn: Turn, entry: Entry, flow: Flow, execution: Execution) -> None:
        try:
            self._executor.begin(turn, flow, execution)
        except Exception as err:  # a bug, or nothing for an evaluation to be repeated for: its report is taken all the same
            traceback.print_exc()
            self._scheduler.say(turn, entry, Level.ERROR, f"Its execution {execution.id} could not begin: {err}")
            self._scheduler.apply(turn, entry, ExecutionOver(execution.id, None))


def _how(report: said.Outcome) -> How:
    match report:
        case said.Outcome(cause=Cause.WORKER_SHUTDOWN):
            return How.HANDED_BACK
        case said.Outcome(cause=Cause.TIMEOUT):
            return How.TIMEOUT
        case said.Outcome(state="KILLED"):
            return How.STOPPED
        case said.Outcome(state="FAILED"):
            return How.FAILED
    return How.LOOKED
