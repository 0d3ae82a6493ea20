"""Sends runs where they belong: along their chain of places, into a line, to a free slot, a supervisor or a process of
their own, or back with the reason why not."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime, timedelta

from orchestrator.engine.admission import Target, Waiting
from orchestrator.engine.events import Event, RunLost, RunRefused, RunStopped, StopRun
from orchestrator.engine.standing import is_home
from orchestrator.engine.waiting import Queued, Standing, at_default, at_next_step, moves_on, passed_over, reason_of, refusal, told
from orchestrator.model.dispatch import Stop
from orchestrator.model.execution import Cause, Phase, PhaseName, TaskRun, Where
from orchestrator.model.growth import Growth
from orchestrator.model.log import Level
from orchestrator.model.place_name import PlaceName
from orchestrator.model.reason import Reason
from orchestrator.model.resources import Resources
from orchestrator.model.state import State
from orchestrator.model.values import format_instant
from orchestrator.runtime.cluster import Cluster
from orchestrator.runtime.dispatching import Dispatcher
from orchestrator.runtime.live import Live, say
from orchestrator.runtime.meters import Meters
from orchestrator.runtime.places import Out, Places
from orchestrator.runtime.turn import Turn
from orchestrator.runtime.worker_groups import WorkerGroups
from orchestrator.store.port import Command

Amend = Callable[[Turn, Live, TaskRun], None]
Ring = Callable[[datetime, str, str], None]  # (when, execution id, task run id): call `due` with the run then
BACK_WITHIN = timedelta(seconds=30)  # a worker that was just lost may be back by then: its run is not refused before


def command_id(run: TaskRun) -> str:
    """The outbox row of a run's present dispatch."""
    return f"run:{run.id}:{run.lease}"


class Placing:
    """Keeps the outbox true: a row for every run that waits or is out, with the place it went to; gone once it is answered."""

    def __init__(
        self,
        *,
        places: Places,
        cluster: Cluster,
        dispatcher: Dispatcher,
        groups: WorkerGroups,
        live: Mapping[str, Live],
        amend: Amend,
        meters: Meters,
        ring: Ring,
    ) -> None:
        self.places, self._cluster, self._dispatcher, self._groups = places, cluster, dispatcher, groups
        self._live, self._amend, self._meters, self._ring = live, amend, meters, ring
        self._fresh: set[str] = set()  # commands first written in this turn
        self._queued: dict[str, Queued] = {}  # by task run: those in a line
        self._movable: dict[str, None] = {}  # those of them that may leave their step
        self._to_look_at: dict[str, None] = {}  # those of them for which the moment may have come
        self._seen = (-1, -1)  # versions of workers and groups that all movable ones were looked at with
        self.asked_for: Callable[[Target], int] = lambda target: 0  # machines asked of an autoscaler
        self.may_grow: Callable[[Target, str], bool] = lambda target, namespace: False  # whether one may bring another machine for it

    # --- into a line

    def queue(self, turn: Turn, live: Live, run: TaskRun) -> Event | None:
        """Put a run into the line of the first place that may take it; the event that refuses it when none may.

        A run of a workspace goes where that is, at once, in its slot.
        """
        home = self._home_of(live, run)
        if home is not None:
            return self._send_home(turn, live, run, home)
        spec = live.view.spec(run)
        try:
            wish, resources = self._dispatcher.wish(live.view, run, spec), self._dispatcher.resources(live.view, run, spec)
        except ValueError as err:
            return RunRefused(run.id, State.FAILED, Cause.EXPRESSION, f"its place cannot be read: {err}")
        sent_before = run.lease > run.generation + 1
        queued = Queued(wish, turn.now, resources=resources, patient_until=turn.now + BACK_WITHIN if sent_before else None)
        kept = run.placement
        if kept is not None and kept.since is not None and kept.step < len(wish.steps):  # it stood in line when the executor ended
            queued = Queued(wish, kept.since, kept.step, kept.passed_over, resources, patient_until=turn.now + BACK_WITHIN)
        return self._enter(turn, live, run, queued)

    @staticmethod
    def _home_of(live: Live, run: TaskRun) -> TaskRun | None:
        """The workspace that a run is of."""
        return next((parent for parent in live.view.parents(run) if is_home(parent)), None)

    def is_at_home(self, live: Live, run: TaskRun) -> bool:
        """Whether a run is of a workspace that has its place."""
        home = self._home_of(live, run)
        return home is not None and self.places.place_of(home.id) is not None

    def _send_home(self, turn: Turn, live: Live, run: TaskRun, home: TaskRun) -> Event | None:
        place = self.places.place_of(home.id)
        if place is None:
            return RunLost(run.id, run.lease, Cause.WORKER_LOST)
        placement = self._dispatcher.placement_at_home(live.view.spec(run), home)
        placed = Phase.model_construct(name=PhaseName.PLACED, at=turn.now, detail=None)
        run = run.model_copy(update={"placement": placement, "phases": (*run.phases, placed)})
        self._go(turn, live, run, Out(place, run.execution_id, run.namespace, placement.worker or place, in_slot_of=home.id), home)
        return None

    def close(self, turn: Turn, live: Live, home: TaskRun) -> Event | None:
        """Tell a workspace that all of its tasks have ended."""
        place = self.places.place_of(home.id)
        if place is None:
            return RunLost(home.id, home.lease, Cause.WORKER_LOST)
        dispatch = self._dispatcher.dispatch(live.view, home, live.view.spec(home), turn.now, home=home)
        turn.sends.append((place, dispatch.model_copy(update={"closing": True})))
        return None

    def _enter(self, turn: Turn, live: Live, run: TaskRun, queued: Queued) -> Event | None:
        while (barred := self.barred(live, run, queued)) is not None:
            queued = passed_over(queued, *barred, turn.now)
            if barred[0] is not Reason.NOT_A_SCRIPT:  # a mistake in the flow: no other place makes up for it
                self._note(turn, live, run, queued)
                return RunRefused(run.id, State.FAILED, Cause.NO_WORKER, barred[1])
            queued = at_next_step(queued, turn.now) or at_default(queued, turn.now)
        placement, target = self._dispatcher.placement(live.view, run, live.view.spec(run), queued)
        self._amend(turn, live, run.model_copy(update={"placement": placement}))
        body = {"task_run_id": run.id, "lease": run.lease}
        turn.commands[command_id(run)] = Command(id=command_id(run), execution_id=run.execution_id, kind="run", target="", body=body, created=turn.now)
        self._fresh.add(command_id(run))
        started = live.view.execution.state.start
        self.places.wait(target, Waiting(run.id, run.execution_id, run.namespace, started, live.at_work), queued.since)
        self._keep(turn, live, run, queued, target)
        return None

    def _note(self, turn: Turn, live: Live, run: TaskRun, queued: Queued) -> None:
        """Record the places that did not take a run."""
        placement, _ = self._dispatcher.placement(live.view, run, live.view.spec(run), queued)
        self._amend(turn, live, run.model_copy(update={"placement": placement}))

    def _keep(self, turn: Turn, live: Live, run: TaskRun, queued: Queued, target: Target) -> None:
        self._queued[run.id] = queued
        if queued.may_move:
            self._movable[run.id] = None
            self._to_look_at[run.id] = None
            if queued.deadline is not None and queued.deadline > turn.now:
                self._ring(queued.deadline, run.execution_id, run.id)
        elif (queued.step.group or queued.step.tags) and not self.standing(target, run.namespace).live:
            say(turn, live, Level.INFO, f"No workers are available for {queued.step.name}: waiting for one to join", run.id)

    def barred(self, live: Live, run: TaskRun, queued: Queued) -> tuple[Reason, str] | None:
        """Why a step can never take the run, whoever joins."""
        step = queued.step
        if step.runner is not None:
            script = self._dispatcher.is_script(live.view.spec(run))
            return None if script else (Reason.NOT_A_SCRIPT, "a task runner takes script tasks only")
        key = step.group
        if not key:
            return None
        if not self._groups.knows(key):
            near = self._groups.nearest(key)
            return Reason.NO_SUCH_GROUP, f"There is no worker group '{key}'" + (f"; did you mean '{near}'?" if near else "")
        if not self._groups.group(key).allows(run.namespace):
            return Reason.GROUP_NOT_ALLOWED, f"Worker group '{key}' is not for namespace {run.namespace}"
        return None

    # --- out of it

    def admit(self, turn: Turn) -> list[tuple[Live, RunRefused]]:
        """Send what may go now, with the turn; gives back what cannot be sent at all, for the engine to end."""
        refused: list[tuple[Live, RunRefused]] = []
        while True:
            self._send_free(turn, refused)
            if not self._move_on(turn, refused):
                break
        self._fresh.clear()
        return refused

    def due(self, task_run_id: str) -> None:
        """The moment has come at which a run may leave its step."""
        if task_run_id in self._movable:
            self._to_look_at[task_run_id] = None

    def _send_free(self, turn: Turn, refused: list[tuple[Live, RunRefused]]) -> None:
        for waiting, target, worker in self.places.admit():
            self._forget(waiting.task_run_id)
            live = self._live.get(waiting.execution_id)
            run = live.view.run(waiting.task_run_id) if live is not None else None
            if live is None or run is None or run.state.current.ended:
                self.places.release(waiting.task_run_id)
                continue
            try:
                self._send(turn, live, run, target, worker)
            except Exception as err:  # one run that cannot be sent must never hold up the others, nor end the executor
                refused.append((live, RunRefused(run.id, State.FAILED, Cause.EXCEPTION, f"it cannot be sent: {err}")))

    def _move_on(self, turn: Turn, refused: list[tuple[Live, RunRefused]]) -> bool:
        """Have those that waited long enough go to their next place; whether any did."""
        now_seen = (self.places.version, self._groups.version)
        if now_seen != self._seen:
            self._seen = now_seen
            self._to_look_at.update(self._movable)
        moved = False
        while self._to_look_at:
            run_id, _ = self._to_look_at.popitem()
            queued, target, found = self._queued.get(run_id), self.places.target_of(run_id), self._of(run_id)
            if queued is None or target is None or found is None:
                continue
            standing = self.standing(target, found[1].namespace)
            if moves_on(queued, standing, turn.now):
                self._move(turn, *found, queued, target, standing, refused)
                moved = True
        return moved

    def _move(self, turn: Turn, live: Live, run: TaskRun, queued: Queued, target: Target, standing: Standing, refused: list[tuple[Live, RunRefused]]) -> None:
        self.places.withdraw(run.id)
        self._forget(run.id)
        reason = reason_of(standing, queued.resources, reserved=self.places.is_reserved_from(target, run.namespace))
        queued = passed_over(queued, reason, told(reason, standing, queued.step, queued.resources), turn.now)
        self._meters.passed(queued.step.name, reason)
        following = at_next_step(queued, turn.now)
        if following is None:
            self._note(turn, live, run, queued)
            refused.append((live, RunRefused(run.id, *_with_cause(*refusal(queued)))))
            return
        say(turn, live, Level.INFO, f"{queued.passed[-1].detail}: going on to {following.step.name}", run.id)
        event = self._enter(turn, live, run, following)
        if isinstance(event, RunRefused):
            refused.append((live, event))

    def _of(self, run_id: str) -> tuple[Live, TaskRun] | None:
        execution_id = self.places.execution_of(run_id)
        live = self._live.get(execution_id or "")
        run = live.view.run(run_id) if live is not None else None
        return (live, run) if live is not None and run is not None and not run.state.current.ended else None

    def _forget(self, run_id: str) -> None:
        self._queued.pop(run_id, None)
        self._movable.pop(run_id, None)
        self._to_look_at.pop(run_id, None)

    def _send(self, turn: Turn, live: Live, run: TaskRun, target: Target, worker: str) -> None:
        run, worker = self._with_its_job(run, worker)
        place = self._place(run, target, worker)
        placement = run.placement.model_copy(update={"worker": worker, "group": self.places.group_of(worker)}) if run.placement is not None else None
        placed = Phase.model_construct(name=PhaseName.PLACED, at=turn.now, detail=None)
        run = run.model_copy(update={"placement": placement, "phases": (*run.phases, placed)})
        if command_id(run) not in self._fresh:
            turn.answered[command_id(run)] = None  # the row without a target goes first, then this one comes
        home = run if self._dispatcher.has_a_home(live.view.spec(run)) else None
        self._go(turn, live, run, self._out(run, place, worker, target.resources), home)

    def _go(self, turn: Turn, live: Live, run: TaskRun, out: Out, home: TaskRun | None) -> None:
        """Send a run out with the turn."""
        dispatch = self._dispatcher.dispatch(live.view, run, live.view.spec(run), turn.now, home=home)
        self._amend(turn, live, run)
        self.places.take(run.id, out)
        worker = run.placement.worker if run.placement is not None else out.worker
        body = {"task_run_id": run.id, "lease": run.lease, "worker": worker}
        turn.commands[command_id(run)] = Command(id=command_id(run), execution_id=run.execution_id, kind="run", target=out.place, body=body, created=turn.now)
        turn.sends.append((out.place, dispatch))

    def _with_its_job(self, run: TaskRun, worker: str) -> tuple[TaskRun, str]:
        """A job that is bound to a machine is gone on with where it is reached; where no live worker reaches it, its own machine
        has ended it by now, as it ends commands, and it is begun anew."""
        where = PlaceName.parse(run.job.place) if run.job is not None and run.job.bound else None
        if run.job is None or where is None:
            return run, worker
        reaching = self.places.reaching(run.job, where)
        return (run, reaching) if reaching is not None else (run.model_copy(update={"job": None, "running_since": None}), worker)

    def _place(self, run: TaskRun, target: Target, worker: str) -> str:
        if target.resources is not None:
            return self._cluster.process_on(worker, f"{run.id}-{run.generation}", target.resources)
        return self._cluster.supervisor_of(worker, target.backend) if target.supervised else worker

    @staticmethod
    def _out(run: TaskRun, place: str, worker: str, resources: Resources | None, *, in_slot_of: str | None = None) -> Out:
        """Where a run goes; one whose place belongs to no machine keeps no machine from going."""
        backend = run.placement.backend if run.placement is not None else None
        return Out(place, run.execution_id, run.namespace, "" if backend else worker, resources, backend, in_slot_of)

    def resume(self, live: Live, run: TaskRun, place: str, worker: str) -> None:
        """Note that a place still holds a run, after a restart."""
        resources = run.placement.resources if run.placement is not None and run.placement.where is Where.PROCESS else None
        home = self._home_of(live, run)
        self.places.take(run.id, self._out(run, place, worker, resources, in_slot_of=home.id if home is not None else None))

    # --- stopping

    def stop(self, turn: Turn, live: Live, command: StopRun) -> Event | None:
        """Have a run stopped where it is; RunStopped at once when it is nowhere."""
        if self.places.withdraw(command.task_run_id):
            self._forget(command.task_run_id)
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
        """Nothing of this dispatch is out any more: free its slot, end its own process, forget its commands."""
        self.places.withdraw(task_run_id)
        self._forget(task_run_id)
        place = self.places.own_process_of(task_run_id)
        if place is not None:
            turn.after.append(lambda: self._cluster.end(place))
        self.places.release(task_run_id)
        turn.answer(f"run:{task_run_id}:{lease}")
        turn.answer(f"stop:{task_run_id}:{lease}")

    def let_go_of(self, turn: Turn, run: TaskRun) -> None:
        """The same for a run that has ended, if anything of it is out."""
        if run.lease and (self.places.holds(run.id)):
            self.let_go(turn, run.id, run.lease)

    # --- how it stands

    def queued(self, task_run_id: str) -> Queued | None:
        """A run that stands in a line."""
        return self._queued.get(task_run_id)

    def standing(self, target: Target, namespace: str) -> Standing:
        """How a target stands just now for a namespace, what an autoscaler was asked for included."""
        return replace(self.places.standing(target, namespace, self.asked_for(target)), may_grow=self.may_grow(target, namespace))

    def no_machine_comes(self, turn: Turn, growth: Growth) -> None:
        """Tell all that wait for a group whose ask nobody answers, each execution once."""
        since = f" since {format_instant(growth.since)}" if growth.since is not None else ""
        why = "".join(f"; {trouble}" for trouble in growth.provider)
        message = f"{growth.wanted} more machines asked for worker group '{growth.group or 'default'}'{since}, and none has come{why}"
        told_executions: set[str] = set()
        for found in map(self._of, self.places.waiting_for(growth.group)):
            if found is not None and found[0].view.execution.id not in told_executions:
                told_executions.add(found[0].view.execution.id)
                say(turn, found[0], Level.WARN, message, found[1].id)


def _with_cause(state: State, message: str) -> tuple[State, Cause, str]:
    return state, Cause.NO_WORKER, message
