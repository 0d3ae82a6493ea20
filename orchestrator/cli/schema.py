"""`orchestrator schema`: the JSON Schema of a flow with every installed type in it."""

from __future__ import annotations

from orchestrator.cli.options import HELP, Examples, commands
from orchestrator.cli.speech import put_json

app = commands()


@app.command(cls=Examples, context_settings=HELP, epilog="  orchestrator schema > flow.schema.json")
def schema() -> None:
    """Print the JSON Schema of a flow, for editors: completion and checks while you write. Needs no server."""
    from orchestrator.lang.schema import flow_schema

    put_json(flow_schema())
