"""A place where runs are done: takes dispatches, does each once, and keeps every outcome until it is saved."""

from __future__ import annotations

import json
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import ClassVar

from orchestrator.lang.sealing import TYPE
from orchestrator.model.dispatch import DISPATCHES, Dispatch, Held, Inventory, Stop
from orchestrator.model.execution import Cause
from orchestrator.model.trigger import MOST_LISTENERS, MOST_LOOKS
from orchestrator.model.values import Json, format_instant
from orchestrator.runtime.attempt import Attempt, Place
from orchestrator.runtime.backends import Backends
from orchestrator.runtime.built_plugins import BuiltTasks
from orchestrator.runtime.crew import Crew
from orchestrator.runtime.engines import docker_answers, docker_backend
from orchestrator.runtime.guarding import Guarding
from orchestrator.runtime.isolation import Isolation, Recipe
from orchestrator.runtime.machine_notes import MachineNotes
from orchestrator.runtime.node import Node, keep_from_oom_killer, machine_folder
from orchestrator.runtime.presence import LEASE
from orchestrator.runtime.reporter import Reporter, Send
from orchestrator.runtime.run_clock import RunClock
from orchestrator.runtime.run_log import MOST_LINES
from orchestrator.runtime.runner_choice import Rule
from orchestrator.runtime.services import ServicesFactory
from orchestrator.runtime.spawner import Spawner
from orchestrator.runtime.task_work import Means

MOST_REMEMBERED = 10_000  # stops of runs that have not come (yet)
MOST_TIDYING = 32  # ended runs whose leavings are removed at once
LAST_WORDS = 5.0  # seconds for what is unsaid when a worker closes


class Worker:
    """`slots` threads that run tasks. All methods are safe in threads, take and give JSON, and may be called twice.

    `send` delivers a JSON array of reports and returns once they are saved; `services` gives a run its way to the API;
    `base` is a folder of this machine that no other living worker uses: what an earlier one left in it is removed.
    `cache` is one that outlives workers. `may_be_lost`: the head may lose this machine and live on.
    `isolated_by` tells child processes where their means come from; without it isolated types run in threads too.
    """

    _keeps_folders: ClassVar[bool] = False  # working directories that outlive it: whoever takes its jobs up needs them

    def __init__(
        self,
        *,
        name: str,
        slots: int,
        send: Send,
        services: ServicesFactory,
        base: Path,
        installation: str,
        group: str = "",
        default_runner: Rule = "auto",
        docker_allow: tuple[str, ...] = (),
        log_limit: int = MOST_LINES,
        tasks: BuiltTasks | None = None,
        engine_answers: Callable[[], bool] = docker_answers,
        isolated_by: Recipe | None = None,
        may_be_lost: bool = False,
        cache: Path | None = None,
    ) -> None:
        keep_from_oom_killer()
        self.name, self.group, self.slots = name, group, slots
        self._reporter, self._spawner = Reporter(send), Spawner()
        self._node = Node(base, frozenset(docker_allow), cache)
        self._isolation = Isolation(self._spawner, isolated_by, environment=lambda: self._node.isolated_environment, folder=base) if isolated_by else None
        self._tidying = Crew(MOST_TIDYING, "tidy")
        notes = MachineNotes(machine_folder(installation))
        self._guarding = Guarding(notes, place=name, group=group, environ=lambda: self._node.own_environment, is_needed=may_be_lost)
        self._backends = Backends(installation, self._node, services, own_folders=self._keeps_folders)
        self._place = Place(
            name=name,
            reporter=self._reporter,
            spawner=self._spawner,
            means=Means(installation, services, self._node, tasks or BuiltTasks(), default_runner, engine_answers),
            isolation=self._isolation,
            log_limit=log_limit,
            apart=self._tidying.do,
            guarding=self._guarding,
        )
        self._crew = Crew(self._threads(), "run")
        self._lookouts = Crew(MOST_LOOKS + MOST_LISTENERS, "look")  # a poll must not wait behind tasks, nor a listener take a slot for ever
        self._lock = threading.Lock()
        self._held: dict[str, Attempt] = {}
        self._never: OrderedDict[str, tuple[int, Cause]] = OrderedDict()  # stopped before they came: lease and cause
        self._draining = False
        self._emptied = threading.Event()
        self._prepare()

    def _threads(self) -> int:
        return self.slots

    def _prepare(self) -> None:
        """Runs of a worker end with it: nothing that an earlier one left is of use. The spawner, once up, kills its processes."""
        self._node.remove_working_dirs()
        threading.Thread(target=self._spawner.warm_up, name="warm-up", daemon=True).start()

    # --- what the executor calls

    def run(self, dispatches: str) -> None:
        """Take one dispatch or a list of them and return; what is held already is not done twice."""
        for attempt in self._taken(dispatches):
            self._begin(attempt)

    def run_to_end(self, dispatches: str) -> None:
        """As `run`, returning when their outcomes are on their way."""
        attempts = self._taken(dispatches)
        for attempt in attempts:
            self._begin(attempt)
        for attempt in attempts:
            attempt.over.wait()

    def stop(self, stops: str) -> None:
        """Take one stop or a list of them and return; each is answered by an outcome."""
        given = json.loads(stops)
        for one in given if isinstance(given, list) else [given]:
            self._stop(Stop.model_validate(one))

    def inventory(self) -> str:
        """What is held: waiting, running, or ended and not yet saved. An Inventory."""
        with self._lock:
            held = tuple(Held.model_construct(task_run_id=run, lease=attempt.lease) for run, attempt in self._held.items())
        return Inventory(worker=self.name, group=self.group, slots=self.slots, version=_version(), held=held, engine=docker_backend()).model_dump_json()

    def stock(self, asked: str) -> str:
        """What is ours at the back ends that this machine reaches. A StockAsk, a Stock."""
        return self._backends.stock(asked)

    def drain(self) -> None:
        """Take nothing new from now on; a dispatch is handed back with the cause WORKER_SHUTDOWN, and so are listeners."""
        self._draining = True
        with self._lock:
            listening = [attempt for attempt in self._held.values() if attempt.dispatch.kind == "listen"]
        for attempt in listening:
            threading.Thread(target=self._stop_attempt, args=(attempt, Cause.WORKER_SHUTDOWN), name="stop", daemon=True).start()

    def renew(self, seconds_ago: float) -> None:
        """The head knew this place so long ago: what runs here may go on for the rest of the lease."""
        left = max(0.0, LEASE - seconds_ago)
        self._spawner.renew(left)
        self._guarding.renew(left)

    def leave(self) -> None:
        """Take nothing new, and return once nothing is held and all is said."""
        self.drain()
        while not self.idle():
            self._emptied.wait(0.2)
        self.close()

    def hand_back(self) -> None:
        """Take nothing new, stop what runs and hand it back with the cause WORKER_SHUTDOWN. Returns at once."""
        self._stop_all()

    def _stop_all(self) -> list[threading.Thread]:
        """The threads that see each run stopped."""
        self._draining = True
        with self._lock:
            held = [attempt for attempt in self._held.values() if not (attempt.stopping or attempt.over.is_set())]
        stopping = [threading.Thread(target=self._stop_attempt, args=(attempt, Cause.WORKER_SHUTDOWN), daemon=True) for attempt in held]
        for thread in stopping:
            thread.start()
        return stopping

    def idle(self) -> bool:
        """Whether nothing is held."""
        with self._lock:
            return not self._held

    def close(self) -> None:
        """End every run and leave nothing behind. What was held is the executor's to send elsewhere."""
        stopping = self._stop_all()
        deadline = time.monotonic() + LAST_WORDS
        for thread in stopping:
            thread.join(max(0.0, deadline - time.monotonic()))
        self._reporter.close(LAST_WORDS)
        self._spawner.close()  # the children of isolated runs are below it
        self._crew.close()
        self._lookouts.close()
        self._tidying.close()
        self._node.remove_working_dirs()

    # --- dispatches

    def _taken(self, text: str) -> list[Attempt]:
        sealed = TYPE in text
        given = DISPATCHES.validate_json(text) if text.lstrip().startswith("[") else (Dispatch.model_validate_json(text),)
        taken = [self._take(dispatch, sealed=sealed) for dispatch in given]
        return [attempt for attempt in taken if attempt is not None]

    def _take(self, dispatch: Dispatch, *, sealed: bool) -> Attempt | None:
        """The attempt to begin; None when there is nothing to begin (now)."""
        with self._lock:
            held = self._held.get(dispatch.task_run_id)
            lease, cause = self._never.get(dispatch.task_run_id, (-1, Cause.KILLED))
            refused = cause if lease >= dispatch.lease else Cause.WORKER_SHUTDOWN if self._draining and held is None else None
            if refused is None and (held is None or (held.over.is_set() and dispatch.generation > held.dispatch.generation)):
                return self._hold(dispatch, sealed=sealed)
        if refused is not None:
            self._answer(dispatch.task_run_id, dispatch.execution_id, dispatch.lease, refused)
        elif held is not None and dispatch.lease > held.lease:
            self._supersede(held, dispatch, sealed=sealed)
        return None

    def _hold(self, dispatch: Dispatch, *, sealed: bool) -> Attempt:
        attempt = Attempt(dispatch, self._place, sealed=sealed, ended=self._ended, saved=self._saved)
        self._held[dispatch.task_run_id] = attempt
        self._emptied.clear()
        return attempt

    def _begin(self, attempt: Attempt) -> None:
        self._crew_of(attempt).do(attempt.run if attempt.dispatch.timeout is None else lambda: self._run_within(attempt))

    def _crew_of(self, attempt: Attempt) -> Crew:
        return self._crew if attempt.dispatch.kind == "task" else self._lookouts

    def _run_within(self, attempt: Attempt) -> None:
        attempt.clock = clock = RunClock(attempt.dispatch.timeout, lambda: self._stop_attempt(attempt, Cause.TIMEOUT))
        clock.start()
        attempt.run()
        clock.close()

    def _supersede(self, held: Attempt, dispatch: Dispatch, *, sealed: bool) -> None:
        """The same generation is the same work: it goes on under the newer lease. A newer one begins once the old has ended."""
        if dispatch.generation == held.dispatch.generation:
            held.renew(dispatch.lease)
            return

        def replace() -> None:
            self._stop_attempt(held, Cause.KILLED)
            held.over.wait()
            attempt = self._take(dispatch, sealed=sealed)
            if attempt is not None:
                self._begin(attempt)

        threading.Thread(target=replace, name="supersede", daemon=True).start()

    def _ended(self, attempt: Attempt) -> None:
        """Its thread is free."""
        if attempt.overstays:
            self._crew_of(attempt).returned()

    def _saved(self, attempt: Attempt) -> None:
        """Its outcome is saved, and what it made is gone."""
        with self._lock:
            if self._held.get(attempt.dispatch.task_run_id) is attempt:
                del self._held[attempt.dispatch.task_run_id]
            if not self._held:
                self._emptied.set()
            if attempt.dispatch.kind != "task":  # a dispatch of it that comes late must not begin beside its successor elsewhere
                self._refuse(attempt.dispatch.task_run_id, attempt.lease, Cause.KILLED)

    # --- stops

    def _stop(self, stop: Stop) -> None:
        with self._lock:
            held = self._held.get(stop.task_run_id)
            if held is None:
                self._refuse(stop.task_run_id, stop.lease, stop.cause)
        if held is None:
            self._answer(stop.task_run_id, stop.execution_id, stop.lease, stop.cause)
        elif stop.lease >= held.lease:
            held.renew(stop.lease)
            threading.Thread(target=self._stop_attempt, args=(held, stop.cause), name="stop", daemon=True).start()

    def _refuse(self, task_run_id: str, lease: int, cause: Cause) -> None:
        """Begin nothing of this lease any more, should it come."""
        if lease >= self._never.get(task_run_id, (lease, cause))[0]:
            self._never[task_run_id] = (lease, cause)
            self._never.move_to_end(task_run_id)
        if len(self._never) > MOST_REMEMBERED:
            self._never.popitem(last=False)

    def _stop_attempt(self, attempt: Attempt, cause: Cause) -> None:
        attempt.stop(cause)
        if attempt.overstays:
            self._crew_of(attempt).replace_one()

    def _answer(self, task_run_id: str, execution_id: str, lease: int, cause: Cause) -> None:
        """The outcome of a run that never began here."""
        state = "KILLED" if cause is Cause.KILLED else "FAILED"
        report: Mapping[str, Json] = {
            "kind": "outcome",
            "task_run_id": task_run_id,
            "execution_id": execution_id,
            "lease": lease,
            "at": format_instant(datetime.now(UTC)),
            "state": state,
            "cause": cause,
        }
        self._reporter.put(report)


def _version() -> str:
    with suppress(PackageNotFoundError):
        return version("orchestrator")
    return ""
