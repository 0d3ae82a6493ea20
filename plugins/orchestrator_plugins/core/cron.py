"""Cron expressions: what is wrong with one, and the dates it names. What they mean is a library's: that of Debian's cron."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

from cronsim import CronSim, CronSimError

NICKNAMES: Mapping[str, str] = {
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
    "@monthly": "0 0 1 * *",
    "@weekly": "0 0 * * 0",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@hourly": "0 * * * *",
}
_ANY = datetime(2024, 1, 1, tzinfo=UTC)
_TO_SUNDAY = re.compile(r"(?<=-)(SUN|0)(?=$|[,/])")  # a range that ends there: Sunday is 7 then
SECOND = timedelta(seconds=1)


def cron_problem(expression: str, *, with_seconds: bool = False) -> str | None:
    """What is wrong with a cron expression, or None."""
    text = expression.strip()
    if text.startswith("@"):
        return None if text.lower() in NICKNAMES else f"{text} is none of {', '.join(sorted(NICKNAMES))}"
    wanted, parts = 6 if with_seconds else 5, text.split()
    if len(parts) != wanted:
        return f"Cron expression contains {len(parts)} parts but we expect one of [{wanted}]"
    try:
        CronSim(" ".join(_fields(parts)), _ANY)
    except CronSimError as err:
        return str(err)
    return None


class Cron:
    """The dates of an expression, in the zone of the date one starts from.

    When clocks go forward, what falls into the hour that is left out comes right after it; when they go back, what names
    an hour comes once, and what comes every hour, or more often, comes in both.
    """

    def __init__(self, expression: str, *, with_seconds: bool = False) -> None:
        parts = _fields(NICKNAMES.get(expression.strip().lower(), expression).split())
        # The library treats clock changes as Debian's cron does for five fields only: a constant second is added afterwards.
        constant = with_seconds and len(parts) == 6 and parts[0].isdigit()
        self._shift = int(parts[0]) * SECOND if constant else timedelta()
        self._text = " ".join(parts[1:] if constant else parts)

    def after(self, date: datetime) -> datetime | None:
        """The first date after that one, None when there is none in the next fifty years."""
        return self._one(date, back=False)

    def before(self, date: datetime) -> datetime | None:
        """The last date before that one."""
        return self._one(date, back=True)

    def _one(self, date: datetime, *, back: bool) -> datetime | None:
        start = (date.astimezone(UTC) - self._shift).astimezone(date.tzinfo)
        try:
            found: datetime = next(CronSim(self._text, start, reverse=back))
        except StopIteration:
            return None
        return (found.astimezone(UTC) + self._shift).astimezone(date.tzinfo)


def _fields(parts: list[str]) -> list[str]:
    fields = ["*" if part == "?" else part.upper() for part in parts]
    return [*fields[:-1], _TO_SUNDAY.sub("7", fields[-1])] if fields else fields
