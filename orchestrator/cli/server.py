"""`orchestrator server local | standalone | worker | stop`."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer

from orchestrator.cli.durations import duration
from orchestrator.cli.options import HELP, Examples, Server, Token, commands
from orchestrator.cli.speech import UNREACHABLE
from orchestrator.errors import OrchestratorError

app = commands("Start a server, or join this machine to one as a worker.")


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def _run(work: Callable[[], None]) -> None:
    """Do it; a known error is one line and exit code 2: whoever started it must change something, here or on the machine."""
    try:
        work()
    except OrchestratorError as err:
        _say(f"error[{err.code}]: {err}")
        raise typer.Exit(2) from err


Host = Annotated[str | None, typer.Option(help="Address to listen on; other than loopback needs ORCHESTRATOR_API_TOKEN. Default 127.0.0.1.")]
Port = Annotated[int | None, typer.Option(help="Port to listen on. Default 8080.")]
Data = Annotated[str | None, typer.Option(help="Folder for the database and files. Default ./.orchestrator.")]
Config = Annotated[
    Path | None,
    typer.Option(metavar="FILE", help="File of all other settings. Default: ORCHESTRATOR_CONFIG, else ./orchestrator.yaml where there is one."),
]
Slots = Annotated[int | None, typer.Option(help="What the default worker runs at once. Default 8 per CPU.")]


@app.command(cls=Examples, context_settings=HELP, epilog="  orchestrator server local --port 8080 --data ./.orchestrator")
def local(host: Host = None, port: Port = None, data: Data = None, slots: Slots = None, config: Config = None) -> None:
    """Everything on this machine: Ray, the engine, the API and one default worker, in the foreground."""
    _say("orchestrator: starting a local server")

    def work() -> None:
        from orchestrator import settings
        from orchestrator.runtime.launcher import Launcher

        Launcher(settings.load({"host": host, "port": port, "data": data, "slots": slots}, file=config), _say).run()

    _run(work)


@app.command(cls=Examples, context_settings=HELP, epilog="  RAY_ADDRESS=10.0.0.5:6379 orchestrator server standalone --data /srv/orchestrator")
def standalone(host: Host = None, port: Port = None, data: Data = None, config: Config = None) -> None:
    """The engine and the API on the Ray cluster that RAY_ADDRESS names; ends when stopped, the cluster goes on."""

    def work() -> None:
        from orchestrator import settings
        from orchestrator.runtime.standalone import serve

        serve(settings.load({"host": host, "port": port, "data": data}, file=config), _say)

    _run(work)


@app.command(
    cls=Examples,
    context_settings=HELP,
    epilog="""
  orchestrator server worker --worker-group=gpu --server=http://head:8080      with the token in ORCHESTRATOR_API_TOKEN
  orchestrator server worker --worker-group=gpu --slots 4 --label zone=eu --grace PT10M
""",
)
def worker(
    worker_group: Annotated[
        str, typer.Option("--worker-group", envvar="ORCHESTRATOR_WORKER_GROUP", show_envvar=True, metavar="KEY", help="The group to work for.")
    ],
    server: Server = None,
    api_token: Token = None,
    slots: Annotated[
        int | None,
        typer.Option("--slots", "-t", "--thread", min=1, envvar="ORCHESTRATOR_WORKER_SLOTS", show_envvar=True, help="What it runs at once. Default 8 per CPU."),
    ] = None,
    label: Annotated[
        list[str] | None,
        typer.Option(metavar="KEY=VALUE", envvar="ORCHESTRATOR_WORKER_LABELS", show_envvar=True, help="A label of this machine; may be repeated."),
    ] = None,
    cpus: Annotated[
        int | None,
        typer.Option(min=0, envvar="ORCHESTRATOR_WORKER_CPUS", show_envvar=True, help="Cores for tasks with `resources`. Default all it has."),
    ] = None,
    gpus: Annotated[
        int | None,
        typer.Option(min=0, envvar="ORCHESTRATOR_WORKER_GPUS", show_envvar=True, help="GPUs for tasks with `resources`. Default all it has."),
    ] = None,
    memory: Annotated[
        str | None,
        typer.Option(metavar="SIZE", envvar="ORCHESTRATOR_WORKER_MEMORY", show_envvar=True, help="Memory for tasks with `resources`, such as 16GiB."),
    ] = None,
    create: Annotated[
        bool,
        typer.Option("--create", envvar="ORCHESTRATOR_WORKER_CREATE", show_envvar=True, help="Declare the group where it is not; for the administrator."),
    ] = False,
    grace: Annotated[
        str,
        typer.Option(metavar="DURATION", envvar="ORCHESTRATOR_WORKER_GRACE", show_envvar=True, help="How long what runs may go on once this is told to stop."),
    ] = "PT5M",
    wait: Annotated[
        str,
        typer.Option(metavar="DURATION", envvar="ORCHESTRATOR_WORKER_WAIT", show_envvar=True, help="How long to wait for a server that does not answer yet."),
    ] = "PT0S",
) -> None:
    """Join this machine to a server as a worker of a group, in the foreground. A signal drains it, a second one ends it at once."""
    _say("orchestrator: joining as a worker")

    def work() -> None:
        from orchestrator.cli.options import DEFAULT_SERVER
        from orchestrator.runtime.join_client import JoinClient
        from orchestrator.runtime.joining import Joined, Joining, NotUp, checked_group, checked_labels, checked_machine

        joining = Joining(
            group=checked_group(worker_group),
            slots=slots,
            labels=checked_labels(label or ()),
            machine=checked_machine(cpus, gpus, memory),
            create=create,
            grace=duration("--grace", grace),
            wait=duration("--wait", wait),
        )
        try:
            Joined(JoinClient(server or DEFAULT_SERVER, api_token), joining, _say).run()
        except NotUp as err:
            _say(f"error[{err.code}]: {err}")
            raise typer.Exit(UNREACHABLE) from err

    _run(work)


@app.command(cls=Examples, context_settings=HELP, epilog="  orchestrator server stop --data ./.orchestrator")
def stop(data: Data = None) -> None:
    """Stop the local server of a data folder, with every process it started."""

    def work() -> None:
        from orchestrator import settings
        from orchestrator.runtime.background import stop_local_server

        found = settings.load({"data": data})
        _say("stopped" if stop_local_server(found.data_dir) else f"no server runs on {found.data_dir}")

    _run(work)
