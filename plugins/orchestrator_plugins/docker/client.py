"""The few calls we make of a Docker engine. The only module that imports docker."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, BinaryIO

import docker
import requests
from docker.errors import APIError, DockerException, NotFound

from orchestrator.sdk import JobRejected, Json, RunnerUnavailable

CONNECT = 60  # seconds for one call
REMEDY = "start the engine or mount its socket, or run the task on the worker itself with `taskRunner: {type: io.kestra.plugin.core.runner.Process}`"


class NameTaken(Exception):
    """A container of this name exists already."""


class PullFailed(Exception):
    """An image cannot be pulled; `lasting` when trying again cannot help."""

    def __init__(self, message: str, *, lasting: bool) -> None:
        super().__init__(message)
        self.lasting = lasting


class EngineFailed(RunnerUnavailable):
    """The engine answers, and could not do what it was asked for."""


@contextmanager
def _told(host: str) -> Iterator[None]:
    """Every failure of the engine as one of ours."""
    try:
        yield
    except (requests.ConnectionError, requests.Timeout) as err:
        raise RunnerUnavailable(f"no Docker engine answers at {host}: {REMEDY} ({_root(err)})") from err
    except APIError as err:
        said = str(err.explanation or err)
        if err.response is not None and err.response.status_code < 500:
            raise JobRejected(f"the Docker engine refuses: {said}") from err
        raise EngineFailed(f"the Docker engine failed: {said}") from err
    except DockerException as err:
        raise RunnerUnavailable(f"no Docker engine answers at {host}: {REMEDY} ({_root(err)})") from err


def _root(err: BaseException) -> str:
    while err.__cause__ or err.__context__:
        err = err.__cause__ or err.__context__ or err
    return str(err)


class Engine:
    """One Docker engine. All calls raise RunnerUnavailable or JobRejected; what names a container that is gone gives None or nothing."""

    def __init__(self, host: str, api_version: str | None = None) -> None:
        """`api_version`: as the engine has told it before; asked of it when None."""
        self._host = host
        with _told(host):
            self._api: Any = docker.APIClient(base_url=host, version=api_version or "auto", timeout=CONNECT)  # its stubs lack half of what we call

    @property
    def api_version(self) -> str:
        return str(self._api.api_version)

    def id(self) -> str:
        """What tells this engine from every other, also after a restart."""
        with _told(self._host):
            return str(self._api.info()["ID"])

    def close(self) -> None:
        self._api.close()

    def image_user(self, image: str) -> str | None:
        """The user an image runs as ("" for root), or None when the engine has no such image."""
        try:
            with _told(self._host):
                return str(self._api.inspect_image(image)["Config"].get("User") or "")
        except JobRejected as err:
            if isinstance(err.__cause__, NotFound):
                return None
            raise

    def pull(self, image: str, auth: Mapping[str, str] | None, cancelled: Callable[[], bool]) -> None:
        """Fetch an image; gives up once cancelled. Raises PullFailed."""
        repository, tag = _parts(image)
        try:
            for event in self._api.pull(repository, tag=tag, stream=True, decode=True, auth_config=dict(auth) if auth else None):
                if "error" in event:
                    raise PullFailed(str(event["error"]), lasting=_lasting(str(event["error"])))
                if cancelled():
                    return
        except APIError as err:
            said = str(err.explanation or err)
            raise PullFailed(said, lasting=(err.response is not None and err.response.status_code < 500) or _lasting(said)) from err
        except (requests.ConnectionError, requests.Timeout) as err:
            raise RunnerUnavailable(f"no Docker engine answers at {self._host}: {REMEDY} ({_root(err)})") from err

    def create(self, name: str, config: Mapping[str, Json]) -> str:
        """Make a container; returns its id. Raises NameTaken."""
        try:
            with _told(self._host):
                return str(self._api.create_container_from_config(dict(config), name)["Id"])
        except JobRejected as err:
            if isinstance(err.__cause__, APIError) and err.__cause__.status_code == 409:
                raise NameTaken(name) from err
            raise

    def inspect(self, container: str) -> Mapping[str, Any] | None:
        """What the engine knows of a container by id or name."""
        found: Mapping[str, Any] | None = self._unless_gone(lambda: self._api.inspect_container(container))
        return found

    def start(self, container: str) -> None:
        with _told(self._host):
            self._api.start(container)

    def put(self, container: str, path: str, tar: BinaryIO) -> None:
        """Unpack a tar in a container."""
        with _told(self._host):
            self._api.put_archive(container, path, tar)

    def has(self, container: str, path: str) -> bool:
        """Whether a path is there in a container, what is mounted included."""
        with _told(self._host):
            answer = self._api.head(self._api._url("/containers/{0}/archive", container), params={"path": path}, timeout=CONNECT)
            if answer.status_code == 404:
                return False
            self._api._raise_for_status(answer)
            return True

    def get(self, container: str, path: str) -> Iterator[bytes] | None:
        """A path of a container as a tar; its members begin with the last part of the path."""
        found = self._unless_gone(lambda: self._api.get_archive(container, path, chunk_size=1 << 18))
        return None if found is None else iter(found[0])

    def log(self, container: str, *, follow: bool, since: str | None) -> Iterator[bytes]:
        """The log's raw frames, with times, from `since` (seconds since 1970) on."""
        params: dict[str, object] = {"stdout": 1, "stderr": 1, "timestamps": 1, "follow": int(follow), **({"since": since} if since else {})}
        with _told(self._host):
            answer = self._api._get(self._api._url("/containers/{0}/logs", container), params=params, stream=True, timeout=None)
            if answer.status_code == 404:
                return
            self._api._raise_for_status(answer)
            try:
                yield from answer.iter_content(None)
            except (requests.exceptions.ChunkedEncodingError, requests.ConnectionError):
                return  # the stream was cut; the caller looks whether the container has ended
            finally:
                answer.close()

    def wait(self, container: str, seconds: float) -> bool:
        """Whether the container has ended within this time (or is gone)."""
        try:
            self._unless_gone(lambda: self._api.wait(container, timeout=seconds))
        except RunnerUnavailable as err:
            if isinstance(err.__cause__, requests.Timeout) or "timed out" in str(err):
                return False
            raise
        return True

    def stop(self, container: str, grace: int) -> None:
        """SIGTERM, and SIGKILL after `grace` seconds; with 0, SIGKILL at once."""
        try:
            self._unless_gone(lambda: self._api.kill(container) if grace <= 0 else self._api.stop(container, timeout=grace))
        except JobRejected as err:
            if not any(word in str(err) for word in ("is not running", "removal of container", "marked for removal")):
                raise

    def remove(self, container: str) -> None:
        """Remove a container and its anonymous volumes."""
        try:
            self._unless_gone(lambda: self._api.remove_container(container, v=True, force=True))
        except JobRejected as err:
            if "already in progress" not in str(err):
                raise

    def labelled(self, label: str) -> Sequence[Mapping[str, Any]]:
        """All containers, in whatever state, that carry a label `name=value`."""
        with _told(self._host):
            return list(self._api.containers(all=True, filters={"label": label}))

    def _unless_gone(self, call: Callable[[], Any]) -> Any:
        try:
            with _told(self._host):
                return call()
        except JobRejected as err:
            if isinstance(err.__cause__, NotFound):
                return None
            raise


def _parts(image: str) -> tuple[str, str | None]:
    """Repository and tag; a digest stays with the repository."""
    if "@" in image:
        return image, None
    head, colon, tag = image.rpartition(":")
    return (head, tag) if colon and "/" not in tag else (image, "latest")


_LASTING = (
    "not found",
    "manifest unknown",
    "does not exist",
    "denied",
    "unauthorized",
    "no such host",
    "invalid reference",
    "connection refused",
    "unreachable",
)


def _lasting(said: str) -> bool:
    return any(word in said.lower() for word in _LASTING)
