"""One frozen Settings: flags, then `ORCHESTRATOR_*` variables, then `orchestrator.yaml`, then defaults.

The only module that reads the environment.
"""

from __future__ import annotations

import base64
import os
import re
from collections.abc import Mapping
from datetime import timedelta
from difflib import get_close_matches
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, TypeAdapter, ValidationError

from orchestrator.errors import BadSettings
from orchestrator.model.price import Price
from orchestrator.model.values import Duration, Frozen, Json
from orchestrator.model.worker_group import WorkerGroup

PREFIX = "ORCHESTRATOR_"
ENV_PREFIXES = ("KESTRA_", "ENV_")  # variables of the server shown to templates as `envs.<rest in lower case>`
ONLY_IN_FILE = ("globals", "envs", "secrets", "worker_groups", "namespaces", "plugin_defaults", "storage_options", "prices")  # no one text could hold them
_SECRET_NAME = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9_.-]*")
LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})


class Settings(Frozen):
    """Everything that can be set. Secrets are kept out of its repr and reach actors by a file of mode 0600 only."""

    data: str = ".orchestrator"
    host: str = "127.0.0.1"
    port: int = Field(8080, ge=0, le=65535)
    api_token: str | None = Field(None, repr=False)
    database: str | None = Field(None, repr=False)  # default: SQLite in `data`
    storage: str | None = None  # of files: s3://bucket/prefix, gs://bucket/prefix or a folder; default: in `data`
    storage_options: Mapping[str, Json] = Field(default_factory=dict, repr=False)  # what fsspec's library for it is told
    encryption_secret_key: str | None = Field(None, repr=False)  # base64 of 32 bytes
    slots: int | None = Field(None, ge=1)  # of the default worker; default 8 x CPUs
    default_runner: Literal["auto", "docker", "process"] = "auto"
    docker_allow: tuple[str, ...] = ()
    reap_every: Duration = timedelta(minutes=5)  # between looks for what nobody owns at the runners' back ends
    reap_grace: Duration = timedelta(minutes=1)  # how long that is left alone
    start_retries: int = Field(3, ge=0, le=20)  # further starts of a job that its place could not begin, apart from the task's `retry`
    globals: Mapping[str, Json] = Field(default_factory=dict)
    envs: Mapping[str, str] = Field(default_factory=dict, repr=False)
    secrets: Mapping[str, str] = Field(default_factory=dict, repr=False)  # SECRET_<KEY>, still base64
    secrets_dir: str | None = None  # a folder with a file per secret, its name the key, its text the secret; read anew each time
    log_limit: int = 1_000_000  # lines one task run may write
    dashboard: bool = True
    ray_address: str | None = None  # an existing cluster; default: our own
    worker_groups: tuple[WorkerGroup, ...] = ()  # declared here, beside those declared over the API
    worker_group: Mapping[str, Json] | None = None  # the server's own default, as a task's `workerGroup`
    namespaces: Mapping[str, Mapping[str, Json]] = Field(default_factory=dict)  # each with `workerGroup`, `workerSelector` or `placement`, `pluginDefaults`
    plugin_defaults: tuple[Mapping[str, Json], ...] = ()  # for the plugins of every flow
    prices: tuple[Price, ...] = ()  # looked at before those of the book that comes along

    @property
    def data_dir(self) -> Path:
        return Path(self.data).absolute()

    @property
    def database_url(self) -> str:
        return self.database or f"sqlite:///{self.data_dir / 'orchestrator.db'}"

    @property
    def url(self) -> str:
        """Where clients on this machine reach the API."""
        return f"http://{self.host if self.host not in ('0.0.0.0', '::') else '127.0.0.1'}:{self.port}"  # noqa: S104

    @property
    def price_book(self) -> tuple[Price, ...]:
        """The operator's own prices, then those that come along."""
        return (*self.prices, *_shipped_prices())

    def secret(self, key: str) -> str | None:
        """The text of a secret; None when there is none of that key, which no case of letters changes. Raises BadSettings when it cannot be read."""
        encoded = self.secrets.get(key.upper())
        if encoded is None:
            return self._secret_file(key)
        try:
            return base64.b64decode(encoded, validate=True).decode()
        except ValueError as err:
            raise BadSettings(f"The secret '{key}' is not base64: set SECRET_{key.upper()} to the base64 of its text.") from err

    def _secret_file(self, key: str) -> str | None:
        folder = Path(self.secrets_dir).absolute() if self.secrets_dir else None
        if folder is None or _SECRET_NAME.fullmatch(key) is None:
            return None
        for name in (key, key.upper(), key.lower()):
            try:
                return (folder / name).read_text().removesuffix("\n")
            except (FileNotFoundError, IsADirectoryError):
                continue
            except (OSError, ValueError) as err:
                raise BadSettings(f"The secret '{key}' cannot be read from {folder}: {getattr(err, 'strerror', None) or 'it is not text'}") from err
        return None

    def encryption_key(self) -> bytes | None:
        """The 32 bytes behind `encryption_secret_key`. Raises BadSettings when it is not that."""
        if self.encryption_secret_key is None:
            return None
        try:
            key = base64.b64decode(self.encryption_secret_key, validate=True)
        except ValueError:
            key = b""
        if len(key) != 32:
            raise BadSettings(f"{PREFIX}ENCRYPTION_SECRET_KEY must be the base64 of 32 bytes; make one with: openssl rand -base64 32")
        return key


@cache
def _shipped_prices() -> tuple[Price, ...]:
    text = files("orchestrator").joinpath("prices.json").read_text(encoding="utf-8")
    return TypeAdapter(tuple[Price, ...]).validate_json(text)


def load(flags: Mapping[str, Any] | None = None, environ: Mapping[str, str] | None = None, file: Path | None = None) -> Settings:
    """The settings in force. `flags` that are None were not given. Raises BadSettings naming the source of a bad value."""
    environ = os.environ if environ is None else environ
    path = file or Path(environ.get(PREFIX + "CONFIG") or "orchestrator.yaml")
    in_file = _from_file(path, given=file is not None or bool(environ.get(PREFIX + "CONFIG")))
    in_environ = _from_environ(environ)
    _join_maps(in_file, in_environ)
    given = {name: value for name, value in (flags or {}).items() if value is not None}
    try:
        found = Settings.model_validate({**in_file, **in_environ, **given})
    except ValidationError as err:
        raise BadSettings(_bad_value(err, str(path), in_environ, given)) from err
    found.encryption_key()
    if found.database and found.database.startswith("sqlite") and not found.database.partition(":///")[2].startswith("/"):
        raise BadSettings(f"{PREFIX}DATABASE must name its file from the root, as sqlite:////srv/orchestrator.db: the executor runs in another folder")
    if found.host not in LOOPBACK and not found.api_token:
        raise BadSettings(f"host {found.host} can be reached by others: set {PREFIX}API_TOKEN first, or bind 127.0.0.1")
    return found


def _join_maps(in_file: dict[str, Any], in_environ: dict[str, Any]) -> None:
    """What both give key by key, written as one is: the file's as well as the variables', which go first."""
    for name, written in (("envs", str.lower), ("secrets", str.upper)):
        if (of_file := in_file.get(name)) is not None:
            of_environ = in_environ.pop(name)
            if isinstance(of_file, Mapping):
                in_file[name] = {**{written(str(key)): value for key, value in of_file.items()}, **of_environ}


def _bad_value(err: ValidationError, file: str, in_environ: Mapping[str, Any], given: Mapping[str, Any]) -> str:
    """Where the first bad value was set and what it must be; never the value itself, which may be a secret."""
    first = err.errors(include_url=False, include_input=False)[0]
    name = str(first["loc"][0])
    flag, variable = f"--{name.replace('_', '-')}", PREFIX + name.upper()
    source = flag if name in given else variable if name in in_environ else f"{file}: `{'.'.join(str(part) for part in first['loc'])}`"
    told = first["msg"].replace("Input should", "must", 1)
    return f"{source} {told if told != first['msg'] else f'is wrong: {told}'}"


def _from_environ(environ: Mapping[str, str]) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for name in Settings.model_fields:
        text = environ.get(PREFIX + name.upper())
        if text:
            values[name] = tuple(text.split(",")) if name == "docker_allow" else {"key": text} if name == "worker_group" else text
    for name in ONLY_IN_FILE:
        values.pop(name, None)
    values["envs"] = {
        key[len(prefix) :].lower(): value
        for prefix in ENV_PREFIXES
        for key, value in environ.items()
        if key.startswith(prefix) and "TOKEN" not in key and "PASSWORD" not in key
    }
    values["secrets"] = {key[len("SECRET_") :]: value for key, value in environ.items() if key.startswith("SECRET_")}
    return values


def _from_file(path: Path, *, given: bool) -> dict[str, Any]:
    if not path.exists():
        if given:
            raise BadSettings(f"no settings file at {path}: make it, or name another (--config, {PREFIX}CONFIG)")
        return {}
    document = _document(path)
    flat = {str(key).replace("-", "_"): value for key, value in document.items()}
    if isinstance(flat.get("worker_group"), str):
        flat["worker_group"] = {"key": flat["worker_group"]}
    variables = flat.pop("variables", None) or {}
    if isinstance(variables, Mapping) and "globals" in variables:
        flat["globals"] = variables["globals"]
    scripts = flat.pop("scripts", None) or {}
    if isinstance(scripts, Mapping) and "defaultRunner" in scripts:
        flat["default_runner"] = scripts["defaultRunner"]
    unknown = sorted(set(flat) - set(Settings.model_fields))
    if unknown:
        near = get_close_matches(unknown[0], Settings.model_fields, 1)
        raise BadSettings(f"{path}: unknown setting `{unknown[0]}`" + (f"; did you mean `{near[0]}`?" if near else ""))
    return flat


def _document(path: Path) -> Mapping[str, Any]:
    from orchestrator.lang.source import plain_yaml  # yaml lives in lang; this is read once, at start

    try:
        document = plain_yaml(path.read_text(encoding="utf-8"))
    except OSError as err:
        raise BadSettings(f"{path} cannot be read ({err.strerror}): make it a file that this user may read") from err
    except (BadSettings, UnicodeDecodeError) as err:
        raise BadSettings(f"{path} is not YAML that can be read: {err}") from err
    if not isinstance(document, Mapping):
        raise BadSettings(f"{path}: a map of settings is expected, such as `port: 8080`")
    return document


def rooted(settings: Settings) -> Settings:
    """The same settings as they read from any folder: what was relative to this process's own folder is absolute."""
    database = settings.database
    if database is not None and database.startswith("sqlite:///") and not database.startswith("sqlite:////"):
        database = f"sqlite:///{Path(database.removeprefix('sqlite:///')).absolute()}"
    return settings.model_copy(update={"data": str(settings.data_dir), "database": database})


def save(settings: Settings, path: Path) -> None:
    """Write the settings where the actors of this installation read them, mode 0600. Whole or not at all: an actor may come back at any moment."""
    settings = rooted(settings)  # actors work in folders of their own
    aside = path.with_name(path.name + ".new")
    aside.unlink(missing_ok=True)
    with os.fdopen(os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(settings.model_dump_json())
    aside.replace(path)


def saved(path: Path) -> Settings:
    """What `save` wrote."""
    return Settings.model_validate_json(path.read_text())


def environ() -> Mapping[str, str]:
    """This process's environment, for those who start others."""
    return os.environ


def export(variables: Mapping[str, str]) -> None:
    """Set variables of this process, for libraries that read nothing else."""
    os.environ.update(variables)


def worker_server() -> str | None:
    """Where work on this machine reaches the API, as `server worker` was told; None on the head."""
    return os.environ.get(PREFIX + "WORKER_SERVER")


def worker_folder() -> Path | None:
    """The folder for working directories on this machine, when one was named."""
    text = os.environ.get(PREFIX + "WORKER_FOLDER")
    return Path(text) if text else None


def ray_token() -> str | None:
    """The token of the Ray cluster that this process belongs to, from the variable or the file that Ray itself reads."""
    if os.environ.get("RAY_AUTH_TOKEN"):
        return os.environ["RAY_AUTH_TOKEN"]
    path = Path(os.environ.get("RAY_AUTH_TOKEN_PATH") or Path.home() / ".ray" / "auth_token")
    return path.read_text().strip() if path.exists() else None
