"""From what an asker gave to the inputs of an execution: defaults filled in, typed, checked, secrets sealed."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

from orchestrator.errors import ExpressionFailed, InputInvalid
from orchestrator.lang import input_types as types
from orchestrator.lang.input_rules import check
from orchestrator.lang.sealing import is_sealed
from orchestrator.model.flow import Flow, Input
from orchestrator.model.values import Frozen, Json
from orchestrator.sdk import is_template, truthy

Seal = Callable[[str], Json]
NO_KEY = "a SECRET input needs an encryption key: set ORCHESTRATOR_ENCRYPTION_SECRET_KEY (make one with: openssl rand -base64 32)"


class Rendering(Protocol):
    """What is needed of a renderer. All raise ExpressionFailed."""

    def render_typed(self, template: str, context: Mapping[str, Any]) -> Any: ...

    def render_any(self, value: Any, context: Mapping[str, Any]) -> Any: ...


class InputState(Frozen):
    """One input as given: its declaration, value, whether its conditions hold, and what is wrong with it."""

    input: Mapping[str, Json]
    value: Json = None
    enabled: bool = True
    errors: tuple[Mapping[str, str], ...] = ()  # {message}


def resolve(
    flow: Flow, given: Mapping[str, Any], files: Mapping[str, str], *, renderer: Rendering, variables: Mapping[str, Any], seal: Seal | None
) -> dict[str, Json]:
    """The inputs of an execution of `flow`, nested ids (`a.b`) as nested maps; those whose condition fails are left out.

    `given` holds text as forms send it or JSON values, by id; `files` the URIs of uploaded files by id. What the flow
    does not declare is ignored. `variables` are what templates in defaults see. Raises InputInvalid, one line per problem.
    """
    return resolve_declared(flow.inputs, given, files, renderer=renderer, variables=variables, seal=seal)


def resolve_declared(
    declared: Sequence[Input], given: Mapping[str, Any], files: Mapping[str, str], *, renderer: Rendering, variables: Mapping[str, Any], seal: Seal | None
) -> dict[str, Json]:
    """As `resolve`, for any list of declarations (those asked for when an execution resumes)."""
    states = _Resolution(declared, given, files, renderer, variables, seal).run()
    problems = [error["message"] for state in states.values() for error in state.errors]
    if problems:
        raise InputInvalid("\n".join(problems))
    return nested({name: state.value for name, state in states.items() if state.enabled})


def validate_each(
    flow: Flow, given: Mapping[str, Any], files: Mapping[str, str], *, renderer: Rendering, variables: Mapping[str, Any], seal: Seal | None = None
) -> list[InputState]:
    """Every declared input with its value or what is wrong with it; never raises for a bad value. Secrets are not shown."""
    return validate_declared(flow.inputs, given, files, renderer=renderer, variables=variables, seal=seal)


def validate_declared(
    declared: Sequence[Input],
    given: Mapping[str, Any],
    files: Mapping[str, str],
    *,
    renderer: Rendering,
    variables: Mapping[str, Any],
    seal: Seal | None = None,
) -> list[InputState]:
    """As `validate_each`, for any list of declarations."""
    states = _Resolution(declared, given, files, renderer, variables, seal or (lambda text: None)).run()
    return [state.model_copy(update={"value": None}) if state.input.get("type") == "SECRET" else state for state in states.values()]


def nested(flat: Mapping[str, Json]) -> dict[str, Json]:
    """`{"a.b": 1}` as `{"a": {"b": 1}}`."""
    made: dict[str, Json] = {}
    for name, value in flat.items():
        *parents, last = name.split(".")
        holder = made
        for parent in parents:
            inner = holder.get(parent)
            holder[parent] = holder = inner if isinstance(inner, dict) else {}
        holder[last] = value
    return made


class _Broken(Exception):
    """An input's value breaks a rule; `said` follows the input's id."""


class _Resolution:
    """Resolves the inputs of one request, each after those it depends on."""

    def __init__(
        self,
        declared: Sequence[Input],
        given: Mapping[str, Any],
        files: Mapping[str, str],
        renderer: Rendering,
        variables: Mapping[str, Any],
        seal: Seal | None,
    ) -> None:
        self.declared = {one.id: one for one in declared}
        self.given, self.files, self.renderer, self.variables, self.seal = given, files, renderer, variables, seal
        self.states: dict[str, InputState] = {}
        self.plain: dict[str, Json] = {}  # as templates see them: secrets in clear, for this request only

    def run(self) -> dict[str, InputState]:
        """Every input's state, in the order of their declarations."""
        for name in self.declared:
            self._settle(name, ())
        return {name: self.states[name] for name in self.declared}

    def _settle(self, name: str, above: tuple[str, ...]) -> None:
        if name in self.states or name in above or name not in self.declared:
            return
        declared = self.declared[name]
        depends = declared.raw.get("dependsOn") or {}
        for other in depends.get("inputs") or ():
            self._settle(str(other), (*above, name))
        try:
            enabled = self._enabled(depends)
            value = self._value(declared) if enabled else None
        except _Broken as broken:
            self.states[name] = InputState(input=declared.raw, errors=({"message": f"{name}: {broken}"},))
            return
        if enabled:
            self.plain[name] = value
        self.states[name] = InputState(input=declared.raw, value=self._stored(declared, value), enabled=enabled)

    def _enabled(self, depends: Mapping[str, Json]) -> bool:
        for other in depends.get("inputs") or ():
            state = self.states.get(str(other))
            if state is None or not state.enabled:
                return False
        condition = depends.get("condition")
        return condition is None or truthy(self._rendered(condition, "its condition cannot be evaluated"))

    def _value(self, declared: Input) -> Json:
        kind, raw = declared.type, declared.raw
        value = self._given(declared)
        if value is None or (value == "" and kind not in ("STRING", "SECRET")):
            value = self._rendered(declared.defaults, "its default cannot be rendered") if declared.has_defaults else None
        if value is None:
            if declared.required:
                raise _Broken(f"Invalid input for `{declared.id}`, missing required input, but received `null`")
            return None
        if kind == "SECRET" and is_sealed(value):
            return value  # of an earlier execution, replayed
        try:
            read = types.read(kind, value, raw.get("itemType"))
            check(kind, raw, read, self._choices(raw))
        except ValueError as err:
            received = "******" if kind == "SECRET" else types.text_of(value)
            raise _Broken(f"Invalid input for `{declared.id}`, {err}, but received `{received}`") from None
        return read

    def _given(self, declared: Input) -> Any:
        if declared.type == "FILE" and declared.id in self.files:
            return str(self.files[declared.id])
        if declared.id in self.given:
            return self.given[declared.id]
        value: Any = self.given
        for part in declared.id.split("."):  # a caller that has JSON may nest them as the stored inputs do
            value = value.get(part) if isinstance(value, Mapping) else None
        return value

    def _choices(self, raw: Mapping[str, Json]) -> list[str] | None:
        if not raw.get("expression"):
            return None
        return [types.text_of(choice) for choice in types.read_list(self._rendered(raw["expression"], "its choices cannot be rendered"))]

    def _rendered(self, value: Json, failed: str) -> Any:
        context = {**self.variables, "inputs": nested(self.plain)}
        try:
            if isinstance(value, str):
                return self.renderer.render_typed(value, context) if is_template(value) else value
            return self.renderer.render_any(value, context)
        except ExpressionFailed as err:
            raise _Broken(f"{failed}: {err}") from err

    def _stored(self, declared: Input, value: Json) -> Json:
        if declared.type != "SECRET" or value is None or is_sealed(value):
            return value
        if self.seal is None:
            raise InputInvalid(f"{declared.id}: {NO_KEY}")
        return self.seal(str(value))
