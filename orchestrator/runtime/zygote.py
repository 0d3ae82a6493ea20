"""The program that isolated runs are forked from: it loads the runtime once, and forks a child for each work that is asked for.

It has one thread, so that a fork copies a whole process; it holds nothing of any run. It is started through the spawner,
whose end is its own. A child is forked twice over, so that it becomes the spawner's own, which then knows how it ends;
what it is to do comes over a line that its worker has made for it.
"""

from __future__ import annotations

import faulthandler
import gc
import os
import socket
import sys
import time
import traceback
from contextlib import suppress
from importlib import import_module

from orchestrator import registry
from orchestrator.runtime import isolated_process
from orchestrator.runtime.frames import Frames
from orchestrator.runtime.task_work import Means

TICK = 0.0002  # seconds between looks at who our parent is


def main() -> None:
    """Until the worker has gone."""
    frames = _worker()
    first = frames.receive()
    if first is None:
        return
    faulthandler.enable()
    means: Means = isolated_process.named(first["maker"])(first["given"])
    isolated_process.find_mark()
    for kind in registry.KINDS:
        registry.types(kind)  # read once for all that are forked
    gc.freeze()
    while (request := frames.receive()) is not None:
        end = frames.descriptor()
        _load(request["modules"])
        if len(os.listdir("/proc/self/task")) > 1:
            print(f"isolation: one of the modules {request['modules']} starts a thread when it is loaded: each run loads it by itself", file=sys.stderr)
            return
        _fork(frames, end, means)


def _worker() -> Frames:
    """The line to the worker, which is our standard input; no child is to have it."""
    line = socket.socket(fileno=os.dup(0))
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    return Frames(line)


def _load(modules: list[str]) -> None:
    new = [name for name in modules if name not in sys.modules]
    for name in new:
        with suppress(Exception):  # the run itself tells what is missing
            import_module(name)
    if new:
        gc.freeze()


def _fork(frames: Frames, end: int, means: Means) -> None:
    try:
        passing = os.fork()
    except OSError as err:
        _fail(end, err)
        return
    if passing:
        os.close(end)
        os.waitpid(passing, 0)
        return
    try:
        _fork_again(frames, end, means)
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(1)


def _fork_again(frames: Frames, end: int, means: Means) -> None:
    """The process in between: its own child becomes the spawner's when it ends."""
    between = os.getpid()
    try:
        if os.fork():
            os._exit(0)
    except OSError as err:
        _fail(end, err)
        return
    frames.leave()
    while os.getppid() == between:
        time.sleep(TICK)
    os.setsid()
    isolated_process.main(end, means)


def _fail(end: int, err: OSError) -> None:
    with suppress(OSError):
        Frames(socket.socket(fileno=end)).send({"failed": err.strerror or str(err)})
