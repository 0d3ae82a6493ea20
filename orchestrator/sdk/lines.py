"""From the bytes a command writes to the lines people read."""

from __future__ import annotations


class LineSplitter:
    """Cuts a stream at `\\n`, `\\r\\n` and a lone `\\r`; bytes that are no UTF-8 are replaced. One per stream."""

    def __init__(self) -> None:
        self._begun: list[bytes] = []
        self._after_return = False

    def feed(self, data: bytes) -> list[str]:
        """The lines that these bytes complete."""
        if self._after_return and data.startswith(b"\n"):
            data, self._after_return = data[1:], False  # the second half of a `\r\n` that was cut in two
        if not data:
            return []
        self._after_return = data.endswith(b"\r")
        parts = data.splitlines()
        if not data.endswith((b"\n", b"\r")):
            rest = parts.pop()
            return self._complete(parts, rest)
        return self._complete(parts, None)

    def _complete(self, parts: list[bytes], rest: bytes | None) -> list[str]:
        if parts and self._begun:
            parts[0] = b"".join((*self._begun, parts[0]))
            self._begun = []
        if rest is not None:
            self._begun.append(rest)
        return [part.decode(errors="replace") for part in parts]

    def end(self) -> list[str]:
        """The last line, where it was not terminated."""
        last = b"".join(self._begun)
        self._begun = []
        return [last.decode(errors="replace")] if last else []
