"""Sends runs where they belong: into their group's line, to a free slot or a supervisor, or back with the reason why not."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from orchestrator.engine.admission import Waiting
from orchestrator.engine.events import Event, RunRefused, RunStopped, StopRun
from orchestrator.model.dispatch import Stop
from orchestrator.model.execution import Cause, Placement, TaskRun, Where
from orchestrator.model.flow import Fallback
from orchestrator.model.log import Level
from orchestrator.model.state import State
from orchestrator.runtime.cluster import Cluster
from orchestrator.runtime.dispatching import Dispatcher
from orchestrator.runtime.live import Live, say
from orchestrator.runtime.places import Places
from orchestrator.runtime.turn import Turn
from orchestrator.store.port import Command

Amend = Callable[[Turn, Live, TaskRun], None]


def command_id(run: TaskRun) -> str:
    """The outbox row of a run's present dispatch."""
    return f"run:{run.id}:{run.lease}"


class Placing:
    """Keeps the outbox true: a row for every run that waits or is out, with the place it went to; gone once it is answered."""

    def __init__(self, *, places: Places, cluster: Cluster, dispatcher: Dispatcher, live: Mapping[str, Live], amend: Amend) -> None:
        self.places, self._cluster, self._dispatcher, self._live, self._amend = places, cluster, dispatcher, live, amend
        self._fresh: set[str] = set()  # commands first written in this turn

    def queue(self, turn: Turn, live: Live, run: TaskRun) -> Event | None:
        """Put a run into its group's line; the event that refuses it when its fallback says so."""
        spec = live.view.spec(run)
        placement = self._dispatcher.placement(live.view, run, spec)
        if placement.group not in self.places.groups():
            refused = self._without_worker(turn, live, run, placement)
            if refused is not None:
                return refused
            if placement.fallback == Fallback.IGNORE:
                placement = placement.model_copy(update={"group": "", "passed_over": (f"no worker in group '{placement.group}'",)})
        self._amend(turn, live, run.model_copy(update={"placement": placement}))
        turn.commands[command_id(run)] = Command(
            id=command_id(run), execution_id=run.execution_id, kind="run", target="", body={"task_run_id": run.id, "lease": run.lease}, created=turn.now
        )
        self._fresh.add(command_id(run))
        self.places.wait(
            placement.group,
            Waiting(run.id, run.execution_id, run.namespace, live.view.execution.state.start),
            supervised=placement.where is Where.SUPERVISOR,
        )
        return None

    def _without_worker(self, turn: Turn, live: Live, run: TaskRun, placement: Placement) -> Event | None:
        told = f"No workers are available for worker group '{placement.group}'"
        match Fallback(placement.fallback):
            case Fallback.FAIL:
                return RunRefused(run.id, State.FAILED, Cause.NO_WORKER, told)
            case Fallback.CANCEL:
                return RunRefused(run.id, State.CANCELLED, Cause.NO_WORKER, told)
            case Fallback.WAIT if placement.group:
                say(turn, live, Level.INFO, f"{told}: waiting for one to join", run.id)
        return None

    def admit(self, turn: Turn) -> list[tuple[Live, RunRefused]]:
        """Send what may go now, with the turn; gives back what cannot be sent at all, for the engine to end."""
        refused: list[tuple[Live, RunRefused]] = []
        for waiting, worker, supervised in self.places.admit():
            live = self._live.get(waiting.execution_id)
            run = live.view.run(waiting.task_run_id) if live is not None else None
            if live is None or run is None or run.state.current.ended:
                self.places.release(waiting.task_run_id)
                continue
            try:
                self._send(turn, live, run, self._cluster.supervisor_of(worker) if supervised else worker)
            except Exception as err:  # one run that cannot be sent must never hold up the others, nor end the executor
                refused.append((live, RunRefused(run.id, State.FAILED, Cause.EXCEPTION, f"it cannot be sent: {err}")))
        self._fresh.clear()
        return refused

    def _send(self, turn: Turn, live: Live, run: TaskRun, place: str) -> None:
        dispatch = self._dispatcher.dispatch(live.view, run, live.view.spec(run), turn.now)
        self.places.take(run.id, place, run.execution_id)
        if command_id(run) not in self._fresh:
            turn.answered[command_id(run)] = None  # the row without a target goes first, then this one comes
        body = {"task_run_id": run.id, "lease": run.lease}
        turn.commands[command_id(run)] = Command(id=command_id(run), execution_id=run.execution_id, kind="run", target=place, body=body, created=turn.now)
        turn.sends.append((place, dispatch))

    def stop(self, turn: Turn, live: Live, command: StopRun) -> Event | None:
        """Have a run stopped where it is; RunStopped at once when it is nowhere."""
        if self.places.withdraw(command.task_run_id):
            turn.answer(f"run:{command.task_run_id}:{command.lease}")
            return RunStopped(command.task_run_id, command.lease)
        place = self.places.place_of(command.task_run_id)
        if place is None:
            return RunStopped(command.task_run_id, command.lease)
        stop_id = f"stop:{command.task_run_id}:{command.lease}"
        body = {"task_run_id": command.task_run_id, "lease": command.lease, "cause": command.cause.value}
        turn.commands[stop_id] = Command(id=stop_id, execution_id=live.view.execution.id, kind="stop", target=place, body=body, created=turn.now)
        turn.stops.append((place, Stop(task_run_id=command.task_run_id, execution_id=live.view.execution.id, lease=command.lease, cause=command.cause)))
        return None

    def let_go(self, turn: Turn, task_run_id: str, lease: int) -> None:
        """Nothing of this dispatch is out any more: free its slot, forget its commands."""
        self.places.withdraw(task_run_id)
        self.places.release(task_run_id)
        turn.answer(f"run:{task_run_id}:{lease}")
        turn.answer(f"stop:{task_run_id}:{lease}")

    def let_go_of(self, turn: Turn, run: TaskRun) -> None:
        """The same for a run that has ended, if anything of it is out."""
        if run.lease and (self.places.holds(run.id)):
            self.let_go(turn, run.id, run.lease)
