"""The public holidays of countries; the only user of the library that knows them, loaded when one is asked for."""

from __future__ import annotations

from datetime import date
from functools import lru_cache
from typing import Any

DEFAULT = "US"


def is_public_holiday(day: date, country: str | None, part: str | None) -> bool:
    """Whether that day is one in a country, or a part of it. Raises ValueError for a country or part that is not known."""
    return day in _known((country or DEFAULT).strip().upper(), part.strip().upper() if part else None)


@lru_cache(maxsize=64)
def _known(country: str, part: str | None) -> Any:
    import holidays

    try:
        return holidays.country_holidays(country, subdiv=part)
    except NotImplementedError as err:
        raise ValueError(f"no public holidays are known for {country}{f', {part}' if part else ''}") from err
