"""Options that many commands share, and the door to the server they name."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperCommand

if TYPE_CHECKING:
    from orchestrator.cli.client import Client

DEFAULT_SERVER = "http://127.0.0.1:8080"
HELP = {"help_option_names": ["-h", "--help"]}

# Typer reads these variables itself: loading `settings` and the models behind it would cost every command its time.
# ORCHESTRATOR_PORT is where `server local` of this environment listens: who has set it means that server.
Server = Annotated[
    str | None,
    typer.Option(
        "--server",
        envvar=["ORCHESTRATOR_SERVER", "ORCHESTRATOR_PORT"],
        show_envvar=False,
        metavar="URL",
        callback=lambda given: f"http://127.0.0.1:{given}" if given and given.isdecimal() else given,
        help=f"The server's address; default {DEFAULT_SERVER}. Variables: ORCHESTRATOR_SERVER, or ORCHESTRATOR_PORT on this machine.",
    ),
]
OwnServer = Annotated[
    str | None,
    typer.Option(
        "--server", envvar="ORCHESTRATOR_SERVER", metavar="URL", help=f"The server's address; default {DEFAULT_SERVER}, started when it is not there."
    ),
]
OwnPort = Annotated[str | None, typer.Option(hidden=True, envvar="ORCHESTRATOR_PORT")]
Token = Annotated[
    str | None,
    typer.Option(
        "--api-token",
        envvar="ORCHESTRATOR_API_TOKEN",
        show_envvar=True,
        metavar="TOKEN",
        help="The server's API token. A variable keeps it out of the list of processes.",
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON to stdout.")]


def commands(about: str = "") -> typer.Typer:
    """An app of commands for one noun, without what only the whole program needs."""
    return typer.Typer(rich_markup_mode=None, pretty_exceptions_enable=False, add_completion=False, context_settings=HELP, help=about or None)


def connect(server: str | None, token: str | None) -> Client:
    """A client of the server named, or of the default one. Raises BadSettings for an address that is none."""
    from orchestrator.cli.client import Client

    return Client(server or DEFAULT_SERVER, token)


class Examples(TyperCommand):
    """A command whose help begins with its examples, written in its `epilog`."""

    def format_help(self, ctx: Any, formatter: Any) -> None:
        if self.epilog:
            formatter.write(f"Examples:{self.epilog.rstrip()}\n\n" if self.epilog.startswith("\n") else f"Examples:\n{self.epilog.rstrip()}\n\n")
        super().format_help(ctx, formatter)

    def format_epilog(self, ctx: Any, formatter: Any) -> None:
        """Said already."""
