"""Where a run goes: the server named, the one of this machine, one started for it, or the cluster this process is a job of."""

from __future__ import annotations

import socket
import sys
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

from orchestrator.cli.client import Client
from orchestrator.cli.http_session import HttpSession
from orchestrator.cli.options import DEFAULT_SERVER
from orchestrator.cli.session import Session
from orchestrator.cli.speech import ASKED_WRONGLY, fail, say


def open_session(server: str | None, token: str | None, *, in_job: bool, source: str, file: str, own_port: str | None = None) -> Session:
    """The session for a run. Only where a server must be started first is the flow looked at here, to refuse a bad one at once.

    `own_port` is where a server of this environment listens, when it is set. Raises BadSettings when the settings of a server to be started are wrong.
    """
    if in_job:
        from orchestrator.runtime.job_session import open_session as in_cluster

        joined: Session = in_cluster()
        return joined
    if server is None:
        server = _own_address(own_port)
        if not _answers(server):
            _refuse_bad(source, file)
            server = _start_server(server)
    return HttpSession(Client(server, token))


def _own_address(port: str | None) -> str:
    """Where a server that was started with the settings in force here listens."""
    if port is None and not Path("orchestrator.yaml").exists():
        return DEFAULT_SERVER  # known without loading settings and the models behind them
    from orchestrator import settings

    return settings.load().url


def _answers(url: str) -> bool:
    parts = urlsplit(url)
    try:
        socket.create_connection((parts.hostname or "", parts.port or 80), timeout=1.0).close()
    except OSError:
        return False
    return True


def _refuse_bad(source: str, file: str) -> None:
    from orchestrator.cli.problems import as_text, found_here
    from orchestrator.lang.diagnostics import errors_of

    found = errors_of(found_here(source, file))
    if found:
        fail(as_text(found, source, file), ASKED_WRONGLY)


def _start_server(address: str) -> str:
    """A server for this folder; says at once what takes so long."""
    from orchestrator import settings

    say(f"no server at {address}: starting Ray and a server in {_shown(settings.load().data)} (takes 5-15 s)")
    if not sys.stderr.isatty():
        return _ensured(say)
    from rich.console import Console

    console = Console(stderr=True, highlight=False, markup=False)
    with console.status("starting"):
        return _ensured(lambda text: console.print(text))


def _shown(folder: str) -> str:
    return folder if Path(folder).is_absolute() else f"./{folder}"


def _ensured(tell: Callable[[str], None]) -> str:
    from orchestrator.runtime.background import ensure_local_server

    url: str = ensure_local_server(tell)
    return url
