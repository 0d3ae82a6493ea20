"""Which task runner a script task gets, and the runner's model from its properties."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Mapping
from functools import cache
from typing import Literal

from pydantic import ValidationError

from orchestrator import registry
from orchestrator.errors import NotFound, TaskFailed
from orchestrator.model.flow import TaskSpec
from orchestrator.model.values import Json
from orchestrator.runtime.built_plugins import Load, told
from orchestrator.sdk import TaskRunner

PROCESS = "io.kestra.plugin.core.runner.Process"
DOCKER = "io.kestra.plugin.scripts.runner.docker.Docker"
NO_ENGINE = (
    "No Docker engine answers and the task names no containerImage: it runs as a process of its worker. "
    "Set scripts.defaultRunner (ORCHESTRATOR_DEFAULT_RUNNER) to choose."
)

Rule = Literal["auto", "docker", "process"]


def default_type(rule: Rule, *, group: str, has_image: bool, engine_answers: Callable[[], bool], warn: Callable[[str], None]) -> str:
    """The type of a task that names none: the setting's, or under `auto` Process where a group is named without an image,
    else Docker, and where no engine answers and no image is named Process again, with one warning."""
    if rule != "auto":
        return DOCKER if rule == "docker" else PROCESS
    if group and not has_image:
        return PROCESS
    if has_image or engine_answers():
        return DOCKER
    warn(NO_ENGINE)
    return PROCESS


def runner_of(spec: TaskSpec, *, group: str, rule: Rule, engine_answers: Callable[[], bool], resources: bool = False) -> tuple[str | None, str | None]:
    """The type of the runner that a script task sent to a group gets, and why; (None, None) for any other task.

    `resources`: it asks for a machine's own, which only a process on that machine can have."""
    if not is_script(spec.type):
        return None, None
    named, by = _named(spec.raw)
    if named is not None:
        return named, by
    if rule != "auto":
        return (PROCESS if rule == "process" else DOCKER), f"scripts.defaultRunner is {rule}"
    has_image = bool(spec.raw.get("containerImage")) or bool((spec.raw.get("docker") or {}).get("image"))
    if group and not has_image:
        return PROCESS, f"the task names worker group '{group}' and no containerImage"
    if resources and not has_image:
        return PROCESS, "the task asks for resources and names no containerImage"
    if has_image or engine_answers():
        return DOCKER, "scripts.defaultRunner is auto"
    return PROCESS, NO_ENGINE


def _named(raw: Mapping[str, Json]) -> tuple[str | None, str | None]:
    """The runner that a task itself names, and by which property: `runner` wins over `taskRunner`, which wins over `docker`."""
    older, asked = raw.get("runner"), raw.get("taskRunner")
    if older in ("PROCESS", "DOCKER"):
        return (PROCESS if older == "PROCESS" else DOCKER), "named by the task's `runner`"
    if isinstance(asked, Mapping) and asked.get("type"):
        return full_name(asked), "named by the task"
    return (DOCKER, "named by the task's `docker`") if raw.get("docker") and not asked else (None, None)


def with_runner(raw: Mapping[str, Json], chosen: str | None) -> dict[str, Json]:
    """A task as written with the runner chosen for it; one that names its own stays as it is."""
    if chosen is None or _named(raw)[0] is not None:
        return dict(raw)
    return {**raw, "taskRunner": {**(raw.get("taskRunner") or {}), "type": chosen}}


def full_name(runner: Mapping[str, Json]) -> str:
    """The type of a `taskRunner:` as written, short or by an older name, under its own name today."""
    return _own_name(str(runner["type"]))


@cache
def _own_name(written: str) -> str:
    name = registry.full_name("task_runner", written) or written
    try:
        own = registry.load("task_runner", name).model_fields["type"].default
    except (NotFound, ImportError):
        return name
    return own if isinstance(own, str) and registry.full_name("task_runner", own) else name


def backend_of(runner_type: str, written: Mapping[str, Json]) -> str:
    """A name for the place that belongs to no machine to which a runner sends its jobs; "" where it is the machine's own engine.

    It is made of what the author wrote, unrendered: no credential is read for it, and none can be read from it. Two ways of
    writing one place give two names; that costs a second supervisor, no more: jobs are found by their own names and labels.
    """
    fields = _backend_fields(runner_type)
    if not fields:
        return ""
    told = json.dumps([[name, written.get(name)] for name in fields], sort_keys=True, default=str)
    words = [word for word in re.split(r"[^a-z0-9]+", runner_type.lower()) if word not in ("", "runner")]
    return f"{'-'.join(words[-2:])}-{hashlib.sha256(told.encode()).hexdigest()[:12]}"


@cache
def _backend_fields(runner_type: str) -> tuple[str, ...]:
    try:
        return tuple(registry.load("task_runner", runner_type).backend_fields)
    except NotFound:
        return ()


@cache
def is_script(task_type: str) -> bool:
    """Whether a type is a script task: it says what to run, and a task runner says where."""
    try:
        return "task_runner" in registry.load("task", task_type).model_fields
    except NotFound:
        return False


@cache
def is_ephemeral(runner_type: str) -> bool:
    """Whether a runner rents a place of its own, and so takes no slot of a worker."""
    try:
        return bool(registry.load("task_runner", runner_type).ephemeral)
    except NotFound:
        return False


def built_runner(properties: Mapping[str, Json], load: Load = registry.load) -> TaskRunner:
    """The runner of rendered properties with their `type`. Raises TaskFailed when it is not installed or they do not fit."""
    name = str(properties["type"])
    try:
        runner = load("task_runner", name).model_validate(properties)
    except NotFound as err:
        raise TaskFailed(f"taskRunner: {err}", cause="START_FAILED") from err
    except ModuleNotFoundError as err:
        raise TaskFailed(f"taskRunner {name} needs the Python package `{err.name}`, which is not installed here", cause="START_FAILED") from err
    except ValidationError as err:
        raise TaskFailed(f"taskRunner: {told(err)}", cause="START_FAILED") from err
    if not isinstance(runner, TaskRunner):
        raise TaskFailed(f"taskRunner: {name} is not a task runner", cause="START_FAILED")
    return runner
