"""The two failures of a rendering that someone handles: an undefined name, and a call that needs I/O."""

from __future__ import annotations

from orchestrator.errors import ExpressionFailed

_SHOWN_CHARS = 2000


def shortened(template: str) -> str:
    """A template as an error shows it."""
    return template if len(template) <= _SHOWN_CHARS else template[:_SHOWN_CHARS] + "..."


class Undefined(ExpressionFailed):
    """A variable, key or index that is not there. `??`, `???`, `is defined` and `default` catch it, nothing else does."""

    code = "expression-undefined"


class NeedsServices(ExpressionFailed):
    """The expression reads secrets, keys, files or logs, and this rendering was given no services: evaluate it elsewhere."""

    code = "expression-needs-services"
