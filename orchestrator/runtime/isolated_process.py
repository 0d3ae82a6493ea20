"""What a child process does between its fork and its end: takes its work, says what the work says, and heeds a stop."""

from __future__ import annotations

import ctypes
import itertools
import os
import signal
import socket
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from importlib import import_module
from typing import Any

from orchestrator import settings
from orchestrator.errors import Unavailable
from orchestrator.model.dispatch import SaidLine
from orchestrator.model.execution import Cause
from orchestrator.model.values import Json, format_instant
from orchestrator.runtime.frames import Frames
from orchestrator.runtime.reporter import as_json
from orchestrator.runtime.spawner_process import RUN
from orchestrator.runtime.stopping import StopSignal
from orchestrator.runtime.task_work import Means

PR_SET_NAME = 15
_mark: list[int] = []  # where the mark of this process stands in the memory that /proc shows as its environment


class Home:
    """The child's worker, as its work sees it: takes what is said at once, so that nothing is lost when the child dies."""

    def __init__(self, frames: Frames, means: Means) -> None:
        self._frames, self.means = frames, means
        self.stop = StopSignal()
        self.afterwards: list[Callable[[], None]] = []
        self._kept = threading.Event()
        self._numbers = itertools.count(1)
        self._asked: dict[int, Callable[[Mapping[str, Any], Sequence[int]], bool]] = {}
        threading.Thread(target=self._listen, name="worker", daemon=True).start()

    def tell(self, do: str, **facts: Json) -> None:
        """Pass something on to the worker."""
        self._frames.send({"do": do, **facts})

    def ask(self, do: str, answered: Callable[[Mapping[str, Any], Sequence[int]], bool], **facts: Json) -> None:
        """As `tell`, with an answer: `answered` is called with each, and the descriptors beside it, until it gives True."""
        number = next(self._numbers)
        self._asked[number] = answered
        self.tell(do, number=number, **facts)

    def say(self, head: Mapping[str, Json], line: SaidLine | None = None, metric: Mapping[str, Json] | None = None) -> None:
        """Take a log line or a metric (a Speaker)."""
        if line is not None:
            self.tell("say", line=[format_instant(line.at), line.level, line.message, line.offset])
        if metric is not None:
            self.tell("metric", metric=dict(metric))

    def _listen(self) -> None:
        while (told := self._frames.receive()) is not None:
            if "stop" in told:
                self._stop(Cause(told["stop"]))
            elif "kept" in told:
                self._kept.set()
            else:
                self._answered(told)
        os.killpg(0, signal.SIGKILL)  # the worker has let go of us: this is not to go on unseen

    def _answered(self, told: Mapping[str, Any]) -> None:
        descriptors = [self._frames.descriptor() for _ in range(told.get("descriptors", 0))]
        answered = self._asked[told["number"]]
        if answered(told, descriptors):
            del self._asked[told["number"]]

    def _stop(self, cause: Cause) -> None:
        if self.stop.set(cause):
            threading.Thread(target=self.stop.run_actions, name="stop", daemon=True).start()

    def end(self, facts: Mapping[str, Json]) -> None:
        """Say the outcome; once that is saved, do what was put off until then."""
        report = {"do": "outcome", "more": bool(self.afterwards)}
        try:
            text = as_json({**report, "facts": facts})
        except Exception as err:  # outputs that are no JSON: the run must still end
            text = as_json({**report, "facts": unwritable(err)})
        self._frames.send_text(text)
        if self.afterwards:
            self._kept.wait()
        for action in reversed(self.afterwards):
            with suppress(Exception):  # what cannot be removed now is found by its labels later
                action()


def main(end: int, means: Means) -> None:
    """The whole life of a child, with the line to its worker given. Does not return."""
    frames = Frames(socket.socket(fileno=end))
    request = _asked(frames)
    if request is not None:
        bear(request["key"])
        home = Home(frames, means)
        facts = named(request["work"])(request["given"], home)
        home.end(facts)
    for stream in (sys.stdout, sys.stderr):
        with suppress(Exception):
            stream.flush()
    os._exit(0)


def _asked(frames: Frames) -> dict[str, Any] | None:
    """Greet the worker and take the work that it has; None when it wants nothing any more."""
    with suppress(OSError):
        frames.send({"pid": os.getpid()})
        told = frames.receive()
        return told if told is not None and "work" in told else None
    return None


def unwritable(err: Exception) -> dict[str, Json]:
    """The facts of a run whose outputs cannot be told."""
    return {"state": "FAILED", "cause": Cause.EXCEPTION, "error": f"the outputs cannot be written as JSON: {err}"}


def named(name: str) -> Callable[..., Any]:
    """The function that `module:function` names."""
    module, _, function = name.partition(":")
    found: Callable[..., Any] = getattr(import_module(module), function)
    return found


def find_mark() -> None:
    """Note where our mark stands; before anything changes the environment."""
    variables = ctypes.POINTER(ctypes.c_void_p).in_dll(ctypes.CDLL(None), "environ")
    prefix = f"{RUN}=".encode()
    for at in itertools.takewhile(bool, (variables[number] for number in itertools.count())):
        if ctypes.string_at(at).startswith(prefix):
            _mark.append(at)


def bear(key: str) -> None:
    """Bear a key as commands do: by it the spawner knows all that comes of this process, what it only forks too."""
    settings.export({RUN: key})
    text = f"{RUN}={key}".encode()
    for at in _mark:
        if len(ctypes.string_at(at)) == len(text):
            ctypes.memmove(at, text, len(text))
    ctypes.CDLL(None).prctl(PR_SET_NAME, b"isolated", 0, 0, 0)


def refused(told: Mapping[str, Any]) -> Exception | None:
    """The error that an answer of the worker tells, if it does."""
    if "errno" in told:
        return OSError(told["errno"], told["error"], told.get("about"))
    if "error" not in told:
        return None
    return ValueError(told["error"]) if told["value"] else Unavailable(told["error"])
