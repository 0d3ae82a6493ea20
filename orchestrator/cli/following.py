"""Following one run: what the session tells goes to the view, what the person wishes goes to the session."""

from __future__ import annotations

from enum import Enum

from orchestrator.cli.session import ExecutionNews, Hitch, Json, LogNews, Session, Update
from orchestrator.cli.stopping import Stopping, Wish
from orchestrator.cli.views import View
from orchestrator.errors import OrchestratorError


class Ended(Enum):
    """Why following ended."""

    RUN_ENDED = "the run has ended"
    DETACHED = "the run was left going"
    LEFT = "the run was asked to end, and its end not waited for"


def follow(session: Session, execution: Json, view: View, stopping: Stopping) -> tuple[Json, Ended]:
    """Follow until the run has ended or the person has had enough. Gives the execution as last seen."""
    last = execution
    try:
        view.execution(last)
        for update in session.follow(execution["id"]):
            last = _shown(view, update, last)
            if stopping.pending:
                view.close()  # the question needs the terminal for itself
            wish = stopping.wish()
            if wish is Wish.KILL:
                _kill(session, last["id"], view)
            elif wish is not Wish.GO_ON:
                return last, Ended.DETACHED if wish is Wish.DETACH else Ended.LEFT
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


def _kill(session: Session, execution_id: str, view: View) -> None:
    view.talk(f"killing {execution_id}")
    try:
        session.kill(execution_id)
    except OrchestratorError as err:
        view.talk(f"it could not be killed: {err}")
