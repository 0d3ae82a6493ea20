"""What runs once an execution has ended: the listeners whose conditions hold, then `afterExecution`. Its state stays as it is."""

from __future__ import annotations

from orchestrator.engine.draft import Draft
from orchestrator.engine.events import Evaluate, Evaluated
from orchestrator.engine.leads import AFTER, LISTENERS, Roster
from orchestrator.engine.view import ExecutionView
from orchestrator.model.flow import Flow
from orchestrator.model.log import Level
from orchestrator.sdk.values import truthy

LISTENING = "listeners"  # the question which listeners are meant


def afterwards(flow: Flow) -> dict[str, object]:
    """What is noted on an execution that ends: the lists that are to run still, and whether conditions are to be asked first."""
    names = [f"{LISTENERS}{at}" for at, listener in enumerate(flow.listeners) if listener.tasks]
    names += [AFTER] if flow.after_execution else []
    return {"after": tuple(names), "unheard": any(listener.conditions for listener in flow.listeners) or None} if names else {}


def ask_listeners(draft: Draft) -> bool:
    """Ask which listeners are meant, where that is not known yet."""
    if not draft.execution.unheard:
        return False
    if not any(isinstance(command, Evaluate) and command.question == LISTENING for command in draft.commands):
        conditions = [dict(condition) for listener in draft.view.flow.listeners for condition in listener.conditions]
        draft.commands.append(Evaluate(None, LISTENING, {"conditions": conditions}))
    return True


def on_listeners(draft: Draft, event: Evaluated) -> bool:
    """Keep those that are meant. What cannot be evaluated is not meant, and said to be so."""
    if not draft.execution.unheard:
        return False
    if event.error is not None:
        draft.say(Level.WARN, f"The conditions of the listeners cannot be evaluated: {event.error}")
    meant = tuple(name for name in draft.execution.after or () if name == AFTER or truthy(event.answers.get(name.removeprefix(LISTENERS))))
    draft.amend(after=meant, unheard=None)
    return True


def rosters(draft: Draft) -> list[Roster]:
    """The lists that run after the end, in their order."""
    return [roster for roster in draft.view.root.others if roster.branch in (draft.execution.after or ())]


def is_over(view: ExecutionView) -> bool:
    """Whether nothing more comes of an execution: it has ended, and so has what runs after it."""
    execution = view.execution
    return execution.current.ended and not execution.unheard and not view.active()
