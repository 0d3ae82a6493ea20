"""Following one run: what the session tells goes to the view, what the person wishes goes to the session."""

from __future__ import annotations

import time
from enum import Enum

from orchestrator.cli.session import ExecutionNews, Hitch, Json, LogNews, Session, Update
from orchestrator.cli.speech import first_line
from orchestrator.cli.stopping import Stopping, Wish
from orchestrator.cli.views import View
from orchestrator.errors import Refused, Unavailable

AGAIN = 1.0  # seconds before a kill that found no server is asked for again


class Ended(Enum):
    """Why following ended."""

    RUN_ENDED = "the run has ended"
    DETACHED = "the run was left going"
    LEFT = "the run was asked to end, and its end not waited for"


def follow(session: Session, execution: Json, view: View, stopping: Stopping) -> tuple[Json, Ended]:
    """Follow until the run has ended or the person has had enough. Gives the execution as last seen."""
    last, killer = execution, _Killer(session, execution["id"], view)
    try:
        view.execution(last)
        for update in session.follow(execution["id"]):
            last = _shown(view, update, last)
            if stopping.pending:
                view.close()  # the question needs the terminal for itself
            wish = stopping.wish()
            if wish in (Wish.DETACH, Wish.LEAVE):
                return last, Ended.DETACHED if wish is Wish.DETACH else Ended.LEFT
            killer.act(wanted=wish is Wish.KILL)
    finally:
        view.close()
    return last, Ended.RUN_ENDED


def _shown(view: View, update: Update, last: Json) -> Json:
    match update:
        case ExecutionNews(execution):
            view.execution(execution)
            return execution
        case LogNews(line):
            view.log(line)
        case Hitch(message):
            view.talk(message)
        case None:
            view.tick()
    return last


class _Killer:
    """Asks for the end of the run until the server has heard it: it may be away at that very moment."""

    def __init__(self, session: Session, execution_id: str, view: View) -> None:
        self._session, self._id, self._view = session, execution_id, view
        self._due: float | None = None

    def act(self, *, wanted: bool) -> None:
        if wanted:
            self._view.talk(f"killing {self._id}")
            self._due = time.monotonic()
        if self._due is None or time.monotonic() < self._due:
            return
        try:
            self._session.kill(self._id)
            self._due = None
        except Refused:
            self._due = None  # it has ended by itself
        except Unavailable as err:
            self._due = time.monotonic() + AGAIN
            self._view.talk(f"the kill is not heard yet: {first_line(err)}")
