"""The worker's side of a task in a child process: hears what it says, does what it asks, and tells how it died."""

from __future__ import annotations

import signal
import threading
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from typing import Any

from orchestrator.errors import OrchestratorError
from orchestrator.model.dispatch import Dispatch, SaidLine
from orchestrator.model.execution import Cause, PhaseName
from orchestrator.model.job import JobHandle
from orchestrator.model.log import Level
from orchestrator.model.values import Json, parse_instant
from orchestrator.runtime import isolated_task
from orchestrator.runtime.isolated_commands import IsolatedCommands
from orchestrator.runtime.isolation import LAST_WORDS, Child, Isolation
from orchestrator.runtime.node import oom_kills
from orchestrator.runtime.spawner import Waiting
from orchestrator.runtime.stopping import Stopped
from orchestrator.runtime.task_work import Around


class IsolatedRun:
    """One task in a child. `facts` is called once, on the run's own thread, which hears the child until it has ended."""

    def __init__(self, isolation: Isolation, dispatch: Dispatch, around: Around, *, modules: Sequence[str], sealed: bool) -> None:
        self._isolation, self._dispatch, self._around = isolation, dispatch, around
        self._modules, self._sealed = modules, sealed
        self._jobless = threading.Event()  # what it rents must be let go before it is killed
        self._jobless.set()
        self._holding = ExitStack()
        self._oom_kills = oom_kills()

    def facts(self) -> dict[str, Json]:
        """The facts of the outcome, once nothing of the child is left but, where it has put something off, the child. Raises nothing."""
        try:
            child = self._isolation.child(self._modules, self._around.stop, self._jobless)
        except Stopped:
            return {}
        except (OrchestratorError, OSError) as err:
            return self._failed(str(err), Cause.START_FAILED)
        commands = IsolatedCommands(child.frames, self._around)
        with self._holding:
            heard = self._heard(child, commands)
        if heard is not None and heard["more"]:
            child.release()
            self._around.reports.afterwards(lambda: child.finish(lambda: _serve(child, commands)))
            return dict(heard["facts"])
        ended = child.gone(0.0 if self._around.stop else LAST_WORDS)
        return dict(heard["facts"]) if heard is not None else self._died(ended)

    def _heard(self, child: Child, commands: IsolatedCommands) -> dict[str, Any] | None:
        """Its outcome; None when it ended without one."""
        request = {"dispatch": self._dispatch.model_dump(mode="json"), "sealed": self._sealed}
        with suppress(OSError, ValueError, LookupError, TypeError):  # it died already, or what it said is not of ours
            if self._around.stop:
                return None
            child.frames.send({"key": child.key, "work": isolated_task.WORK, "given": request})
            while (told := child.frames.receive()) is not None:
                if told["do"] == "outcome":
                    return told
                if not commands.take(told):
                    self._take(told, child)
        return None

    def _take(self, told: dict[str, Any], child: Child) -> None:
        match told["do"]:
            case "say":
                self._around.log.pass_on(_line(*told["line"]))
            case "metric":
                self._around.reports.metric(told["metric"])
            case "phase":
                self._around.reports.phase(PhaseName(told["name"]), told["detail"])
            case "folder":
                self._around.folders.add(told["key"])
            case "holding":
                self._hold(held=told["held"])
            case "job":
                with suppress(Stopped):  # the child has been told too
                    self._around.reports.save_job(JobHandle.model_validate(told["handle"]), wait=True)
                    child.frames.send({"number": told["number"]})
            case "emit":  # on a thread of its own: its log goes on while it waits
                threading.Thread(target=self._emit, args=(told, child), name="emit", daemon=True).start()
            case "job-gone":
                self._around.reports.forget_job()

    def _emit(self, told: dict[str, Any], child: Child) -> None:
        answer: dict[str, Any] = {"number": told["number"]}
        try:
            self._around.reports.emit(told["variables"])
        except Stopped as err:
            answer["error"] = str(err)
        with suppress(OSError):  # it is gone
            child.frames.send(answer)

    def _hold(self, *, held: bool) -> None:
        if held:
            self._jobless.clear()
            self._holding.enter_context(self._around.reports.holding())
        else:
            self._holding.close()
            self._jobless.set()

    # --- an end without an outcome

    def _died(self, ended: Waiting | None) -> dict[str, Json]:
        if self._around.stop:
            return {}
        if ended is None:
            return self._failed("The process of this run let go of its worker, and was ended", Cause.EXCEPTION)
        if ended.code is None:
            return self._failed("The process of this run was lost: the process that had started it was killed", Cause.JOB_LOST)
        if ended.signal == signal.SIGKILL:
            return self._killed()
        if ended.signal:
            about = signal.strsignal(ended.signal)
            return self._failed(f"The process of this run was ended by signal {ended.signal} ({_name(ended.signal)}{f': {about}' if about else ''})")
        return self._failed(f"The process of this run ended with exit code {ended.code} before its task did")

    def _killed(self) -> dict[str, Json]:
        now = oom_kills()
        if now is not None and self._oom_kills is not None and now > self._oom_kills:
            return self._failed("The process of this run was killed by signal 9 (SIGKILL), as memory ran out: it needs less, or a larger machine", Cause.OOM)
        return self._failed("The process of this run was killed by signal 9 (SIGKILL), by somebody else than its worker")

    def _failed(self, message: str, cause: Cause = Cause.EXIT_CODE) -> dict[str, Json]:
        self._around.log.error(message)
        return {"state": "FAILED", "cause": cause, "error": message}


def _serve(child: Child, commands: IsolatedCommands) -> None:
    """Do what a child whose outcome is known still asks of its commands, until it ends; all else it says is nobody's any more."""
    with suppress(OSError, ValueError, LookupError, TypeError):
        while (told := child.frames.receive()) is not None:
            commands.take(told)


def _line(at: str, level: str, message: str, offset: int) -> SaidLine:
    return SaidLine.model_construct(at=parse_instant(at), level=Level(level), message=message, offset=offset, thread=None)


def _name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return "of no name"
