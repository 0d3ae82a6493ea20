"""Fresh ids: short, copyable, of letters and digits only, growing with time so that databases like them."""

from __future__ import annotations

import secrets
import time

_ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"


def new_id() -> str:
    """22 characters: 8 of the time in milliseconds, 14 random ones (83 bits)."""
    return _base62(time.time_ns() // 1_000_000, 8) + _base62(secrets.randbits(83), 14)


def _base62(number: int, width: int) -> str:
    digits = []
    for _ in range(width):
        number, rest = divmod(number, 62)
        digits.append(_ALPHABET[rest])
    return "".join(reversed(digits))
