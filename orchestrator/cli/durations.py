"""Lengths of time as people write them on the command line."""

from __future__ import annotations

import re
from datetime import timedelta

from orchestrator.errors import BadSettings

_SHORT = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d)")
_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}


def duration(option: str, text: str) -> timedelta:
    """`PT5M`, or short `5m`, `90s`, `1h`. Raises BadSettings for anything else, and for less than nothing."""
    from orchestrator.model.values import parse_duration

    short = _SHORT.fullmatch(text.strip())
    try:
        found = timedelta(seconds=float(short[1]) * _UNITS[short[2]]) if short else parse_duration(text)
    except (ValueError, OverflowError):
        raise BadSettings(f"{option} takes a duration such as PT5M or 90s, not `{text}`") from None
    if found < timedelta():
        raise BadSettings(f"{option} takes a duration that is not negative, not `{text}`")
    return found
