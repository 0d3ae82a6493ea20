"""Flows checked without being saved, and saved many at once."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from fastapi import APIRouter, Request, Response

from orchestrator.errors import FlowInvalid
from orchestrator.lang.check import check, check_plugin
from orchestrator.lang.diagnostics import Diagnostic, errors_of
from orchestrator.lang.source import documents, parse_yaml
from orchestrator.model.flow import Flow
from orchestrator.model.surroundings import Surroundings
from orchestrator.model.values import Json
from orchestrator.runtime.requests import PlanFlow
from orchestrator.server import answers
from orchestrator.server.asked import Asked
from orchestrator.server.bodies import json_body, json_object
from orchestrator.server.parts import parts_of, slowly
from orchestrator.server.problems import BadArgument
from orchestrator.server.routes.flows import is_json, source_of

router = APIRouter(prefix="/api/v1/flows")
_SECTIONS = {"TASKS": "task", "TRIGGERS": "trigger"}


@router.post("/validate", response_model=None)
async def validate(request: Request) -> Response:
    """Each document of the body with all that is wrong with it; never an error for an invalid flow."""
    source = await source_of(request)
    around = await parts_of(request).executor.surroundings()
    return answers.made(await slowly(lambda: [_checked(index, text, around) for index, text in enumerate(documents(source))]))


@router.post("/plan", response_model=None)
async def plan(request: Request) -> Response:
    """Where each task would go now. The body is a flow's YAML, or JSON: its `source`, and the `inputs` and `labels` of the run."""
    made = await parts_of(request).executor.plan_flow(await _asked_plan(request))
    return answers.made(made.model_dump(mode="json", by_alias=True, exclude_none=True))


async def _asked_plan(request: Request) -> PlanFlow:
    if not is_json(request):
        return PlanFlow(source=await source_of(request))
    body = await json_object(request)
    if not isinstance(body.get("source"), str):
        raise BadArgument("`source` is needed: the flow's YAML")
    inputs, labels = ({} if body.get(name) is None else body[name] for name in ("inputs", "labels"))
    if not isinstance(inputs, dict) or not isinstance(labels, dict):
        raise BadArgument("`inputs` and `labels` are maps")
    return PlanFlow(source=body["source"], inputs=inputs, labels={key: str(value) for key, value in labels.items()})


@router.post("/validate/task", response_model=None)
async def validate_task(request: Request) -> Response:
    section = (Asked(request).text("section") or "TASKS").upper()
    if section not in _SECTIONS:
        raise BadArgument(f"`section` is one of {', '.join(_SECTIONS)}, not `{section}`")
    return await _plugin(request, _SECTIONS[section])


@router.post("/validate/trigger", response_model=None)
async def validate_trigger(request: Request) -> Response:
    return await _plugin(request, "trigger")


async def _plugin(request: Request, kind: str) -> Response:
    value: Json = await json_body(request) if is_json(request) else await source_of(request)
    around = await parts_of(request).executor.surroundings()
    return answers.made(_violation(0, await slowly(lambda: check_plugin(value, kind, groups=around.groups))))


def _checked(index: int, text: str, around: Surroundings) -> Json:
    flow, found = check(text, around=around)
    return _violation(index, found, *((flow.namespace, flow.id) if flow is not None else _name(text)))


def _name(text: str) -> tuple[str | None, str | None]:
    """Namespace and id of a flow that is wrong elsewhere."""
    try:
        value = parse_yaml(text)
    except ValueError:
        return None, None
    return (_text(value.get("namespace")), _text(value.get("id"))) if isinstance(value, dict) else (None, None)


def _text(value: Json) -> str | None:
    return value if isinstance(value, str) else None


def _violation(index: int, found: Sequence[Diagnostic], namespace: str | None = None, flow_id: str | None = None) -> Json:
    """ValidateConstraintViolation, with our diagnostics beside it."""
    errors = errors_of(found)
    return answers.present(
        {
            "index": index,
            "flow": flow_id,
            "namespace": namespace,
            "constraints": ", ".join(problem.summary for problem in errors) or None,
            "outdated": False,
            "deprecationPaths": _texts(d.path for d in found if d.code == "deprecated"),
            "warnings": _texts(d.summary for d in found if d.severity == "warning"),
            "infos": _texts(d.message for d in found if d.severity == "info"),
            "diagnostics": [d.model_dump(mode="json", exclude_none=True) for d in found],
        }
    )


def _texts(found: Iterable[str]) -> list[str]:
    return list(found)


def all_valid(sources: Sequence[str], around: Surroundings) -> list[Flow]:
    """The flows behind sources. Raises FlowInvalid for the first that is wrong."""
    flows = []
    for source in sources:
        flow, found = check(source, around=around)
        if flow is None:
            raise FlowInvalid(", ".join(problem.summary for problem in errors_of(found)), found)
        flows.append(flow)
    return flows
