"""`orchestrator server local | standalone | worker | stop`."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Annotated

import typer

from orchestrator.errors import BadSettings, OrchestratorError

app = typer.Typer(name="server", help="Start a server or join a machine to one.", no_args_is_help=True)


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
Slots = Annotated[int | None, typer.Option(help="What the default worker runs at once. Default 8 per CPU.")]


@app.command(epilog="Example: orchestrator server local --port 8080 --data ./.orchestrator")
def local(host: Host = None, port: Port = None, data: Data = None, slots: Slots = None) -> None:
    """Everything on this machine: Ray, the engine, the API and one default worker, in the foreground."""
    _say("orchestrator: starting a local server")

    def work() -> None:
        from orchestrator import settings
        from orchestrator.runtime.launcher import Launcher

        Launcher(settings.load({"host": host, "port": port, "data": data, "slots": slots}), _say).run()

    _run(work)


@app.command(epilog="Example: RAY_ADDRESS=10.0.0.5:6379 orchestrator server standalone --data /srv/orchestrator")
def standalone(host: Host = None, port: Port = None, data: Data = None) -> None:
    """The engine and the API on the Ray cluster that RAY_ADDRESS names; ends when stopped, the cluster goes on."""

    def work() -> None:
        from orchestrator import settings
        from orchestrator.runtime.standalone import serve

        serve(settings.load({"host": host, "port": port, "data": data}), _say)

    _run(work)


@app.command(epilog="Example: orchestrator server worker --worker-group=gpu --server=http://head:8080 --api-token=TOKEN")
def worker(
    worker_group: Annotated[str, typer.Option("--worker-group", help="The group's key.")],
    server: Annotated[str | None, typer.Option(help="The server's URL. Default ORCHESTRATOR_SERVER or http://127.0.0.1:8080.")] = None,
    api_token: Annotated[str | None, typer.Option(help="The server's token. Default ORCHESTRATOR_API_TOKEN.")] = None,
    slots: Annotated[int | None, typer.Option("--slots", "-t", "--thread", min=1, help="What it runs at once. Default 8 per CPU.")] = None,
    label: Annotated[list[str] | None, typer.Option(help="key=value, repeatable.")] = None,
) -> None:
    """Join this machine to a server as a worker of a group, in the foreground."""
    _say("orchestrator: joining as a worker")

    def work() -> None:
        from orchestrator import settings
        from orchestrator.runtime.joining import Joined, checked_group

        labels = dict(_label(one) for one in label or [])
        environ = settings.environ()
        url = server or environ.get("ORCHESTRATOR_SERVER") or f"http://127.0.0.1:{environ.get('ORCHESTRATOR_PORT') or 8080}"
        token = api_token or environ.get("ORCHESTRATOR_API_TOKEN")
        Joined(server=url, api_token=token, group=checked_group(worker_group), slots=slots, labels=labels, say=_say).run()

    _run(work)


def _label(text: str) -> tuple[str, str]:
    key, equals, value = text.partition("=")
    if not key or not equals:
        raise BadSettings(f"--label takes KEY=VALUE, not `{text}`")
    return key, value


@app.command(epilog="Example: orchestrator server stop --data ./.orchestrator")
def stop(data: Data = None) -> None:
    """Stop the local server of a data folder, with every process it started."""

    def work() -> None:
        from orchestrator import settings
        from orchestrator.runtime.background import stop_local_server

        found = settings.load({"data": data})
        _say("stopped" if stop_local_server(found.data_dir) else f"no server runs on {found.data_dir}")

    _run(work)
