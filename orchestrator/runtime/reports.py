"""Takes what workers and supervisors report: each thing once, and nothing of an old lease."""

from __future__ import annotations

import traceback
from contextlib import suppress
from datetime import datetime
from typing import Any

from orchestrator.engine.events import RunEnded, RunLost, RunReached, RunReceived
from orchestrator.engine.runs import attempt_number
from orchestrator.model.dispatch import REPORTS, JobPrepared, Outcome, PhaseReached, Received, Report, Said
from orchestrator.model.execution import Cause, Phase, PhaseName, TaskRun
from orchestrator.model.log import LogLine, Metric
from orchestrator.model.trigger import is_evaluation
from orchestrator.runtime.executor import Executor
from orchestrator.runtime.live import Live
from orchestrator.runtime.turn import Turn


class Reports:
    """The other end of every reporter. A report is acknowledged once all it says is saved."""

    def __init__(self, executor: Executor) -> None:
        self._executor = executor

    async def take(self, text: str) -> None:
        """One batch, in order. Returns after the commit; the sender repeats it until then."""
        reports = REPORTS.validate_json(text)
        await self._executor.do(lambda turn: self._take(turn, reports))

    def _take(self, turn: Turn, reports: tuple[Report, ...]) -> None:
        for report in reports:
            if is_evaluation(report.task_run_id):
                self._of_trigger(turn, report)
                continue
            live = self._executor.live.get(report.execution_id)
            run = live.view.run(report.task_run_id) if live is not None else None
            if live is not None and run is not None and run.lease == report.lease and not run.state.current.ended:
                self._safely(turn, live, run, report)

    def _of_trigger(self, turn: Turn, report: Report) -> None:
        try:
            self._executor.scheduler.take(turn, report)
        except Exception:  # a bug: what cannot be taken must not be repeated for ever, with all that waits behind it
            traceback.print_exc()

    def _safely(self, turn: Turn, live: Live, run: TaskRun, report: Report) -> None:
        """A report that cannot be taken must not be repeated for ever, with all that waits behind it: its run fails."""
        try:
            self._one(turn, live, run, report)
        except Exception as err:
            traceback.print_exc()
            if not isinstance(report, Outcome):
                return
            failed = report.model_copy(update={"state": "FAILED", "outputs": {}, "labels": None, "cause": Cause.EXCEPTION, "error": f"internal error: {err}"})
            with suppress(Exception):
                self._executor.step(turn, live, RunEnded(failed))

    def _one(self, turn: Turn, live: Live, run: TaskRun, report: Report) -> None:
        match report:
            case Received(worker=worker, at=at):
                live.at_work = True
                self._meter(run, at)
                self._executor.step(turn, live, RunReceived(run.id, run.lease, worker, at))
            case PhaseReached(name=name, at=at, detail=detail):
                self._executor.step(turn, live, RunReached(run.id, run.lease, Phase(name=name, at=at, detail=detail)))
            case JobPrepared(handle=handle):
                self._executor.amend(turn, live, run.model_copy(update={"job": handle}))
                if handle is not None:
                    self._executor.reaping.known.note(turn, run, live.view.spec(run), handle)
            case Said():
                self._said(turn, run, report)
            case Outcome(cause=Cause.WORKER_SHUTDOWN):  # handed back: it was not the work that failed
                self._executor.places.drain(self._executor.places.place_of(run.id) or "")  # or it would come back at once
                self._executor.placing.let_go(turn, run.id, run.lease)
                self._executor.meters.again(run.placement.group if run.placement else "", Cause.WORKER_SHUTDOWN)
                self._executor.step(turn, live, RunLost(run.id, run.lease, Cause.WORKER_SHUTDOWN))
            case Outcome():
                self._executor.placing.let_go(turn, run.id, run.lease)
                self._executor.step(turn, live, RunEnded(report))

    def _meter(self, run: TaskRun, at: datetime) -> None:
        if run.phases and run.placement is not None and all(phase.name is not PhaseName.RECEIVED for phase in run.phases):
            self._executor.meters.began(run.placement.group, (at - run.phases[0].at).total_seconds())

    def _said(self, turn: Turn, run: TaskRun, said: Said) -> None:
        about: dict[str, Any] = {
            "namespace": run.namespace,
            "flow_id": run.flow_id,
            "execution_id": run.execution_id,
            "task_id": run.task_id,
            "task_run_id": run.id,
        }
        attempt = attempt_number(run)
        turn.logs.extend(
            LogLine.model_construct(
                **about,
                attempt_number=attempt,
                timestamp=line.at,
                level=line.level,
                message=line.message,
                offset=line.offset,
                thread=line.thread,
                trigger_id=None,
                deleted=False,
            )
            for line in said.lines
        )
        turn.metrics.extend(Metric.model_validate({**metric, **about}) for metric in said.metrics)
        turn.touched[run.execution_id] = None
