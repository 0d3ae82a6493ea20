"""Keeping secrets out of what the engine shows of a container to whoever may ask it."""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from orchestrator.sdk import Job

SHELL = "/bin/sh"
NAME = ".script-secret"  # in the working directory; gone before the command begins
READ = '. "$0"; rm -f "$0" 2>/dev/null; exec "$@"'
_EXPORTED = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")  # names that a shell can set


def holds_secret(job: Job) -> bool:
    """Whether the command line or the environment holds a secret as it is."""
    return any(secret and secret in text for secret in job.secrets for text in (*job.argv, *job.env.values()))


def hidden(job: Job, entry_point: Sequence[str], working_dir: str) -> tuple[Job, str]:
    """The job with nothing secret in it, and the text of the file from which a shell takes its command and environment.

    The image needs `/bin/sh`, and `env` for names that no shell can set. The job's argv takes the entry point's place too.
    """
    secret = {name: value for name, value in job.env.items() if any(one and one in value for one in job.secrets)}
    lines = [f"export {name}={shlex.quote(value)}" for name, value in sorted(secret.items()) if _EXPORTED.fullmatch(name)]
    odd = [f"{name}={value}" for name, value in sorted(secret.items()) if not _EXPORTED.fullmatch(name)]
    command = (*(["env", *odd] if odd else []), *filter(None, entry_point), *job.argv)
    lines.append("set -- " + " ".join(map(shlex.quote, command)))
    shown = {name: value for name, value in job.env.items() if name not in secret}
    argv = (SHELL, "-c", READ, f"{working_dir}/{NAME}")
    return job.model_copy(update={"argv": argv, "env": shown}), "\n".join(lines) + "\n"


def put_file(folder: Path, text: str) -> Path:
    """Write the file into a folder, readable by its owner alone."""
    path = folder / NAME
    path.unlink(missing_ok=True)
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(text)
    return path


@contextmanager
def kept_file(folder: Path, text: str | None) -> Iterator[None]:
    """Have the file in a folder meanwhile, where there is a text for it."""
    if text is None:
        yield
        return
    path = put_file(folder, text)
    try:
        yield
    finally:
        path.unlink(missing_ok=True)
