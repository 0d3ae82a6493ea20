"""How a trigger is named on the command line, and how the server is told which one is meant."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from orchestrator.cli.options import connect
from orchestrator.errors import Refused

Name = Annotated[str, typer.Argument(metavar="TRIGGER", help="NAMESPACE/FLOW/TRIGGER.", show_default=False)]


def split(name: str) -> tuple[str, str, str]:
    """(namespace, flow, trigger) of `NAMESPACE/FLOW/TRIGGER`. Raises Refused for anything else."""
    parts = name.split("/")
    if len(parts) != 3 or not all(parts):
        raise Refused(f"a trigger is named NAMESPACE/FLOW/TRIGGER, not `{name}`")
    return parts[0], parts[1], parts[2]


def change(method: str, *segments: str, name: str, server: str | None, token: str | None, **more: Any) -> Any:
    """What the server answers when `/triggers/SEGMENTS` is asked about the trigger of that name, with what else is said of it."""
    import json

    from orchestrator.cli.client import Body, path

    words = dict(zip(("namespace", "flowId", "triggerId"), split(name), strict=True))
    body = Body(json.dumps({**words, **more}).encode(), "application/json")
    return connect(server, token).json(method, path("triggers", *segments), body=body)
