"""A task run that starts executions, and how far it has come: nothing of it is saved, all of it follows from the executions there are."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from orchestrator.engine.view import ExecutionView
from orchestrator.model.dispatch import Outcome
from orchestrator.model.execution import Cause, TaskRun
from orchestrator.model.state import State
from orchestrator.model.values import Json
from orchestrator.sdk import Caller

_WORST_FIRST = (State.FAILED, State.KILLED, State.CANCELLED, State.WARNING)


@dataclass
class Calls:
    """What one dispatch of a run has started. `items` None: it starts one execution, for nothing in particular."""

    execution_id: str
    run_id: str
    lease: int
    caller: Caller
    looks: bool  # whether some may have been started before
    items: tuple[str, ...] | None = None
    begun: int = 0  # how many were started, or found
    going: dict[str, int] = field(default_factory=dict)  # those that have not ended, with their numbers
    ends: Counter[State] = field(default_factory=Counter)
    is_due: bool = False  # more of it is to be done in this turn or the next
    rendering: bool = False  # on a thread; what it gives comes in a later turn
    stopped: bool = False
    error: str | None = None  # why no more are started
    last: ExecutionView | None = None  # the one that ended last

    @property
    def total(self) -> int:
        return 1 if self.items is None else len(self.items)

    @property
    def may_begin(self) -> bool:
        """Whether more are to be started."""
        return not self.stopped and self.error is None and self.begun < self.total

    @property
    def looking(self) -> bool:
        """Whether some that were started before may not be found yet."""
        return self.looks and self.error is None and self.begun < self.total

    @property
    def over(self) -> bool:
        """Whether nothing goes on, and nothing more begins."""
        return not (self.rendering or self.going or self.may_begin or self.looking)

    def numbers(self, most: int) -> range:
        """Those to be started next."""
        return range(self.begun, min(self.total, self.begun + most))

    def state(self) -> State:
        """What the ends of all make of the run."""
        if self.error is not None:
            return State.FAILED
        transmits = self.caller.wait and self.caller.transmit_failed
        return next((state for state in _WORST_FIRST if self.ends[state]), State.SUCCESS) if transmits else State.SUCCESS

    def told(self) -> dict[str, Json]:
        """How many items there are and how their executions fare, as the run's outputs say it."""
        going = {"CREATED": self.total - self.begun, "RUNNING": len(self.going)} if self.caller.wait else {}
        counts: Mapping[str, int] = {**going, **{state.value: count for state, count in self.ends.items()}}
        return {"numberOfBatches": self.total, "iterations": counts}

    def outcome(self, run: TaskRun, results: Mapping[str, Json], at: datetime) -> Outcome:
        """How the run ends. `results` are the outputs of the one execution, or what was taken from it."""
        state, last = self.state(), self.last.execution if self.last is not None else None
        outputs = self.told() if self.items is not None else dict(run.outputs)
        if self.items is None and last is not None:
            outputs |= {"state": last.current.value, **({"outputs": dict(results)} if results else {})}
        return Outcome.model_validate(
            {
                "task_run_id": run.id,
                "execution_id": run.execution_id,
                "lease": self.lease,
                "at": at,
                "state": state.value,
                "outputs": outputs,
                "cause": Cause.EXCEPTION if state is State.FAILED else None,
                "error": self.error or (self._why() if state is not State.SUCCESS else None),
            }
        )

    def _why(self) -> str:
        last = self.last.execution if self.last is not None else None
        if self.items is None and last is not None:
            return f"execution {last.id} of flow {last.namespace}.{last.flow_id} ended {last.current.value}"
        return "of the executions started, " + ", ".join(f"{count} ended {state.value}" for state, count in self.ends.items())
