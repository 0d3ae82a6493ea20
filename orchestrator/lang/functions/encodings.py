"""Hashes, base64, encryption and ids."""

from __future__ import annotations

import base64
import binascii
import hashlib
import os
import secrets
import time
import uuid
from typing import Any

from orchestrator.errors import ExpressionFailed
from orchestrator.lang.functions.catalogue import Table, entry, whole, wrong_input
from orchestrator.lang.functions.printing import to_text

ENCODING_FILTERS: Table = {}
ENCODING_FUNCTIONS: Table = {}
_BASE62 = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_NONCE_BYTES = 12
_KSUID_EPOCH = 1_400_000_000  # seconds since 1970 at which its own count begins
_NANO_LENGTH, _NANO_MOST = 21, 1000


def _hash(name: str) -> None:
    def digest(value: Any) -> Any:
        if value is None:
            return None
        if not isinstance(value, str):
            raise wrong_input(name, "String", value)
        return hashlib.new(name, value.encode(), usedforsecurity=False).hexdigest()

    entry(ENCODING_FILTERS, name)(digest)


for _name in ("md5", "sha1", "sha256", "sha512"):
    _hash(_name)


@entry(ENCODING_FILTERS, "base64encode")
def base64_encode(value: Any) -> Any:
    return None if value is None else base64.b64encode(to_text(value).encode()).decode()


@entry(ENCODING_FILTERS, "base64decode")
def base64_decode(value: Any) -> Any:
    if value is None:
        return None
    return _bytes(to_text(value), "base64decode").decode("utf-8", "replace")


def _bytes(text: str, name: str) -> bytes:
    try:
        return base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
    except (binascii.Error, ValueError):
        raise ExpressionFailed(f"'{name}': the text is not base64") from None


@entry(ENCODING_FUNCTIONS, "encrypt", parameters=("key", "plaintext"), required=2)
def encrypt(key: Any, plaintext: Any) -> Any:
    """AES-GCM under a base64 key; the result is base64 of nonce, cipher text and tag."""
    if plaintext is None:
        return None
    nonce = os.urandom(_NONCE_BYTES)
    return base64.b64encode(nonce + _cipher("encrypt", key).encrypt(nonce, to_text(plaintext).encode(), None)).decode()


@entry(ENCODING_FUNCTIONS, "decrypt", parameters=("key", "encrypted"), required=2)
def decrypt(key: Any, encrypted: Any) -> Any:
    """The inverse of `encrypt`."""
    from cryptography.exceptions import InvalidTag

    if encrypted is None:
        return None
    data = _bytes(to_text(encrypted), "decrypt")
    try:
        return _cipher("decrypt", key).decrypt(data[:_NONCE_BYTES], data[_NONCE_BYTES:], None).decode()
    except (InvalidTag, ValueError):
        raise ExpressionFailed("'decrypt': the text was not encrypted with this key") from None


def _cipher(name: str, key: Any) -> Any:
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    try:
        return AESGCM(_bytes(to_text(key), name))
    except ValueError:
        raise ExpressionFailed(f"The argument 'key' of '{name}' must be 16, 24 or 32 bytes in base64") from None


@entry(ENCODING_FUNCTIONS, "uuid")
def random_uuid() -> str:
    return str(uuid.uuid4())


@entry(ENCODING_FUNCTIONS, "id")
def short_id() -> str:
    """A unique id of letters and digits."""
    return _in_base62(uuid.uuid4().int, 22)


@entry(ENCODING_FUNCTIONS, "ksuid")
def ksuid() -> str:
    """A unique id of 27 letters and digits that sorts by the second it was made in."""
    made = int(time.time()) - _KSUID_EPOCH
    return _in_base62(int.from_bytes(made.to_bytes(4) + os.urandom(16)), 27)


def _in_base62(number: int, length: int) -> str:
    digits = ""
    while number:
        number, digit = divmod(number, 62)
        digits = _BASE62[digit] + digits
    return digits.rjust(length, "0")


@entry(ENCODING_FUNCTIONS, "nanoId", parameters=("length", "alphabet"))
def nano_id(length: Any = None, alphabet: Any = None) -> str:
    """A unique id of `length` characters (21) of an alphabet (letters, digits, `-` and `_`)."""
    size = _NANO_LENGTH if length is None else whole("nanoId", "length", length)
    if not 0 < size <= _NANO_MOST:
        raise ExpressionFailed(f"The argument 'length' of 'nanoId' must be from 1 to {_NANO_MOST}")
    letters = _BASE62 + "-_" if alphabet is None else to_text(alphabet)
    if not letters:
        raise ExpressionFailed("The argument 'alphabet' of 'nanoId' must not be empty")
    return "".join(secrets.choice(letters) for _ in range(size))
