"""Keeping secrets out of what the engine shows of a container to whoever may ask it."""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath

from orchestrator.sdk import Job

SHELLS = frozenset({"sh", "ash", "bash", "dash", "ksh", "zsh"})
NAME = ".script-secret"  # in the working directory; gone before the command begins
_EXPORTED = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")  # names that a shell can set
READ = '. "$0"; rm -f "$0" 2>/dev/null; exec "$@"'


def holds_secret(job: Job) -> bool:
    """Whether the command line or the environment holds a secret as it is."""
    return any(secret and secret in text for secret in job.secrets for text in (*job.argv, *job.env.values()))


def can_hide(job: Job, entry_point: tuple[str, ...]) -> bool:
    """Whether the command itself begins with a shell, which can take the rest from a file."""
    return bool(job.argv) and PurePosixPath(job.argv[0]).name in SHELLS and not any(entry_point)


def hidden(job: Job, working_dir: str) -> tuple[Job, str]:
    """The job with nothing secret in it, and the text of the file that gives it back its command and environment."""
    secret = {name for name, value in job.env.items() if _EXPORTED.fullmatch(name) and any(one and one in value for one in job.secrets)}
    lines = [f"export {name}={shlex.quote(job.env[name])}" for name in sorted(secret)]
    lines.append("set -- " + " ".join(shlex.quote(word) for word in job.argv))
    shown = {name: value for name, value in job.env.items() if name not in secret}
    argv = (job.argv[0], "-c", READ, f"{working_dir}/{NAME}")
    return job.model_copy(update={"argv": argv, "env": shown}), "\n".join(lines) + "\n"


@contextmanager
def kept_file(folder: Path, text: str | None) -> Iterator[None]:
    """Have the file in a folder meanwhile, readable by its owner alone."""
    if text is None:
        yield
        return
    path = folder / NAME
    path.unlink(missing_ok=True)
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(text)
    try:
        yield
    finally:
        path.unlink(missing_ok=True)
