"""Problems of a flow's file as text, the same whether the server found them or this command did."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from orchestrator.errors import FlowInvalid, InputInvalid, Refused

if TYPE_CHECKING:
    from orchestrator.cli.client import Client
    from orchestrator.lang.diagnostics import Diagnostic

Dialect = Literal["own", "kestra"]
NOT_KESTRA = "not-kestra"  # the code of what only the dialect `kestra` refuses


def read_source(file: str) -> str:
    """The text of a file, or of stdin for `-`. Raises Refused when it cannot be read."""
    try:
        return sys.stdin.read() if file == "-" else Path(file).read_text(encoding="utf-8")
    except FileNotFoundError as err:
        raise Refused(f"no such file: {file}") from err
    except OSError as err:
        raise Refused(f"cannot read {file}: {err.strerror}") from err
    except UnicodeDecodeError as err:
        raise Refused(f"{file} is not UTF-8 text") from err


def found_here(source: str, file: str, dialect: Dialect = "own") -> Sequence[Diagnostic]:
    """Every problem and warning that can be seen without a server; the dialect `kestra` has none of our additions."""
    from orchestrator.lang.check import check

    found: Sequence[Diagnostic] = tuple(check(source, file, dialect=dialect)[1])
    return found


def found_there(client: Client, source: str, file: str, dialect: Dialect = "own") -> Sequence[Diagnostic]:
    """What the server finds, which knows its worker groups and plugin defaults, with every document of a file."""
    from orchestrator.cli.client import path, yaml_body
    from orchestrator.lang.source import documents

    told = client.json("POST", path("flows", "validate"), body=yaml_body(source))
    at, found = 0, []
    for text, one in zip(documents(source), told, strict=True):
        at = source.index(text, at)
        lines_above = source.count("\n", 0, at)  # its places count from the beginning of its own document
        additions = [d for d in found_here(text, file, dialect) if d.code == NOT_KESTRA]
        for entry in [*diagnostics_of(one.get("diagnostics") or (), file), *additions]:
            found.append(entry.model_copy(update={"line": entry.line + lines_above}))
        at += len(text)
    return sorted(found, key=lambda d: (d.line, d.column)) or _no_flow(told, file)


def _no_flow(told: Sequence[Any], file: str) -> Sequence[Diagnostic]:
    return () if told else found_here("", file)


def refuse_inputs(source: str, file: str, given: Mapping[str, str], files: Mapping[str, Path]) -> None:
    """Refuse inputs that can be seen to be wrong or missing without a server: then no flow is saved for a run that cannot start.

    What rests on the server (defaults, conditions, choices by expression) is left to it. Raises InputInvalid.
    """
    if not re.search(r"\binputs\b", source):
        return  # spares a flow without inputs the loading of the language
    from orchestrator.lang.check import check
    from orchestrator.lang.inputs import resolve_declared

    flow, _ = check(source, file)
    if flow is None:
        return  # told when it is saved
    sure = [one for one in flow.inputs if not (one.raw.get("dependsOn") or one.raw.get("expression") or (one.has_defaults and not given.get(one.id)))]
    uploaded = {name: f"kestra:///{path.name}" for name, path in files.items()}
    try:
        resolve_declared(sure, given, uploaded, renderer=_Unrendered(), variables={}, seal=lambda text: None)
    except InputInvalid as err:
        raise InputInvalid(f"{flow.namespace}.{flow.id} was not started: {with_help(str(err))}") from err


def with_help(message: str) -> str:
    """What is wrong with an input, and how inputs are given where one is missing."""
    return message + ("\n  help: give it with -i KEY=VALUE, or --input-file KEY=PATH for a file" if "missing required input" in message else "")


class _Unrendered:
    """Templates are the server's to render."""

    def render_typed(self, template: str, context: Mapping[str, Any]) -> Any:
        return template

    def render_any(self, value: Any, context: Mapping[str, Any]) -> Any:
        return value


def as_text(found: Sequence[Diagnostic], source: str, file: str) -> str:
    """Diagnostics with their lines and carets."""
    from orchestrator.lang.diagnostics import render

    return render(found, source, file)


def refused_text(err: FlowInvalid, source: str, file: str) -> str:
    """Why the server refused a flow. Places come from its answer, or, where it gave none, from looking here."""
    found = diagnostics_of(err.diagnostics, file)
    if not found:
        from orchestrator.lang.diagnostics import errors_of

        found = list(errors_of(found_here(source, file)))
    return as_text(found, source, file) if found else f"error[{err.code}]: {file}: {err}"


def diagnostics_of(entries: Iterable[object], file: str) -> list[Diagnostic]:
    """Diagnostics of a file from what a server told of them."""
    return [_diagnostic(entry, file) for entry in entries]


def _diagnostic(entry: Any, file: str) -> Diagnostic:
    from orchestrator.lang.diagnostics import Diagnostic

    told = entry if isinstance(entry, Diagnostic) else Diagnostic.model_validate(entry)
    return told.model_copy(update={"file": file})
