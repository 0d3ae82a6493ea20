"""Waiting for other systems so that a stop ends it."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from contextlib import suppress
from typing import Any, TypeVar

from orchestrator.sdk import RunContext, TaskFailed

T = TypeVar("T")


def until_stopped(ctx: RunContext, asking: Coroutine[Any, Any, T]) -> T:
    """Do it on a loop of its own, on this thread. Raises TaskFailed when the run is stopped: by then its connections are closed.

    What is left of it at most is the look-up of a name, which nothing can end, and which does nothing.
    """
    loop = asyncio.new_event_loop()
    try:
        task = loop.create_task(asking)

        def cancel() -> None:
            with suppress(RuntimeError):  # it is over: the loop is closed
                loop.call_soon_threadsafe(task.cancel)

        ctx.on_stop(cancel)
        return loop.run_until_complete(task)
    except asyncio.CancelledError:
        raise TaskFailed("stopped while waiting for the server's answer") from None
    finally:
        loop.run_until_complete(loop.shutdown_asyncgens())
        loop.close()
