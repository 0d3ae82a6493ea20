"""The filters of Google's list calls, as far as runners need them: comparisons of fields joined by AND. Pure."""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache

_TERM = re.compile(r"""\s*(?:AND\s+)?([\w.\-"]+)\s*(>=|<=|!=|=|>|<)\s*(\((?:[^()"]|"[^"]*")*\)|"[^"]*"|[^\s()]+)""")
_COMPARED: Mapping[str, Callable[[object, object], bool]] = {
    ">=": operator.ge,  # type: ignore[dict-item]
    "<=": operator.le,  # type: ignore[dict-item]
    ">": operator.gt,  # type: ignore[dict-item]
    "<": operator.lt,  # type: ignore[dict-item]
}
SEVERITIES = {"DEFAULT": 0, "DEBUG": 100, "INFO": 200, "NOTICE": 300, "WARNING": 400, "ERROR": 500, "CRITICAL": 600, "ALERT": 700, "EMERGENCY": 800}


@dataclass(frozen=True)
class Term:
    """One comparison; any of `values` will do for `=`."""

    field: str
    sign: str
    values: tuple[str, ...]

    def holds(self, value: object) -> bool:
        """Whether a thing's own value meets it: text, or for times (nanoseconds) and severities a number."""
        if isinstance(value, int):
            wanted = [number_of(self.field, one) for one in self.values]
            return value in wanted if self.sign == "=" else value not in wanted if self.sign == "!=" else _COMPARED[self.sign](value, wanted[0])
        return (value in self.values) == (self.sign == "=")


def terms_of(text: str) -> tuple[Term, ...]:
    """The comparisons that must all hold. Raises ValueError for a filter that is not of this kind."""
    found, at = [], 0
    while text[at:].strip():
        term = _TERM.match(text, at)
        if term is None:
            raise ValueError(f"this emulator does not understand the filter from `{text[at : at + 60]}` on")
        found.append(Term(term[1].replace('"', ""), term[2], _values(term[3])))
        at = term.end()
    return tuple(found)


def _values(written: str) -> tuple[str, ...]:
    if not written.startswith("("):
        return (written.strip('"'),)
    return tuple(part.strip().strip('"') for part in re.split(r"\s+OR\s+", written[1:-1]))


@lru_cache(1000)
def number_of(field: str, text: str) -> int:
    if field == "severity":
        return SEVERITIES[text]
    whole, _, fraction = text.rstrip("Z").partition(".")
    return int(datetime.fromisoformat(f"{whole}+00:00").timestamp()) * 10**9 + int(f"{fraction:0<9}"[:9] or 0)
