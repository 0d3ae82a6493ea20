"""A PostgreSQL server of the tests' own: a fresh cluster in a temporary folder, reached over a socket file in it.

Debian's packages: `postgresql` (the server; its programs lie under /usr/lib/postgresql/<version>/bin). Where they are
missing the tests are passed over, and fail when the environment variable CI is `true`.
"""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from tests.conftest import missing

PORT = 5432  # names the socket file only: nothing listens on the network


def programs() -> Path | None:
    """The folder with `initdb` and `pg_ctl`, the newest version there is."""
    found = shutil.which("pg_ctl")
    folders = [Path(found).resolve().parent] if found else []
    folders += sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda p: int(p.parent.name), reverse=True)
    return next((folder for folder in folders if (folder / "initdb").exists() and (folder / "pg_ctl").exists()), None)


def _user() -> str | None:
    """Whom to run the server as: it refuses to be root."""
    if os.geteuid() != 0:
        return None
    names = {entry.pw_name for entry in pwd.getpwall()}
    return next(name for name in ("postgres", "nobody") if name in names)


def _run(command: Sequence[str | Path], user: str | None) -> None:
    done = subprocess.run(command, user=user, capture_output=True, text=True, check=False, env={"PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8"}, cwd="/")
    assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"


def _as_user(command: Sequence[str | Path], user: str | None, after: int) -> list[str | Path]:
    """A command whose words from `after` on are run as that user; what stands before may need to be root."""
    return [*command[:after], *(("setpriv", "--reuid", user, "--regid", user, "--clear-groups") if user is not None else ()), *command[after:]]


@contextmanager
def _folder(user: str | None) -> Iterator[Path]:
    """Short, for a socket's path is at most 107 bytes, and readable for the server's user."""
    folder = Path(tempfile.mkdtemp(prefix="pg-", dir="/tmp"))
    try:
        if user is not None:
            shutil.chown(folder, user)
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _put(folder: Path, files: Mapping[str, str], user: str | None) -> None:
    for name, text in files.items():
        (folder / name).write_text(text)
        (folder / name).chmod(0o600)
        if user is not None:
            shutil.chown(folder / name, user)


@contextmanager
def server(*, listen: int | None = None, hba: str = "", files: Mapping[str, str] | None = None, options: str = "", wrap: Sequence[str] = ()) -> Iterator[str]:
    """The URL of a running server's maintenance database. Skips or fails where there is no PostgreSQL.

    `listen` is a port of 127.0.0.1 to listen on too, `hba` what stands first in pg_hba.conf, `files` are put into its
    folder for its own eyes, `options` are further ones of its command line, `wrap` is put before the command: a network
    of its own, in which the port is then.
    """
    bin_ = programs()
    if bin_ is None:
        missing("PostgreSQL: apt-get install postgresql")
    user = _user()
    with _folder(user) as folder:
        data = folder / "data"
        _run([bin_ / "initdb", "-D", data, "-U", "tester", "-A", "trust", "-E", "UTF8", "--locale=C.UTF-8", "--no-sync"], user)
        _put(data, {**(files or {}), "pg_hba.conf": hba + (data / "pg_hba.conf").read_text()}, user)
        port, addresses = (PORT, "") if listen is None else (listen, "127.0.0.1")
        told = f"-k {folder} -p {port} -c listen_addresses='{addresses}' -c shared_buffers=32MB -c max_connections=50 {options}"
        ctl = _as_user([*wrap, bin_ / "pg_ctl", "-D", data], user, len(wrap))
        _run([*ctl, "-l", folder / "log", "-w", "-t", "60", "-o", told, "start"], None)
        try:
            yield f"postgresql+psycopg://tester@/postgres?host={folder}&port={port}"
        finally:
            _run([*ctl, "-m", "immediate", "-w", "stop"], None)
