"""Fresh ids: short, copyable, of letters and digits only, growing with time so that databases like them."""

from __future__ import annotations

import hashlib
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


def derived_id(origin: str, *parts: object) -> str:
    """An id made of another and of what is to be told apart: the same for the same, and near the other one in order."""
    digest = hashlib.sha256("\0".join((origin, *map(str, parts))).encode()).digest()
    return origin[:8] + _base62(int.from_bytes(digest[:10]) % 62**14, 14)
