"""Starts executions at the dates of triggers that have some: each date is seen to in one turn, saved with what it starts."""

from __future__ import annotations

import traceback
from datetime import datetime
from typing import TYPE_CHECKING

from orchestrator.engine.dates import active_backfill
from orchestrator.engine.events import Decision
from orchestrator.engine.schedule import may_go
from orchestrator.engine.trigger_events import ExecutionOver, Fell, Late
from orchestrator.engine.view import ExecutionView
from orchestrator.errors import OrchestratorError
from orchestrator.lang.calendar import Calendar, Dates
from orchestrator.model.execution import Execution
from orchestrator.model.flow import Flow, TriggerSpec
from orchestrator.model.log import Level, LogLine
from orchestrator.model.trigger import Backfill
from orchestrator.runtime.trigger_entries import Entry
from orchestrator.runtime.trigger_firing import Firing, Start
from orchestrator.runtime.turn import Turn

if TYPE_CHECKING:
    from orchestrator.runtime.executor import Executor
    from orchestrator.runtime.scheduler import Scheduler

MOST = 50  # dates seen to in one turn: a thousand that are due together must not hold up the others' answers


class DateFiring:
    """`note` says that one is due, `admit` sees to it."""

    def __init__(self, executor: Executor, scheduler: Scheduler, firing: Firing) -> None:
        self._executor, self._scheduler, self._firing = executor, scheduler, firing
        self._due: dict[str, Entry] = {}

    def note(self, entry: Entry, *, due: bool) -> None:
        """Something has changed about it."""
        self._due.pop(entry.run, None)
        if due:
            self._due[entry.run] = entry

    def admit(self, turn: Turn) -> None:
        """See to what is due, the longest first; what is left comes with the next turn."""
        for run in list(self._due)[:MOST]:
            entry = self._due.pop(run)
            try:
                self._one(turn, entry)
            except Exception as err:  # one that cannot be fired must never hold up the others, nor end the executor
                traceback.print_exc()
                self._scheduler.say(turn, entry, Level.ERROR, f"Its date could not be seen to: {type(err).__name__}: {err}")
                self._pass(turn, entry)
        if self._due:
            self._executor.post(lambda turn: None)

    def _one(self, turn: Turn, entry: Entry) -> None:
        state, definition, declared = entry.standing.state, self._scheduler.definition(entry), self._scheduler.declared(entry)
        calendar = definition.calendar
        if state is None or state.next_execution_date is None or declared is None or not may_go(entry.standing, definition, turn.now):
            return
        assert isinstance(calendar, Calendar)
        due, backfill = state.next_execution_date, active_backfill(state)
        if backfill is None and calendar.in_time(due, turn.now) != due:
            self._scheduler.say(turn, entry, Level.WARN, f"{due.isoformat()} was missed by more than lateMaximumDelay: left out")
            self._scheduler.apply(turn, entry, Late())
            return
        try:
            dates = calendar.dates(due, turn.now)
        except OrchestratorError as err:
            self._fail(turn, entry, declared, Dates(due), backfill, f"Unable to evaluate the conditions of the trigger '{entry.name[2]}': {err}")
            return
        if dates is None or dates.date != due:
            self._scheduler.apply(turn, entry, Fell(due))
            return
        self._start(turn, entry, declared, dates, backfill)

    def _start(self, turn: Turn, entry: Entry, declared: tuple[Flow, TriggerSpec], dates: Dates, backfill: Backfill | None) -> None:
        try:
            execution = self._firing.execution(*declared, self._started_with(dates, backfill), turn.now)
        except (OrchestratorError, ValueError) as err:
            self._fail(turn, entry, declared, dates, backfill, f"No execution could be started for {dates.date.isoformat()}: {err}")
            return
        self._scheduler.apply(turn, entry, Fell(_due(entry), execution.id))
        try:
            self._executor.begin(turn, declared[0], execution)
        except Exception as err:  # a bug: the date has been seen to all the same
            traceback.print_exc()
            self._scheduler.say(turn, entry, Level.ERROR, f"Its execution {execution.id} could not begin: {err}")
            self._scheduler.apply(turn, entry, ExecutionOver(execution.id, None))

    def _started_with(self, dates: Dates, backfill: Backfill | None) -> Start:
        variables = dates.variables()
        return Start(
            self._executor.new_id(),
            variables,
            inputs=(backfill.inputs if backfill is not None else None) or {},
            labels=backfill.labels if backfill is not None else None,
            own={"schedule": variables},
            date=dates.date,
        )

    def _fail(self, turn: Turn, entry: Entry, declared: tuple[Flow, TriggerSpec], dates: Dates, backfill: Backfill | None, why: str) -> None:
        """A date that nothing can be started at is an execution that has failed, so that somebody sees it."""
        flow, spec = declared
        failed = self._firing.failed(flow, spec, self._started_with(dates, backfill), turn.now)
        self._scheduler.say(turn, entry, Level.ERROR, why)
        turn.logs.append(_line(failed, why))
        turn.add(failed.id, Decision(execution=failed))
        self._scheduler.apply(turn, entry, Fell(_due(entry)))
        self._scheduler.heard(turn, ExecutionView(flow, failed, (), self._executor.flows.resolve), failed.current)
        self._scheduler.over(turn, failed)

    def _pass(self, turn: Turn, entry: Entry) -> None:
        if entry.standing.state is not None and entry.standing.state.next_execution_date is not None:
            self._scheduler.apply(turn, entry, Fell(_due(entry)))


def _due(entry: Entry) -> datetime:
    """The date that is being seen to."""
    assert entry.standing.state is not None
    assert entry.standing.state.next_execution_date is not None
    return entry.standing.state.next_execution_date


def _line(execution: Execution, message: str) -> LogLine:
    return LogLine(
        namespace=execution.namespace,
        flow_id=execution.flow_id,
        execution_id=execution.id,
        timestamp=execution.state.last,
        level=Level.ERROR,
        message=message,
    )
