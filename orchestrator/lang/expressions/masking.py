"""Takes secrets out of text: the value itself, the forms it takes in other text, and each of its lines."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterable
from urllib.parse import quote, quote_plus

MASK = "********"
"""Of fixed length: it says nothing about the secret's."""
_SHORTEST_LINE = 4


class Masker:
    """Masks a fixed set of secrets in any number of texts."""

    def __init__(self, secrets: Iterable[str]) -> None:
        forms = {form for secret in secrets if secret for form in _forms(secret)}
        longest_first = sorted(forms, key=lambda form: (-len(form), form))
        self._pattern = re.compile("|".join(map(re.escape, longest_first))) if forms else None

    def __call__(self, text: str) -> str:
        """The text with every known form of a secret replaced by eight stars."""
        return text if self._pattern is None else self._pattern.sub(MASK, text)

    def __bool__(self) -> bool:
        return self._pattern is not None


def mask(text: str, secrets: Iterable[str]) -> str:
    """The text without the secrets. For many texts keep a Masker."""
    return Masker(secrets)(text)


def _forms(secret: str) -> set[str]:
    """The secret, its base64, URL- and JSON-encoded forms, and the same of each of its lines; of what is shorter than four characters only itself."""
    lines = [line.strip() for line in secret.splitlines()] if "\n" in secret or "\r" in secret else []
    found: set[str] = set()
    for text in (secret, secret.strip(), *(line for line in lines if len(line) >= _SHORTEST_LINE)):
        if text:
            found |= {text, *(_encoded(text) if len(text) >= _SHORTEST_LINE else ())}
    return found


def _encoded(text: str) -> set[str]:
    data = text.encode("utf-8", "surrogatepass")
    plain, url = base64.b64encode(data).decode(), base64.urlsafe_b64encode(data).decode()
    escaped = {json.dumps(text)[1:-1], json.dumps(text, ensure_ascii=False)[1:-1]}
    quoted = {quote(data, safe=""), quote(data), quote_plus(data), quote_plus(data, safe="*").replace("~", "%7E")}
    return {plain, plain.rstrip("="), url, url.rstrip("="), *escaped, *quoted}
