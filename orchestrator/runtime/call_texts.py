"""What a run that starts executions reads: its items, its templates, and the older `outputs` of a subflow. May block with services."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from orchestrator.engine.view import ExecutionView
from orchestrator.errors import OrchestratorError, Refused
from orchestrator.lang.expressions import NeedsServices, Renderer
from orchestrator.model.execution import TaskRun
from orchestrator.model.file_uri import FileUri
from orchestrator.model.values import Json

Answers = Mapping[str, Json] | OrchestratorError
Context = Mapping[str, Any]


def items_of(view: ExecutionView, run: TaskRun, source: tuple[str, str], renderer: Renderer) -> tuple[str, ...]:
    """The URIs of a list that a task beside the run has made, `source` its id and output. Raises Refused for a list of another execution's."""
    maker = view.run(view.counters.at((run.parent_id, run.branch, run.iteration, source[0])) or "")
    text = str(maker.outputs.get(source[1]) if maker is not None else None)
    if renderer.services is None or FileUri.parse(text).execution_id != run.execution_id:
        raise Refused(f"{text} is no list of items of this execution")
    return tuple(renderer.services.read(text, {}).splitlines())


def contexts(context: Context, items: Sequence[str] | None, numbers: Sequence[int]) -> list[tuple[int, Context]]:
    """The variables of each call: the run's, with the item that it is for."""
    if items is None:
        return [(number, context) for number in numbers]
    about = context.get("taskrun", {})
    return [(number, {**context, "taskrun": {**about, "items": items[number], "iteration": number}}) for number in numbers]


def rendered(renderer: Renderer, questions: Mapping[str, Json], calls: Sequence[tuple[int, Context]]) -> list[tuple[int, Answers]]:
    """What each call's templates say, or why they say nothing. Raises NeedsServices when they read and the renderer has none."""
    return [(number, _answers(renderer, questions, context)) for number, context in calls]


def _answers(renderer: Renderer, questions: Mapping[str, Json], context: Context) -> Answers:
    try:
        found: Mapping[str, Json] = renderer.render_any(dict(questions), context)
    except NeedsServices:
        raise
    except OrchestratorError as err:
        return err
    return found


def results_of(renderer: Renderer, templates: Mapping[str, Json], context: Context) -> Answers:
    """What the templates say among the variables of the execution that has ended, or why they say nothing."""
    return _answers(renderer, templates, context)
