"""Where one run of a script works: its folder, what it is called from inside, and the files that are there for the script alone."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from orchestrator.sdk import RunContext, TaskRunner, job_key
from orchestrator.sdk.globs import is_glob

STORED, SCRIPT = ".stored-", ".script-"  # how names begin of local copies, and of files made for the script alone


@dataclass(frozen=True)
class Desk:
    """All of it follows from the run's key, so that it is the same for whoever goes on with the run.

    `folder` is the working directory here, `seen_as` the same as the command sees it, `output_dir` the name of the folder
    in it whose files are all kept, `bucket` the run's prefix in a bucket. `is_here`: the command runs on this machine;
    `takes_files`: what is put into the folder reaches it.
    """

    folder: Path
    seen_as: str
    key: str
    output_dir: str | None
    bucket: str | None = None
    is_here: bool = False
    takes_files: bool = True

    def variables(self) -> Mapping[str, str]:
        """The names for templates."""
        found = {"workingDir": self.seen_as, "outputDir": self._output_dir_seen(), "bucketPath": self.bucket}
        return {name: value for name, value in found.items() if value is not None}

    def env(self) -> Mapping[str, str]:
        """The names for the command."""
        found = {"WORKING_DIR": self.seen_as, "OUTPUT_DIR": self._output_dir_seen(), "BUCKET_PATH": self.bucket}
        return {name: value for name, value in found.items() if value is not None}

    def _output_dir_seen(self) -> str | None:
        return None if self.output_dir is None else self.seen(self.output_dir)

    def of_outputs(self, patterns: Iterable[str]) -> Mapping[str, str]:
        """Where the command finds each output file that is named outright."""
        return {name: self.seen(name) for name in patterns if not is_glob(name)}

    def is_laid_out(self) -> bool:
        """Whether there is anything but what is made on coming here."""
        return any(path.name != self.output_dir for path in self.folder.iterdir())

    def own_names(self) -> tuple[str, ...]:
        """How the names of files begin that no glob of output files means."""
        return (STORED, SCRIPT, self.own_name("", plain=True))

    def own_name(self, suffix: str, *, plain: bool = False) -> str:
        """The name of a file made for the script alone; `plain`: without a dot before it."""
        return f"{'script-' if plain else SCRIPT}{self.key[-16:]}{suffix}"

    def seen(self, name: str) -> str:
        """The path of a file as the command sees it."""
        return f"{self.seen_as}/{name}"

    def write(self, name: str, text: str) -> str:
        """Put a text beside the command; its path as the command sees it. A command that is reading it already is not disturbed."""
        path, aside = self.folder / name, self.folder / f"{name}.{secrets.token_hex(4)}"
        aside.write_text(text, encoding="utf-8")
        os.replace(aside, path)
        return self.seen(name)


def desk_of(ctx: RunContext, runner: TaskRunner, *, output_dir: bool) -> Desk:
    """The desk of this run under a runner, its folders made."""
    key, folder = job_key(ctx.info), ctx.working_dir()
    name = f"out-{key[-16:]}" if output_dir else None
    if name is not None:
        (folder / name).mkdir(exist_ok=True)
    seen_as, bucket = runner.working_dir(key, str(folder)), runner.bucket_path(key, ctx.info.installation)
    local, takes_files = not runner.ephemeral, runner.takes_files()
    return Desk(folder=folder, seen_as=seen_as, key=key, output_dir=name, bucket=bucket, is_here=local, takes_files=takes_files)
