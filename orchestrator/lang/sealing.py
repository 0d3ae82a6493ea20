"""Text encrypted for keeping: AES-256-GCM, in the shape that stored values have."""

from __future__ import annotations

import base64
import os
from collections.abc import Mapping

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from orchestrator.errors import BadSettings
from orchestrator.model.values import Json

TYPE = "io.kestra.datatype:aes_encrypted"
_NONCE = 12  # bytes, random for each text, kept before the ciphertext

_NOT_OURS = (
    "a sealed value cannot be opened: it was sealed with another key or is damaged; set ORCHESTRATOR_ENCRYPTION_SECRET_KEY to the key it was sealed with"
)


class Sealer:
    """Seals and opens text with one key of 32 bytes."""

    def __init__(self, key: bytes) -> None:
        if len(key) != 32:
            raise BadSettings("the encryption key must be 32 bytes long")
        self._cipher = AESGCM(key)

    def seal(self, text: str) -> dict[str, Json]:
        """The text encrypted; the same text gives another value each time."""
        nonce = os.urandom(_NONCE)
        sealed = nonce + self._cipher.encrypt(nonce, text.encode(), None)
        return {"type": TYPE, "value": base64.b64encode(sealed).decode()}

    def open(self, sealed: Mapping[str, Json]) -> str:
        """The text that was sealed. Raises BadSettings when it was sealed with another key or has been changed."""
        try:
            raw = base64.b64decode(str(sealed["value"]), validate=True)
            return self._cipher.decrypt(raw[:_NONCE], raw[_NONCE:], None).decode()
        except (InvalidTag, ValueError) as err:
            raise BadSettings(_NOT_OURS) from err

    def open_all(self, value: Json) -> Json:
        """A value with everything sealed in it opened, in lists and maps too. Raises as `open`."""
        if is_sealed(value):
            return self.open(value)
        if isinstance(value, Mapping):
            return {key: self.open_all(item) for key, item in value.items()}
        return [self.open_all(item) for item in value] if isinstance(value, list | tuple) else value


def is_sealed(value: object) -> bool:
    """Whether a value is sealed text."""
    return isinstance(value, Mapping) and value.get("type") == TYPE and isinstance(value.get("value"), str)
