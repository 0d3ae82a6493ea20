"""What a task changes of the execution it runs in, once it has ended: labels, variables, its end."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from orchestrator.engine.draft import Draft, GiveWay
from orchestrator.engine.variables import vars_of
from orchestrator.errors import Refused
from orchestrator.model.dispatch import Outcome, VariableChange
from orchestrator.model.execution import Exit
from orchestrator.model.log import Level
from orchestrator.model.state import State
from orchestrator.model.values import Json, Label


def take_along(draft: Draft, outcome: Outcome) -> str | None:
    """Make the changes of an outcome, in this order; why they cannot be made, and nothing is changed then."""
    try:
        shown = _changed(draft, outcome.variables)
    except Refused as err:
        return str(err)
    if outcome.variables:
        draft.amend(vars=shown)
    if outcome.labels:
        labels = {label.key: label for label in draft.execution.labels}
        labels.update({key: Label(key=key, value=value) for key, value in outcome.labels.items()})
        draft.amend(labels=tuple(labels.values()))
    if outcome.ends is not None:
        _leave(draft, State(outcome.ends))
    return None


def _changed(draft: Draft, changes: Sequence[VariableChange]) -> Mapping[str, Json]:
    shown = vars_of(draft.view.flow, draft.execution)
    for change in changes:
        shown = changed(shown, change)
    return shown


def changed(variables: Mapping[str, Json], change: VariableChange) -> Mapping[str, Json]:
    """Variables with one change made; a map is merged into the map that is there. Raises Refused when it must not be made."""
    if not change.overwrite and (there := [name for name in change.put if name in variables]):
        raise Refused(f"Variables that exist already are not to be overwritten: {', '.join(there)}")
    if not change.ignore_missing and (missing := [name for name in change.drop if name not in variables]):
        raise Refused(f"Variables that do not exist cannot be unset: {', '.join(missing)}")
    kept = {name: value for name, value in variables.items() if name not in change.drop}
    return _merged(kept, change.put)


def _merged(old: Mapping[str, Json], new: Mapping[str, Json]) -> dict[str, Json]:
    both = {name: _merged(old[name], value) for name, value in new.items() if isinstance(value, Mapping) and isinstance(old.get(name), Mapping)}
    return {**old, **new, **both}


def _leave(draft: Draft, state: State) -> None:
    """Let the execution end in `state`: nothing new begins but `finally`; what runs may end, unless it is to be killed."""
    if draft.execution.state.current.ended or draft.killing or draft.leaving is not None:
        draft.say(Level.WARN, "The execution ends already: that it should exit changes nothing")
        return
    if state is not State.KILLED:
        draft.amend(exit=Exit(state=state, seq=draft.seq))
    draft.todo.append(GiveWay(stops=state is State.KILLED))  # before the leader is looked at, which the end of the run asks for
