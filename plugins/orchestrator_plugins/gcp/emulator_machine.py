"""The emulator's machines: a job's runnables as real containers of the local Docker engine, the bucket mounted into them."""

from __future__ import annotations

import shlex
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import docker
from docker.errors import APIError, ImageNotFound

LABEL = "orchestrator.gcp-emulator"
GRACE = 2  # seconds between SIGTERM and SIGKILL
CANNOT_START = 125

Print = Callable[[str, bool], None]  # text of an entry, whether it is stderr


@dataclass(frozen=True)
class Engine:
    """The Docker engine, and the names that stand for images it does not have."""

    client: Any
    images: Mapping[str, str]
    id: str  # of the emulator: on everything made
    pull: bool = False

    @classmethod
    def local(cls, emulator: str, images: Mapping[str, str], *, pull: bool) -> Engine:
        return cls(docker.from_env(), images, emulator, pull)

    def bridge(self) -> tuple[str, ...]:
        """The engine's own addresses on its bridge: containers reach them, and nobody else."""
        configured = self.client.networks.get("bridge").attrs["IPAM"]["Config"] or ()
        return tuple(one["Gateway"] for one in configured if "Gateway" in one)

    def image(self, name: str) -> str:
        """What to run where `name` is asked for. Raises ImageNotFound."""
        found = self.images.get(name) or self.images.get(name.removesuffix(":latest")) or name
        try:
            self.client.images.get(found)
        except ImageNotFound:
            if not self.pull:
                raise
            self.client.images.pull(found)
        return found


class Machine:
    """Where one attempt of a job's task runs: its containers one after another, and their named volumes."""

    def __init__(self, engine: Engine, labels: Mapping[str, str], mounts: Mapping[str, Path], say: Print, glue: int) -> None:
        self._engine, self._labels, self._mounts, self._say, self._glue = engine, {**labels, LABEL: engine.id}, mounts, say, glue
        self._volumes: dict[str, Any] = {}
        self._lock = threading.Lock()
        self._container: Any = None
        self._stopped: str | None = None

    def run(self, runnable: Any, environment: Mapping[str, str], memory_mib: int) -> tuple[int, str]:
        """Run one to its end; its exit code, and the engine's word where it did not begin."""
        container = runnable.container
        if not container.image_uri:
            return CANNOT_START, "this emulator runs containers only, no scripts"
        try:
            made = self._made(container, {**environment, **dict(runnable.environment.variables)}, memory_mib)
        except (APIError, ImageNotFound) as err:
            return CANNOT_START, f"docker: {err.explanation or err}"
        try:
            return self._followed(made)
        except APIError as err:  # such as a program that is not there
            return 127 if "not found" in str(err) or "no such file" in str(err) else CANNOT_START, f"docker: {err.explanation or err}"
        finally:
            with self._lock:
                self._container = None
            made.remove(force=True, v=True)

    def _made(self, container: Any, environment: Mapping[str, str], memory_mib: int) -> Any:
        options = _options(container.options)
        return self._engine.client.containers.create(
            self._engine.image(container.image_uri),
            list(container.commands),
            **({"entrypoint": shlex.split(container.entrypoint)} if container.entrypoint else {}),
            environment=dict(environment),
            volumes=[self._bind(volume) for volume in container.volumes],
            labels=self._labels,
            user=options.get("--user") or None,
            network_mode=options.get("--network") or None,
            **({"mem_limit": f"{memory_mib}m", "memswap_limit": f"{memory_mib}m"} if memory_mib else {}),
        )

    def _bind(self, volume: str) -> str:
        source, _, inside = volume.partition(":")
        mount = next((path for path in self._mounts if source == path or source.startswith(path + "/")), None)
        if mount is not None:
            return f"{self._mounts[mount]}{source[len(mount) :]}:{inside}"
        if source.startswith("/"):
            return volume
        if source not in self._volumes:
            self._volumes[source] = self._engine.client.volumes.create(labels=self._labels)
        return f"{self._volumes[source].name}:{inside}"

    def _followed(self, made: Any) -> tuple[int, str]:
        with self._lock:
            if self._stopped is not None:
                return 137, self._stopped
            self._container = made
            made.start()
        agents = [_Agent(made, self._say, self._glue, stderr=stderr) for stderr in (False, True)]
        code = int(made.wait()["StatusCode"])
        for agent in agents:
            agent.finish()
        return code, self._stopped or ""

    def stop(self, why: str) -> None:
        """End what runs, and start nothing more here."""
        with self._lock:
            self._stopped = self._stopped or why
            container = self._container
        if container is not None:
            try:
                container.stop(timeout=GRACE)
            except APIError:
                return  # it has just ended

    def remove(self) -> None:
        """The machine goes, with its volumes."""
        for volume in self._volumes.values():
            _insist(partial(volume.remove, force=True))


class _Agent(threading.Thread):
    """What reads one stream of a container on a machine: an entry for every line, or for several where they are glued."""

    def __init__(self, container: Any, say: Print, glue: int, *, stderr: bool) -> None:
        super().__init__(daemon=True)
        self._container, self._say, self._glue, self._stderr = container, say, glue, stderr
        self._read, self._begun, self._glued = 0, list[bytes](), list[str]()
        self.start()

    def _log(self, *, follow: bool) -> Any:
        return self._container.logs(stream=follow, follow=follow, stdout=not self._stderr, stderr=self._stderr)

    def run(self) -> None:
        for data in self._log(follow=True):
            self._feed(data)

    def finish(self) -> None:
        """Read what is left: an engine that is followed may keep an unterminated last line back."""
        self.join(60)
        self._feed(self._log(follow=False)[self._read :])
        if last := b"".join(self._begun):
            self._line(last)
        if self._glued:
            self._say("\n".join(self._glued), self._stderr)

    def _feed(self, data: bytes) -> None:
        self._read += len(data)
        *lines, rest = data.split(b"\n")
        for line in lines:
            self._line(b"".join((*self._begun, line)))
            self._begun = []
        self._begun.append(rest)

    def _line(self, data: bytes) -> None:
        self._glued.append(data.decode(errors="replace"))
        if len(self._glued) >= self._glue:
            self._say("\n".join(self._glued), self._stderr)
            self._glued = []


def _insist(action: Callable[[], object]) -> None:
    for _ in range(20):
        try:
            action()
            return
        except APIError as err:
            if err.status_code == 404:
                return
            time.sleep(0.1)


def _options(text: str) -> dict[str, str]:
    words = shlex.split(text)
    return {word: words[at + 1] for at, word in enumerate(words[:-1]) if word.startswith("--")}
