"""One turn of the executor: everything it will save in one transaction, and everything it will do once that is saved."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from orchestrator.engine.events import Decision
from orchestrator.model.dispatch import Dispatch, Stop
from orchestrator.model.execution import Execution, TaskRun
from orchestrator.model.log import LogLine, Metric
from orchestrator.model.trigger import TriggerState
from orchestrator.model.values import Json
from orchestrator.store.port import Changes, Command, KeyValue, LogFilter, SavedFlow, StoredFile


class Turn:
    """Gathers; later rows of one id replace earlier ones, so a turn writes each row once."""

    def __init__(self, now: datetime) -> None:
        self.now = now
        self.executions: dict[str, Execution] = {}
        self.runs: dict[str, TaskRun] = {}
        self.flows: list[SavedFlow] = []
        self.logs: list[LogLine] = []
        self.metrics: list[Metric] = []
        self.commands: dict[str, Command] = {}
        self.answered: dict[str, None] = {}
        self.keys: list[KeyValue] = []
        self.keys_gone: list[tuple[str, str]] = []
        self.files: dict[tuple[str, str, str], StoredFile] = {}
        self.files_gone: list[tuple[str, str, str]] = []
        self.triggers: dict[tuple[str, str, str], TriggerState] = {}
        self.triggers_gone: dict[tuple[str, str, str], None] = {}
        self.executions_gone: list[str] = []
        self.runs_gone: dict[str, None] = {}
        self.logs_gone: list[LogFilter] = []
        self.metrics_gone: list[str] = []
        self.settings: dict[str, Json] = {}
        self.sends: list[tuple[str, Dispatch]] = []
        self.stops: list[tuple[str, Stop]] = []
        self.touched: dict[str, None] = {}  # executions with news for those who watch
        self.after: list[Callable[[], None]] = []  # done once saved

    def add(self, execution_id: str, decision: Decision) -> None:
        """Take the rows of a decision; its commands are the caller's to carry out."""
        if decision.execution is not None:
            self.executions[execution_id] = decision.execution
        for run in decision.runs:
            self.runs[run.id] = run
        for run_id in decision.gone:
            self.runs.pop(run_id, None)
            self.runs_gone[run_id] = None
        self.touched[execution_id] = None

    def keep_trigger(self, name: tuple[str, str, str], state: TriggerState | None) -> None:
        """Save a trigger's state; None: there is none any more."""
        if state is not None:
            self.triggers[name] = state
        else:
            self.triggers.pop(name, None)
            self.triggers_gone[name] = None

    def stops_by_place(self) -> dict[str, list[Stop]]:
        """What each place is to stop, told at once."""
        found: dict[str, list[Stop]] = {}
        for place, stop in self.stops:
            found.setdefault(place, []).append(stop)
        return found

    def answer(self, command_id: str) -> None:
        """Forget a command, be it stored or only about to be."""
        self.commands.pop(command_id, None)
        self.answered[command_id] = None

    def changes(self) -> Changes:
        return Changes(
            flows=self.flows,
            executions=list(self.executions.values()),
            task_runs=list(self.runs.values()),
            logs=self.logs,
            metrics=self.metrics,
            commands=list(self.commands.values()),
            answered=list(self.answered),
            keys=self.keys,
            keys_gone=self.keys_gone,
            files=list(self.files.values()),
            files_gone=self.files_gone,
            triggers=list(self.triggers.values()),
            triggers_gone=list(self.triggers_gone),
            executions_gone=self.executions_gone,
            task_runs_gone=list(self.runs_gone),
            logs_gone=self.logs_gone,
            metrics_gone=self.metrics_gone,
            settings=self.settings,
        )

    @property
    def empty(self) -> bool:
        """Whether there is nothing to save."""
        return not (
            self.executions
            or self.runs
            or self.flows
            or self.logs
            or self.metrics
            or self.commands
            or self.answered
            or self.keys
            or self.keys_gone
            or self.files
            or self.files_gone
            or self.triggers
            or self.triggers_gone
            or self.executions_gone
            or self.runs_gone
            or self.logs_gone
            or self.metrics_gone
            or self.settings
        )
