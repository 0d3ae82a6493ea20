"""Java's regular expressions on the `regex` package, each match bounded in time."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any

import regex

from orchestrator.errors import ExpressionFailed
from orchestrator.lang.functions import limits

_GROUP = re.compile(r"\\(.)|\$(?:(\d)|\{(\w+)\})|\$", re.DOTALL)


@lru_cache(maxsize=256)
def _compiled(pattern: str) -> Any:
    try:
        return regex.compile(pattern)
    except (regex.error, RecursionError, OverflowError) as problem:
        raise ExpressionFailed(f"`{pattern}` is not a regular expression: {problem}") from problem


def substitute(pattern: str, instead: str, text: str) -> str:
    """Every match replaced; in `instead` `$1` and `${name}` are groups, a backslash takes the next character as it is."""
    pieces: list[str] = []
    size = end = 0
    for found in _matches(pattern, text):
        pieces += [text[end : found.start()], _GROUP.sub(lambda part: _part(part, found), instead)]  # noqa: B023 - used at once
        size += len(pieces[-1])
        limits.text_within(size + len(text))
        end = found.end()
    return "".join([*pieces, text[end:]])


def _part(part: re.Match[str], found: Any) -> str:
    if part.group(1) is not None:
        return part.group(1)
    if part.group() == "$":
        raise ExpressionFailed("Illegal group reference in the replacement")
    try:
        return found.group(int(part.group(2)) if part.group(2) else part.group(3)) or ""
    except IndexError:
        raise ExpressionFailed(f"The regular expression has no group {part.group()}") from None


def found_in(pattern: str, text: str) -> Any:
    """The first match anywhere in a text, or None."""
    try:
        return _compiled(pattern).search(text, timeout=limits.REGEX_SECONDS)
    except TimeoutError:
        raise _slow(pattern) from None


def _slow(pattern: str) -> ExpressionFailed:
    return ExpressionFailed(f"The regular expression `{pattern}` takes more than {limits.REGEX_SECONDS:g} s")


def _matches(pattern: str, text: str) -> list[Any]:
    found: list[Any] = []
    try:
        for match in _compiled(pattern).finditer(text, timeout=limits.REGEX_SECONDS):
            found.append(match)
            limits.items_within(len(found))
    except TimeoutError:
        raise _slow(pattern) from None
    return found


def split(pattern: str, text: str, limit: int) -> list[str]:
    """The parts between matches, as Java's `String.split`: at most `limit` when positive; with 0 empty parts at the end are dropped."""
    parts: list[str] = []
    end = 0
    for found in _matches(pattern, text):
        if limit > 0 and len(parts) == limit - 1:
            break
        if found.end() == 0 or (found.start() == found.end() == len(text)):
            continue
        parts.append(text[end : found.start()])
        end = found.end()
    parts.append(text[end:])
    if limit == 0:
        while len(parts) > 1 and not parts[-1]:
            parts.pop()
    return parts
