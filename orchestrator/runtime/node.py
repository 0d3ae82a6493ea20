"""The machine a run is on, as its commands may see it."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from orchestrator import settings

_ALLOWED = frozenset({"HOME", "LANG", "LANGUAGE", "LOGNAME", "PATH", "SHELL", "TERM", "TMPDIR", "TZ", "USER", "CUDA_VISIBLE_DEVICES", "NVIDIA_VISIBLE_DEVICES"})
_ALLOWED_PREFIX = "LC_"
_WAYS_OUT = frozenset({"ALL_PROXY", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "CURL_CA_BUNDLE", "REQUESTS_CA_BUNDLE", "SSL_CERT_DIR", "SSL_CERT_FILE"})
_DEFAULT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_PLACES = ("supervisor", "backend-*", "process:*")  # names of the folders of those that share a machine's folder
_OOM_SCORE = 100  # below commands, above the rest of the machine


def machine_folder(installation: str) -> Path:
    """The folder that all places of an installation share on a machine."""
    return Path(tempfile.gettempdir()) / f"orchestrator-{installation}"


@dataclass(frozen=True)
class Node:
    """`base` is this worker's own folder; working directories lie below it. `cache` outlives it, where the machine has one."""

    base: Path
    docker_allow: frozenset[str] = field(default_factory=frozenset)
    cache: Path | None = None

    @cached_property
    def environment(self) -> Mapping[str, str]:
        """The variables a command starts with: an allow-list, nothing of Ray and no secret."""
        found = {name: value for name, value in settings.environ().items() if name in _ALLOWED or name.startswith(_ALLOWED_PREFIX)}
        return {**found, "PATH": found.get("PATH") or _DEFAULT_PATH}

    @property
    def isolated_environment(self) -> Mapping[str, str]:
        """What a child process of this worker starts with: as a command, and how the plugins' libraries reach the network."""
        return {**{name: value for name, value in settings.environ().items() if name.upper() in _WAYS_OUT}, **self.environment}

    @property
    def own_environment(self) -> Mapping[str, str]:
        """As that, for a process that loads the modules which this worker loads."""
        return {**{name: value for name, value in settings.environ().items() if name == "PYTHONPATH"}, **self.isolated_environment}

    def working_dir(self, key: str) -> Path:
        """The folder of a job key, made when it is not there, for its owner only."""
        path = self.base / "work" / key
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        return path

    def cache_dir(self) -> Path:
        """The folder for what can be made again, for its owner only."""
        path = self.cache or self.base / "cache"
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        return path

    def remove_working_dir(self, key: str) -> None:
        shutil.rmtree(self.base / "work" / key, ignore_errors=True)

    def remove_working_dirs(self) -> None:
        """Remove every working directory."""
        for key in os.listdir(self.base / "work") if (self.base / "work").is_dir() else ():
            self.remove_working_dir(key)

    def folders_of_jobs(self, *, own: bool) -> Mapping[str, Sequence[Path]]:
        """By job key: the working directories of supervisors and processes on this machine, of those that are no more too; and our `own`."""
        found: dict[str, list[Path]] = {}
        beside = (place for pattern in _PLACES for place in self.base.parent.glob(pattern))
        for folder in {*([self.base] if own else ()), *beside}:
            for path in (folder / "work").glob("*"):
                found.setdefault(path.name, []).append(path)
        return found


def keep_from_oom_killer() -> None:
    """Let the kernel prefer others when memory runs out, where this process may say so: all under a raylet begin at the top."""
    score = Path("/proc/self/oom_score_adj")
    with suppress(OSError, ValueError):
        if int(score.read_text()) > _OOM_SCORE:
            score.write_text(str(_OOM_SCORE))


def oom_kills() -> int | None:
    """How many processes of this machine the kernel has killed for lack of memory; None where it does not tell."""
    with suppress(OSError, ValueError):
        for line in Path("/proc/vmstat").read_text().splitlines():
            if line.startswith("oom_kill "):
                return int(line.split()[1])
    return None
