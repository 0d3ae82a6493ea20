"""Problems of a flow's file as text, the same whether the server found them or this command did."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from orchestrator.errors import FlowInvalid, Refused

if TYPE_CHECKING:
    from orchestrator.lang.diagnostics import Diagnostic


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


def found_here(source: str, file: str) -> Sequence[Diagnostic]:
    """Every problem and warning that can be seen without a server."""
    from orchestrator.lang.check import check

    found: Sequence[Diagnostic] = tuple(check(source, file)[1])
    return found


def as_text(found: Sequence[Diagnostic], source: str, file: str) -> str:
    """Diagnostics with their lines and carets."""
    from orchestrator.lang.diagnostics import render

    return render(found, source, file)


def refused_text(err: FlowInvalid, source: str, file: str) -> str:
    """Why the server refused a flow. Places come from its answer, or, where it gave none, from looking here."""
    found = [_diagnostic(entry, file) for entry in err.diagnostics]
    if not found:
        from orchestrator.lang.diagnostics import errors_of

        found = list(errors_of(found_here(source, file)))
    return as_text(found, source, file) if found else f"error[{err.code}]: {file}: {err}"


def _diagnostic(entry: Any, file: str) -> Diagnostic:
    from orchestrator.lang.diagnostics import Diagnostic

    told = entry if isinstance(entry, Diagnostic) else Diagnostic.model_validate(entry)
    return told.model_copy(update={"file": file})
