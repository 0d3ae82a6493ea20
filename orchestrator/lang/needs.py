"""What a task says it needs: `resources`, and how long it may wait for a place."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from orchestrator.errors import NotFound
from orchestrator.lang.complaints import complaints, unknown_property
from orchestrator.lang.findings import Findings
from orchestrator.lang.source import Path
from orchestrator.model.resources import Resources, parse_size
from orchestrator.model.values import Json, parse_duration
from orchestrator.sdk import is_template

_MIB = 1024**2
_OLDER_DOCKER = "io.kestra.plugin.scripts.runner.docker.Docker"


def duration(findings: Findings, value: Json, path: Path) -> None:
    """A wait is an ISO-8601 duration, not a negative one, or a template."""
    if value is None or is_template(value) or isinstance(value, bool | list | dict):
        return  # of another type than text: said where types are looked at
    try:
        if parse_duration(str(value)).total_seconds() < 0:
            findings.add("invalid-value", "must not be negative", path)
    except ValueError as err:
        findings.add("invalid-value", str(err), path)


def resources(findings: Findings, value: Json, path: Path) -> None:
    """Each is a number (memory: a size) or a template, and Ray can share it out."""
    if not isinstance(value, Mapping):
        findings.add("wrong-type", "must be a map with `cpu`, `memory` or `gpu`", path)
        return
    for name in value:
        if name not in Resources.model_fields:
            found = unknown_property((*path, name), Resources)
            findings.add(found.code, found.message, found.path, help=found.help, key=True)
    known = {name: item for name, item in value.items() if name in Resources.model_fields and item is not None}
    constants = {name: item for name, item in known.items() if not is_template(item)}
    try:
        Resources.model_validate(constants)
    except ValidationError as error:
        for found in complaints(error, constants, Resources):
            if found.path or len(constants) == len(value):  # nothing at all: a template may yet give something
                findings.add(found.code, found.message, (*path, *found.path), help=found.help)
    _little_memory(findings, constants.get("memory"), (*path, "memory"))


def _little_memory(findings: Findings, value: Json, path: Path) -> None:
    try:
        size = parse_size(value)
    except ValueError:
        return
    if 0 < size < _MIB:
        findings.add("invalid-value", f"this is {size} bytes", path, help=f"did you mean `{value}GiB`?" if str(value).isdigit() else None, severity="warning")


def ephemeral_runner(raw: Mapping[str, Json], resolve: Any) -> str | None:
    """The type of the runner that a script task names, if that rents a place of its own."""
    runner = raw.get("taskRunner")
    named = runner.get("type") if isinstance(runner, Mapping) else None
    if raw.get("runner") == "DOCKER" or (raw.get("docker") and not raw.get("runner") and not named):
        named = _OLDER_DOCKER
    try:
        return str(named) if named and raw.get("runner") != "PROCESS" and resolve("task_runner", str(named)).ephemeral else None
    except (NotFound, AttributeError):
        return None
