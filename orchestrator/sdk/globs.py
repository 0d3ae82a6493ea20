"""Which paths a pattern means: `*` within a folder, `**` over folders, `?`, `[...]` and `{a,b}`."""

from __future__ import annotations

import re
from functools import cache

_WILD = re.compile(r"[*?\[{]")


def is_glob(pattern: str) -> bool:
    """Whether a pattern may mean more than the one path it spells."""
    return _WILD.search(pattern) is not None


def matches(pattern: str, path: str) -> bool:
    """Whether a path, written with `/`, is one the pattern means."""
    return _compiled(pattern).fullmatch(path) is not None


def matches_anywhere(pattern: str, path: str) -> bool:
    """As `matches`, for a path that begins with `/`: a pattern without a leading `/` may begin at any folder."""
    return matches(pattern if pattern.startswith("/") else f"**/{pattern}", path)


@cache
def _compiled(pattern: str) -> re.Pattern[str]:
    return re.compile(_regex(pattern.removeprefix("glob:")), re.DOTALL)


def _regex(pattern: str) -> str:
    out, at, depth = [], 0, 0
    while at < len(pattern):
        char = pattern[at]
        if pattern.startswith("**", at):
            out.append(".*")
            at += 1
        elif char == "*":
            out.append("[^/]*")
        elif char == "?":
            out.append("[^/]")
        elif char == "[" and "]" in pattern[at + 2 :]:
            end = pattern.index("]", at + 2)
            inside = pattern[at + 1 : end].replace("\\", r"\\")
            out.append(f"[{'^' + inside[1:] if inside[0] in '!^' else inside}]")
            at = end
        elif char == "{" and "}" in pattern[at:]:
            out.append("(?:")
            depth += 1
        elif char == "}" and depth:
            out.append(")")
            depth -= 1
        elif char == "," and depth:
            out.append("|")
        else:
            out.append(re.escape(char))
        at += 1
    return "".join(out)


def fixed_part(pattern: str) -> str:
    """The folder (or, for a plain path, the file) below which everything lies that the pattern can mean; "" is the top."""
    if not is_glob(pattern):
        return pattern
    return pattern[: _WILD.search(pattern).start()].rpartition("/")[0]  # type: ignore[union-attr]
