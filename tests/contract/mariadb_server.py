"""A MariaDB server of the tests' own: a fresh one in a temporary folder, reached over a socket file in it, and a port of loopback.

Debian's package: `mariadb-server`. Where it is missing the tests are passed over, and fail when the environment variable CI is `true`.
"""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pymysql

from tests.conftest import missing

STARTING = 60.0  # seconds


def _user() -> str | None:
    """Whom to run the server as, where we are root."""
    if os.geteuid() != 0:
        return None
    names = {entry.pw_name for entry in pwd.getpwall()}
    return next(name for name in ("mysql", "nobody") if name in names)


@contextmanager
def server(*, port: int, options: tuple[str, ...] = ()) -> Iterator[Path]:
    """The socket of a running server, which has the database `shop` and the user `tester` without a password. Skips or fails where there is none."""
    if shutil.which("mariadbd") is None:
        missing("MariaDB: apt-get install mariadb-server")
    folder, user = Path(tempfile.mkdtemp(prefix="my-", dir="/tmp")), _user()
    who = [f"--user={user}"] if user is not None else []
    try:
        if user is not None:
            shutil.chown(folder, user)
        install = ["mariadb-install-db", "--no-defaults", f"--datadir={folder}/data", "--auth-root-authentication-method=normal", "--skip-test-db", *who]
        done = subprocess.run(install, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        small = [
            "--innodb-buffer-pool-size=16M",
            "--innodb-flush-log-at-trx-commit=0",
            "--skip-log-bin",
            "--performance-schema=OFF",
            "--character-set-server=utf8mb4",
        ]
        command = ["mariadbd", "--no-defaults", f"--datadir={folder}/data", f"--socket={folder}/s", "--bind-address=127.0.0.1", f"--port={port}", *small]
        with (folder / "log").open("wb") as log:
            process = subprocess.Popen([*command, *options, *who], stdout=log, stderr=log, stdin=subprocess.DEVNULL)
        try:
            _prepare(folder / "s", process, folder / "log")
            yield folder / "s"
        finally:
            process.kill()
            process.wait(20)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _prepare(socket: Path, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + STARTING
    while True:
        try:
            with pymysql.connect(unix_socket=str(socket), user="root", autocommit=True) as root, root.cursor() as cursor:
                for sql in ("CREATE DATABASE shop", "CREATE USER tester", "GRANT ALL ON shop.* TO tester"):
                    cursor.execute(sql)
            return
        except pymysql.err.OperationalError:
            is_late = process.poll() is not None or time.monotonic() > deadline
            assert not is_late, log.read_text(errors="replace")[-2000:]
            time.sleep(0.05)
