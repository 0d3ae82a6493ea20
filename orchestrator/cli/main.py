"""`orchestrator`: the command line. Each command's module is loaded when it is called for, and no sooner."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from importlib import import_module
from importlib.util import find_spec
from typing import Any, NamedTuple

import typer
from typer.core import TyperGroup

from orchestrator.cli.options import HELP
from orchestrator.cli.speech import ASKED_WRONGLY, INTERRUPTED, UNREACHABLE, say
from orchestrator.errors import OrchestratorError, Refused


class Noun(NamedTuple):
    """Where a command lives: its module, the typer app in it, and what the list of commands says of it."""

    module: str
    app: str
    about: str


COMMANDS: Mapping[str, Noun] = {
    "run": Noun("run", "app", "Run a flow's file and follow it to its end."),
    "plan": Noun("plan", "app", "Tell where each task of a flow would go, without running it."),
    "flow": Noun("flow", "app", "Check, save, list and show flows."),
    "execution": Noun("execution", "app", "List, show, follow, kill, restart and replay executions."),
    "trigger": Noun("trigger", "app", "List, show, enable, disable and unlock triggers, and make up for dates."),
    "worker": Noun("worker", "app", "See and drain the workers."),
    "worker-group": Noun("worker_group", "app", "Declare, change and see worker groups."),
    "runner": Noun("runner", "app", "See what task runners have made, and remove what nobody owns."),
    "token": Noun("token", "app", "Make tokens for machines that join, and for those who only look."),
    "namespace": Noun("namespace", "app", "Say where the work of a namespace goes."),
    "cluster": Noun("cluster", "app", "Look after the Ray cluster of a server."),
    "server": Noun("server", "app", "Start a server, or join this machine as a worker."),
    "schema": Noun("schema", "app", "Print the JSON Schema of everything installed, for editors."),
    "explain": Noun("explain", "app", "Explain why an execution does not run, or the code of an error."),
    "doctor": Noun("doctor", "app", "Look for the usual causes of trouble."),
    "version": Noun("version", "app", "Print the version."),
}
EXAMPLES = """Examples:
  orchestrator run hello.yaml              run a flow, with a server started for it where there is none
  orchestrator server local                a server on this machine, in the foreground
  orchestrator flow validate flows/*.yaml  check flows without a server
  orchestrator plan hello.yaml             where each task would go
  orchestrator execution ls                what ran

"""


class Commands(TyperGroup):
    """The commands of `COMMANDS`; their modules are imported on demand."""

    def list_commands(self, ctx: Any) -> list[str]:
        return [name for name in COMMANDS if self._there(name)]

    def get_command(self, ctx: Any, name: str) -> Any:
        noun = COMMANDS.get(name)
        if noun is None or not self._there(name):
            return None
        module = import_module(f"orchestrator.cli.{noun.module}")
        return typer.main.get_command(getattr(module, noun.app))

    def _there(self, name: str) -> bool:
        return find_spec(f"orchestrator.cli.{COMMANDS[name].module}") is not None

    def format_help(self, ctx: Any, formatter: Any) -> None:
        formatter.write(EXAMPLES)
        super().format_help(ctx, formatter)

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, COMMANDS[name].about) for name in self.list_commands(ctx)])

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        self.commands = {name: None for name in COMMANDS}  # type: ignore[misc]  # the names that a typing error is compared with
        return super().resolve_command(ctx, args)


app = typer.Typer(
    cls=Commands, rich_markup_mode=None, pretty_exceptions_enable=False, context_settings=HELP, help="YAML flows, run durably on Ray and in containers."
)


@app.callback()
def _root() -> None:
    """YAML flows, run durably on Ray and in containers."""


def main() -> None:
    """The entry point: runs the command, and turns what is raised on purpose into one message and an exit code."""
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(errors="replace")  # type: ignore[union-attr]  # a terminal without Unicode shows `?` for a shape
    try:
        app(prog_name="orchestrator")
    except Refused as err:
        say(f"error[{err.code}]: {err}")
        raise SystemExit(ASKED_WRONGLY) from None
    except OrchestratorError as err:
        say(f"error[{err.code}]: {err}")
        raise SystemExit(UNREACHABLE) from None
    except KeyboardInterrupt:
        raise SystemExit(INTERRUPTED) from None


if __name__ == "__main__":
    main()
