"""`orchestrator version`."""

from __future__ import annotations

import platform

import orchestrator
from orchestrator.cli.options import HELP, AsJson, commands
from orchestrator.cli.speech import put, put_json

app = commands()


@app.command(context_settings=HELP)
def version(as_json: AsJson = False) -> None:
    """Print the version of orchestrator and of Python."""
    if as_json:
        put_json({"orchestrator": orchestrator.__version__, "python": platform.python_version()})
    else:
        put(f"orchestrator {orchestrator.__version__} (Python {platform.python_version()})")
