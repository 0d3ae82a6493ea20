"""What one kind of database does in its own way. Each has a module `<kind>_client.py`, the only one that imports its library."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar

from orchestrator.sdk import Json, TaskFailed
from orchestrator_plugins.jdbc.statements import Dialect


class Driver(ABC):
    """The way to one database. Errors are those of its DBAPI module, which `told` puts into words."""

    kind: ClassVar[str]  # for people: PostgreSQL
    url: ClassVar[str]  # what SQLAlchemy knows it by: postgresql+psycopg://
    dialect: ClassVar[Dialect] = Dialect()
    engine: ClassVar[Mapping[str, Any]] = {}  # what SQLAlchemy's engine is told besides
    has_cursors: ClassVar[bool] = False  # rows of a statement that only reads may stay with the server until they are asked for
    begins: ClassVar[str] = "BEGIN"
    begins_steadily: ClassVar[tuple[str, ...]] = ("BEGIN",)  # all statements of such a transaction see the same rows
    commits: ClassVar[str] = "COMMIT"

    @abstractmethod
    def connect(self) -> Any:
        """A new DBAPI connection."""

    @abstractmethod
    def interrupt(self, connection: Any) -> None:
        """End what a connection is at, from another thread. Best effort, and quick."""

    @abstractmethod
    def place(self) -> str:
        """For people: which database, where, as whom; no password."""

    def is_unreachable(self, err: BaseException) -> bool:
        """Whether a connection failed before any server had answered."""
        return False

    def told(self, err: BaseException) -> str:
        """An error of the database in its own words."""
        return str(err).strip() or type(err).__name__

    def bindable(self, value: Json) -> Any:
        """A parameter as the library takes it: lists and maps as JSON where the database has no better."""
        return json.dumps(value, ensure_ascii=False) if isinstance(value, list | tuple | Mapping) else value


def missing(kind: str, extra: str, err: ImportError) -> TaskFailed:
    """The failure of a run whose library is not there."""
    return TaskFailed(f"{kind} needs the Python package `{err.name or extra}`, which is not installed on this worker: pip install 'orchestrator[{extra}]'")
