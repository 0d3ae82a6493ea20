"""A flow's declared outputs, read as the types they declare."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from orchestrator.errors import TaskFailed
from orchestrator.lang import input_types as types
from orchestrator.lang.inputs import NO_KEY, Seal
from orchestrator.lang.sealing import is_sealed
from orchestrator.model.flow import Flow, FlowOutput
from orchestrator.model.values import Json


def resolve_outputs(flow: Flow, rendered: Mapping[str, Any], *, seal: Seal | None = None) -> dict[str, Json]:
    """The outputs of an execution from their rendered values, by id; without a declared type a value stays as it is.

    An output of type SECRET is kept sealed. Raises TaskFailed, one line per output that is missing or does not fit its type.
    """
    made: dict[str, Json] = {}
    problems: list[str] = []
    for declared in flow.outputs:
        try:
            value = _read(declared, rendered.get(declared.id), seal)
        except ValueError as err:
            received = "******" if declared.type == "SECRET" else types.text_of(rendered.get(declared.id))
            problems.append(f"{declared.id}: Invalid output for `{declared.id}`, {err}, but received `{received}`")
            continue
        made[declared.id] = value
    if problems:
        raise TaskFailed("\n".join(problems))
    return made


def _read(declared: FlowOutput, value: Any, seal: Seal | None) -> Json:
    if is_sealed(value):
        return value
    if value is None or (value == "" and declared.type not in (None, "STRING", "SECRET")):
        if declared.required and declared.type is not None:
            raise ValueError("missing required output")
        return None
    if declared.type == "SECRET":
        if seal is None:
            raise ValueError(NO_KEY)
        return seal(types.text_of(value))
    return value if declared.type is None else types.read(declared.type, value)
