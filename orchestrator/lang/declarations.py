"""Checks what a flow declares beside its tasks: inputs, outputs, labels."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping

import regex

from orchestrator.lang import input_types
from orchestrator.lang.complaints import unknown_property
from orchestrator.lang.findings import Findings, did_you_mean
from orchestrator.lang.graph import cycle
from orchestrator.lang.names import INPUT_ID, INPUT_ID_PATTERN
from orchestrator.lang.source import Path
from orchestrator.model.values import Json, labels_of
from orchestrator.sdk import is_template

OUTPUT_PROPERTIES = ("id", "type", "value", "description", "displayName", "required")
_BOUNDS: Mapping[str, tuple[str, ...]] = {"INT": ("min", "max"), "FLOAT": ("min", "max"), "DURATION": ("min", "max")} | {
    kind: ("after", "before") for kind in ("DATE", "TIME", "DATETIME")
}


def inputs(findings: Findings, declared: Json, path: Path) -> None:
    """The declarations of a flow's inputs, or of those asked for when it resumes. Text is put where numbers were written for it."""
    if declared is None:
        return
    if not isinstance(declared, list):
        findings.add("wrong-type", "must be a list of inputs", path)
        return
    for at, raw in enumerate(declared):
        _input(findings, raw, (*path, at))
    named = {_name(raw): (raw, (*path, at)) for at, raw in enumerate(declared) if isinstance(raw, dict) and _name(raw)}
    unique(findings, "input", declared, path, _name)
    _dependencies(findings, named)


def _name(raw: Json) -> str:
    return str(raw.get("id") or raw.get("name") or "") if isinstance(raw, Mapping) else ""


def _input(findings: Findings, raw: Json, path: Path) -> None:
    if not isinstance(raw, dict):
        findings.add("wrong-type", "must be an input: a map with `id` and `type`", path)
        return
    name, kind = _name(raw), raw.get("type")
    if not name:
        findings.add("missing-property", "must not be null", (*path, "id"), help="every input needs an `id`")
    elif not INPUT_ID.fullmatch(name):
        findings.add("invalid-value", f'must match "{INPUT_ID_PATTERN}"', (*path, "id" if "id" in raw else "name"))
    if "id" in raw and "name" in raw:
        findings.add("conflicting-properties", "`id` and `name` are the same property", (*path, "name"), key=True, help="keep `id`")
    if not isinstance(kind, str) or kind not in input_types.READERS:
        near = did_you_mean(str(kind), input_types.READERS)
        findings.add(
            "unknown-type", f"Invalid type: {'null' if kind is None else kind}", (*path, "type"), help=near or f"one of {', '.join(input_types.READERS)}"
        )
        return
    _known(findings, raw, path, input_types.properties(kind))
    if not isinstance(raw.get("required", True), bool):
        findings.add("wrong-type", "must be true or false", (*path, "required"))
    _particulars(findings, name, kind, raw, path)


def _known(findings: Findings, raw: Mapping[str, Json], path: Path, known: tuple[str, ...]) -> None:
    for name in raw:
        if name not in known:
            found = unknown_property((*path, name), None, known)
            findings.add(found.code, found.message, found.path, help=found.help, key=True)


def _particulars(findings: Findings, name: str, kind: str, raw: dict[str, Json], path: Path) -> None:
    for listed in ("values", "options"):
        _texts(findings, raw, listed, path)
    if kind == "ENUM" and not raw.get("values"):
        findings.add("empty", f"{name}: `values` must not be empty", path)
    if kind in ("SELECT", "MULTISELECT") and not (raw.get("values") or raw.get("options") or raw.get("expression")):
        findings.add("empty", f"{name}: `values` or `expression` must be given", path)
    if kind == "FILE" and raw.get("defaults") is not None:
        findings.add("invalid-value", f"{name}: no `defaults` can be set for inputs of type 'FILE'", (*path, "defaults"))
    if "itemType" in input_types.OWN.get(kind, ()):
        _item_type(findings, name, kind, raw, path)
    if isinstance(raw.get("validator"), str):
        try:
            regex.compile(raw["validator"])
        except regex.error as err:
            findings.add("invalid-value", f"{name}: invalid pattern: {err}", (*path, "validator"))
    for bound in _BOUNDS.get(kind, ()):
        _readable(findings, name, kind, raw.get(bound), (*path, bound))
    if kind not in ("FILE", "SECRET"):
        _readable(findings, name, kind, raw.get("defaults"), (*path, "defaults"), raw.get("itemType"))


def _item_type(findings: Findings, name: str, kind: str, raw: Mapping[str, Json], path: Path) -> None:
    item = raw.get("itemType")
    if item in ("ARRAY", "MULTISELECT"):
        findings.add("invalid-value", f"{name}: `itemType` cannot be `{item}`", (*path, "itemType"))
    elif item is not None and str(item) not in input_types.READERS:
        findings.add("unknown-type", f"Invalid type: {item}", (*path, "itemType"), help=did_you_mean(str(item), input_types.READERS))
    elif item is None and kind == "ARRAY":
        findings.add("missing-property", "must not be null", (*path, "itemType"), help="say what its elements are: `itemType: STRING`")


def _texts(findings: Findings, raw: dict[str, Json], name: str, path: Path) -> None:
    """Choices are text: `values: [1, true]` means "1" and "true"."""
    if isinstance(raw.get(name), list):
        raw[name] = [item if isinstance(item, str) else findings.as_written((*path, name, at), item) for at, item in enumerate(raw[name])]
    elif raw.get(name) is not None and not is_template(raw[name]):
        findings.add("wrong-type", "must be a list of text", (*path, name))


def _readable(findings: Findings, name: str, kind: str, value: Json, path: Path, item_type: Json = None) -> None:
    """A constant default or bound fits its type; a template is known only when an execution begins."""
    if value is None or is_template(value) or (isinstance(value, str) and not value):
        return
    if isinstance(value, list | dict) and kind in ("ARRAY", "MULTISELECT", "JSON", "YAML"):
        return  # may hold templates; read when they have been rendered
    try:
        input_types.read(kind, value, item_type if isinstance(item_type, str) and item_type in input_types.READERS else None)
    except ValueError as err:
        findings.add("wrong-type", f"{name}: `{path[-1]}`: {err}", path)


def _dependencies(findings: Findings, named: Mapping[str, tuple[dict[str, Json], Path]]) -> None:
    needs: dict[str, tuple[str, ...]] = {}
    for name, (raw, path) in named.items():
        depends = raw.get("dependsOn")
        if depends is None:
            continue
        if not isinstance(depends, dict):
            findings.add("wrong-type", "must be a map with `inputs` and `condition`", (*path, "dependsOn"))
            continue
        _known(findings, depends, (*path, "dependsOn"), ("inputs", "condition"))
        wanted = depends.get("inputs")
        needs[name] = tuple(str(w) for w in wanted) if isinstance(wanted, list) else ()
        for at, other in enumerate(needs[name]):
            if other not in named:
                findings.add("unknown-input", f"Input with id '{name}' depends on a non-existent input '{other}'.", (*path, "dependsOn", "inputs", at))
    found = cycle(needs)
    if found:
        findings.add("cyclic-dependency", f"Cycle dependency detected for input with id '{found[0]}'", (*named[found[0]][1], "dependsOn"))


def outputs(findings: Findings, declared: Json, path: Path) -> None:
    """The declarations of a flow's outputs."""
    if declared is not None and not isinstance(declared, list):
        findings.add("wrong-type", "must be a list of outputs", path)
        return
    for at, raw in enumerate(declared or ()):
        if not isinstance(raw, dict):
            findings.add("wrong-type", "must be an output: a map with `id` and `value`", (*path, at))
            continue
        for needed in ("id", "value"):
            if raw.get(needed) is None:
                findings.add("missing-property", "must not be null", (*path, at, needed))
        if raw.get("type") is not None and str(raw["type"]) not in input_types.READERS:
            findings.add("unknown-type", f"Invalid type: {raw['type']}", (*path, at, "type"), help=did_you_mean(str(raw["type"]), input_types.READERS))
        _known(findings, raw, (*path, at), OUTPUT_PROPERTIES)
    unique(findings, "output", declared, path, _name)


def unique(findings: Findings, kind: str, declared: Json, path: Path, name_of: Callable[[Json], str]) -> None:
    """No two entries of a list share an id."""
    names = [name_of(raw) for raw in declared] if isinstance(declared, list) else []
    twice = [name for name, count in Counter(n for n in names if n).items() if count > 1]
    if twice:
        second = names.index(twice[0], names.index(twice[0]) + 1)
        first = findings.place((*path, names.index(twice[0]), "id"))
        message = f"Duplicate {kind} {'' if kind == 'output' else 'id '}with name [{', '.join(twice)}]"
        findings.add(f"duplicate-{kind}-id", message, (*path, second, "id"), help=f"`{twice[0]}` is first used at {first}")


def labels(findings: Findings, declared: Json, path: Path) -> None:
    """Labels that only the server sets are not set by a flow."""
    try:
        found = labels_of(declared)
    except ValueError as err:
        findings.add("wrong-type", str(err), path)
        return
    for label in found:
        if label.key.startswith("system.") and label.key != "system.readOnly":
            at = (*path, label.key) if isinstance(declared, dict) else path
            findings.add("system-label", f"System labels can only be set by Kestra itself, offending label: {label.key}={label.value}", at, key=True)
