"""Checks what stands under a `type:` (task, trigger, runner, condition) against the class behind it, tasks within tasks too."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import timedelta
from typing import Any

from pydantic import BaseModel, ValidationError

from orchestrator import registry
from orchestrator.errors import NotFound
from orchestrator.lang import declarations
from orchestrator.lang.complaints import complaints, unknown_property, value_at, written_path
from orchestrator.lang.findings import Findings
from orchestrator.lang.graph import cycle
from orchestrator.lang.holders import PLACE_PROPERTIES, Holder
from orchestrator.lang.names import ID, ID_PATTERN
from orchestrator.lang.places import Places
from orchestrator.lang.shape import USUAL_PLACES, accepted, at_places, loose_models, properties, synonyms, task_places
from orchestrator.lang.source import Path
from orchestrator.model.flow import Input
from orchestrator.model.values import Json, parse_duration
from orchestrator.sdk import CallProperties, Flowable, is_template

Resolve = Callable[[str, str], type[Any]]  # (kind, name) -> class; raises NotFound
TemplateProblem = Callable[[str], str | None]  # why a template cannot be read

_OWN_CHECKS = frozenset({"Input", "FlowOutput", "TriggerSpec", "Label"})
_UNRENDERED = frozenset({"description", "displayName"})


class Specs:
    """Walks the specs of one flow, noting problems in `findings` and every task id it meets.

    A scalar written where a property is text becomes that text, in place: `message: 42` says "42".
    """

    def __init__(self, findings: Findings, resolve: Resolve, template_problem: TemplateProblem, places: Places, flow: tuple[str, str] = ("", "")) -> None:
        self.findings = findings
        self.resolve = resolve
        self.places = places
        self.template_problem = template_problem
        self.flow = flow  # namespace, id
        self.task_ids: list[tuple[str, Path]] = []

    def tasks(self, value: Json, path: Path) -> None:
        """A list of tasks; null is none."""
        if value is None:
            return
        if not isinstance(value, list):
            self.findings.add("wrong-type", "must be a list of tasks", path)
            return
        for at, item in enumerate(value):
            self.spec("task", item, (*path, at))

    def spec(self, kind: str, raw: Json, path: Path) -> None:
        """One task, trigger, task runner or condition."""
        if not isinstance(raw, dict):
            self.findings.add("wrong-type", f"must be a {kind.replace('_', ' ')}: a map with a `type`", path)
            return
        if kind in ("task", "trigger"):
            self._id(kind, raw, path)
        cls = self._class(kind, raw, path)
        places = USUAL_PLACES if cls is None else task_places(cls)
        inner = [(spot, task) for spot, task in at_places(raw, places) if isinstance(task, dict) and ("type" in task or "id" in task)]
        if cls is not None:
            self._relations(cls, raw, path, [task for _, task in inner])
            asked = self._inputs(cls, raw, path)
            self._properties(cls, raw, path, (*(spot for spot, _ in inner), *asked))
        if kind in ("task", "trigger"):
            self.places.meet(Holder("task" if kind == "task" else "trigger", raw, path, str(raw.get("type")), cls))
        self._parts(raw, path)
        self.templates(raw, path, beneath=tuple((*path, *spot) for spot, _ in inner))
        for spot, task in inner:
            self.spec("task", task, (*path, *spot))

    def _id(self, kind: str, raw: dict[str, Json], path: Path) -> None:
        name = raw.get("id")
        if isinstance(name, int | float):
            name = raw["id"] = self.findings.as_written((*path, "id"), name)
        if name is None:
            self.findings.add("missing-property", "must not be null", (*path, "id"), help=f"every {kind} needs an `id`")
        elif not isinstance(name, str) or not ID.fullmatch(name):
            self.findings.add("invalid-value", f'must match "{ID_PATTERN}"', (*path, "id"))
        if kind == "task" and isinstance(name, str):
            self.task_ids.append((name, (*path, "id")))

    def _class(self, kind: str, raw: Mapping[str, Json], path: Path) -> type[BaseModel] | None:
        name = raw.get("type")
        if not isinstance(name, str) or not name:
            self.findings.add("unknown-type", "Invalid type: null", path, help="add `type:`")
            return None
        try:
            cls: type[BaseModel] = self.resolve(kind, name)
        except NotFound:
            near = registry.nearest(kind, name)
            self.findings.add(
                "unknown-type",
                f"Invalid type: {name}",
                (*path, "type"),
                help=f"did you mean `{near}`?" if near else "`orchestrator schema` lists what is installed",
            )
            return None
        if (proper := registry.replaced_by(kind, name)) is not None:
            self.findings.add("renamed-type", f"{name} is replaced by {proper}", (*path, "type"), severity="info")
        return cls

    def _inputs(self, cls: type[BaseModel], raw: dict[str, Json], path: Path) -> tuple[Path, ...]:
        """The declarations of inputs within a task, checked as a flow's own are; where they stand."""
        names = [name for name, field in properties(cls).items() if Input in loose_models(field.annotation) and raw.get(name) is not None]
        for name in names:
            declarations.inputs(self.findings, raw[name], (*path, name))
        return tuple((name,) for name in names)

    def _properties(self, cls: type[BaseModel], raw: dict[str, Json], path: Path, inner: tuple[Path, ...]) -> None:
        self._twice(cls, raw, path)
        self.model(cls, raw, path, inner)
        self.strict_parts(cls, raw, path)

    def model(self, cls: type[BaseModel], raw: dict[str, Json], path: Path, inner: tuple[Path, ...] = (), *, again: bool = True) -> None:
        """Read `raw` as `cls` and note what does not fit; what lies within `inner` is checked by itself."""
        try:
            cls.model_validate(raw)
        except ValidationError as error:
            if again and self._texts(error, raw, path):
                return self.model(cls, raw, path, inner, again=False)
            for found in complaints(error, raw, cls):
                if any(found.path[: len(spot)] == spot for spot in inner) or self._is_told_elsewhere(found.path, path):
                    continue
                message, place = found.message, (*path, *found.path)
                if self.findings.says(f"{raw.get('id')}: {message}", path):
                    continue  # seen already, and with a closer place
                if not found.path and isinstance(raw.get("id"), str) and not message.startswith(raw["id"] + ":"):
                    message = f"{raw['id']}: {message}"
                if found.code in ("missing-property", "empty") and (str(found.path[0]), "*") in task_places(cls) and len(found.path) == 1:
                    self.findings.add("empty", "must not be empty", place, help="list at least one task")
                elif found.path != ("type",) and found.path != ("id",):
                    self.findings.add(found.code, message, place, help=found.help, key=found.at_key)
        return None

    def _is_told_elsewhere(self, found: Path, path: Path) -> bool:
        """Whether a problem of where work goes is for others to tell: of resources, and of what a plugin default gave."""
        return bool(found) and (found[0] == "resources" or (found[0] in PLACE_PROPERTIES and not self.places.wrote((*path, found[0]))))

    def _texts(self, error: ValidationError, raw: dict[str, Json], path: Path) -> bool:
        """Turn numbers and booleans that were meant as text into text; whether there were any."""
        changed = False
        for found in error.errors(include_url=False, include_input=False):
            if found["type"] == "string_type":
                spot = written_path(found, raw)
                holder = value_at(raw, spot[:-1]) if spot else None
                if spot and isinstance(holder, (dict, list)) and isinstance(value_at(raw, spot), bool | int | float):
                    holder[spot[-1]] = self.findings.as_written((*path, *spot), value_at(raw, spot))  # type: ignore[index]  # a list is indexed by an int here
                    changed = True
        return changed

    def _twice(self, cls: type[BaseModel], raw: Mapping[str, Json], path: Path) -> None:
        """One property under two of its names."""
        for names in synonyms(cls):
            written = [name for name in names if name in raw]
            if len(written) > 1:
                said = f"`{written[0]}` and `{written[1]}` are the same property"
                self.findings.add("conflicting-properties", said, (*path, written[1]), key=True, help="keep one of them")

    def strict_parts(self, cls: type[BaseModel], raw: Mapping[str, Json], path: Path) -> None:
        """What the parts of a model (its retry, its worker group) leave to be checked: unknown properties, lengths."""
        for name, field in properties(cls).items():
            for model in () if self._is_told_elsewhere((name,), path) else loose_models(field.annotation):
                if model.__name__ not in _OWN_CHECKS:
                    self._strict(model, raw.get(name), (*path, name))
        self.retry(raw.get("retry"), (*path, "retry"))

    def _strict(self, model: type[BaseModel], value: Json, path: Path) -> None:
        """Unknown properties of a part whose model would ignore them."""
        for at, item in enumerate(value) if isinstance(value, list) else [(None, value)]:
            spot = path if at is None else (*path, at)
            if not isinstance(item, dict):
                continue
            self._twice(model, item, spot)
            for name in item:
                if name not in accepted(model):
                    found = unknown_property((*spot, name), model)
                    self.findings.add(found.code, found.message, found.path, help=found.help, key=True)

    def retry(self, value: Json, path: Path) -> None:
        """What the kinds of retry need, and which of their lengths must be the shorter."""
        if not isinstance(value, dict):
            return
        kind = value.get("type")
        first = "minInterval" if kind == "random" else "interval"
        needed = {"constant": ("interval",), "exponential": ("interval", "maxInterval"), "random": ("minInterval", "maxInterval")}.get(str(kind), ())
        for name in needed:
            if value.get(name) is None:
                self.findings.add("missing-property", "must not be null", (*path, name), help=f"a {kind} retry needs `{name}`")
        for other in ("maxDuration", "maxInterval"):
            short, long = _length(value.get(first)), _length(value.get(other))
            if short is not None and long is not None and short >= long:
                self.findings.add("invalid-value", f"'{first}' must be less than '{other}' but is {value[first]}", (*path, first))

    def _relations(self, cls: type[BaseModel], raw: Mapping[str, Json], path: Path, inner: list[dict[str, Json]]) -> None:
        """What must hold between a task and those within it."""
        tail = str(raw["type"]).rsplit(".", 1)[-1]
        if any(place[-1] == "task" for place in task_places(cls)):
            self._dag(raw, path)
        if tail == "WorkingDirectory" and not raw.get("tasks"):
            self.findings.add("empty", f"{raw.get('id')}: The 'tasks' property cannot be empty", path)
        if tail == "WorkingDirectory" and any(self._leads(task) for task in inner):
            self.findings.add("invalid-value", f"{raw.get('id')}: Only runnable tasks are allowed as children of a WorkingDirectory task", path)
        if issubclass(cls, CallProperties) and (raw.get("namespace"), raw.get("flowId")) == self.flow:
            self.findings.add("recursive-flow", f"Invalid Flow: Recursive call to flow [{self.flow[0]}.{self.flow[1]}]", (*path, "flowId"))

    def _leads(self, task: Mapping[str, Json]) -> bool:
        try:
            return issubclass(self.resolve("task", str(task.get("type"))), Flowable | CallProperties)
        except NotFound:
            return False

    def _dag(self, raw: Mapping[str, Json], path: Path) -> None:
        """The tasks that tasks wait for exist, and none waits for itself in the end."""
        listed = raw.get("tasks")
        needs: dict[str, tuple[str, ...]] = {}
        spots: dict[str, Path] = {}
        for at, item in enumerate(listed if isinstance(listed, list) else []):
            if isinstance(item, dict) and isinstance(item.get("task"), dict):
                name, waits = str(item["task"].get("id")), item.get("dependsOn")
                needs[name] = tuple(str(w) for w in waits) if isinstance(waits, list) else ()
                spots[name] = (*path, "tasks", at, "dependsOn")
        for name, waits in needs.items():
            for at, wanted in enumerate(waits):
                if wanted not in needs:
                    self.findings.add("unknown-task", f"{raw.get('id')}: Not existing task id in dependency: {wanted}", (*spots[name], at))
        found = cycle(needs)
        if found:
            self.findings.add("cyclic-dependency", f"{raw.get('id')}: Cyclic dependency detected: {', '.join(found)}", spots[found[0]])

    def runner(self, value: Json, path: Path) -> None:
        """A task runner, wherever it is named."""
        self.spec("task_runner", value, path)

    def _parts(self, raw: Mapping[str, Json], path: Path) -> None:
        """The typed parts that are not tasks: a task's runner, a trigger's conditions."""
        if isinstance(raw.get("taskRunner"), dict):
            self.spec("task_runner", raw["taskRunner"], (*path, "taskRunner"))
        for name in ("conditions", "scheduleConditions"):
            self.conditions(raw.get(name), (*path, name))

    def conditions(self, value: Json, path: Path) -> None:
        """Conditions on executions or dates, of a trigger or a listener."""
        for at, condition in _each(value):
            if isinstance(condition, dict):
                self.spec("condition", condition, (*path, at))

    def templates(self, value: Json, path: Path, *, beneath: tuple[Path, ...] = ()) -> None:
        """Every template in a value can be parsed; what lies at `beneath` is looked at by itself."""
        if path in beneath:
            return
        if isinstance(value, Mapping):
            for name, item in value.items():
                if name not in _UNRENDERED:
                    self.templates(item, (*path, name), beneath=beneath)
        elif isinstance(value, list):
            for at, item in enumerate(value):
                self.templates(item, (*path, at), beneath=beneath)
        elif is_template(value):
            problem = self.template_problem(value)
            if problem is not None:
                # The language's own rule: such a flow is accepted, and only the task whose property it is fails, when it runs.
                self.findings.add("bad-expression", problem, path, severity="warning")

    def duplicates(self) -> None:
        """No two tasks of a flow share an id, wherever they stand."""
        duplicates(self.findings, "task", self.task_ids)


def _each(value: Json) -> Iterable[tuple[str | int, Json]]:
    """The items of a list or of a map, by their place."""
    return enumerate(value) if isinstance(value, list) else value.items() if isinstance(value, Mapping) else ()


def duplicates(findings: Findings, kind: str, ids: Sequence[tuple[str, Path]]) -> None:
    """Note ids that occur more than once: one problem that names them all, at the first repetition."""
    twice = [name for name, count in Counter(name for name, _ in ids).items() if count > 1]
    if not twice:
        return
    seen: set[str] = set()
    repeats = [(name, path) for name, path in ids if name in seen or seen.add(name)]  # type: ignore[func-returns-value]
    ordered = list(dict.fromkeys(name for name, _ in repeats))
    first = {name: findings.place(path) for name, path in reversed(ids) if name in twice}
    also = "; ".join(f"`{name}` is first used at {first[name]}" for name in ordered)
    findings.add(f"duplicate-{kind}-id", f"Duplicate {kind} id with name [{', '.join(ordered)}]", repeats[0][1], help=also)


def _length(value: Json) -> timedelta | None:
    try:
        return parse_duration(value) if isinstance(value, str) else None
    except ValueError:
        return None
