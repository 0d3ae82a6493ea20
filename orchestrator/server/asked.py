"""What a query string asks for, read with clear refusals."""

from __future__ import annotations

from datetime import UTC, datetime
from enum import StrEnum
from typing import TypeVar

from starlette.requests import Request

from orchestrator.server.problems import BadArgument, BadRequest
from orchestrator.store.port import Page

MAX_SIZE = 1000
W = TypeVar("W", bound=StrEnum)


class Asked:
    """The query parameters of one request."""

    def __init__(self, request: Request) -> None:
        self.pairs: list[tuple[str, str]] = request.query_params.multi_items()
        self._last = dict(self.pairs)

    def text(self, name: str) -> str | None:
        """The value, or None when it is absent or blank."""
        return self._last.get(name) or None

    def required(self, name: str) -> str:
        """The value. Raises BadRequest when it is missing."""
        if (value := self.text(name)) is None:
            raise BadRequest(f"Required QueryValue [{name}] not specified")
        return value

    def all(self, name: str) -> list[str]:
        """Every value of a parameter that may be repeated."""
        return [value for key, value in self.pairs if key == name and value]

    def flag(self, name: str, *, default: bool) -> bool:
        """A boolean in any case. Raises BadArgument for another word."""
        word = (self.text(name) or str(default)).lower()
        if word not in ("true", "false"):
            raise BadArgument(f"`{name}` is true or false, not `{word}`")
        return word == "true"

    def number(self, name: str) -> int | None:
        """A whole number. Raises BadArgument for anything else, and for one that nothing here can count to."""
        value = self.text(name)
        if value is None:
            return None
        try:
            number = int(value)
        except ValueError:
            raise BadArgument(f"`{name}` is a whole number, not `{value}`") from None
        if abs(number) >= 2**31:
            raise BadArgument(f"`{name}` is too large")
        return number

    def word(self, name: str, words: type[W]) -> W | None:
        """One of an enumeration, in any case. Raises BadArgument."""
        value = self.text(name)
        try:
            return None if value is None else words(value.upper())
        except ValueError:
            raise BadArgument(f"`{name}` is one of {', '.join(words)}, not `{value}`") from None

    def instant(self, name: str) -> datetime | None:
        """An ISO-8601 date-time; one without a zone is UTC. Raises BadArgument."""
        value = self.text(name)
        return None if value is None else instant(name, value)

    def page(self) -> Page:
        """Which slice, in which order. Raises BadArgument for a page or size out of bounds."""
        number, size = self.number("page"), self.number("size")
        number, size = 1 if number is None else number, 10 if size is None else size
        if number < 1 or size < 1:
            raise BadArgument("page and size are at least 1")
        if size > MAX_SIZE:
            raise BadArgument(f"size is at most {MAX_SIZE}")
        return Page(number, size, [_sort(text) for text in self.all("sort")])


def instant(name: str, value: str) -> datetime:
    """An ISO-8601 date-time, a space for `+` forgiven. Raises BadArgument."""
    try:
        at = datetime.fromisoformat(value.replace(" ", "+") if "T" in value else value)
    except ValueError:
        raise BadArgument(f"`{name}` is an ISO-8601 date-time, not `{value}`") from None
    return at if at.tzinfo is not None else at.replace(tzinfo=UTC)


def _sort(text: str) -> tuple[str, bool]:
    field, _, order = text.partition(":")
    if order.lower() not in ("", "asc", "desc"):
        raise BadArgument(f"sort is written field:asc or field:desc, not `{text}`")
    return field, order.lower() != "desc"
