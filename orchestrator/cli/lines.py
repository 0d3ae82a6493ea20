"""Log lines of an execution, printed as they are or as they come."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, NamedTuple

from orchestrator.cli.client import Client
from orchestrator.cli.http_session import HttpSession
from orchestrator.cli.session import Hitch, LogNews
from orchestrator.cli.shapes import clock
from orchestrator.cli.speech import harmless, put, say

Json = Mapping[str, Any]

_LEVELS = ("TRACE", "DEBUG", "INFO", "WARN", "ERROR")


class Wanted(NamedTuple):
    """Which lines are wanted: of this level and above, of this task or of all."""

    level: str
    task: str | None

    def takes(self, line: Json) -> bool:
        level = str(line.get("level", "ERROR"))
        return (level not in _LEVELS or _LEVELS.index(level) >= _LEVELS.index(self.level)) and (self.task is None or line.get("taskId") == self.task)


def print_line(line: Json) -> None:
    """Time of day, level, task, message; a message of several lines is several."""
    for text in str(line.get("message", "")).splitlines() or [""]:
        put(f"{clock(line.get('timestamp'))} {line.get('level', ''):5} {line.get('taskId') or '-'} │ {harmless(text)}")


def print_following(client: Client, execution: Json, wanted: Wanted, *, as_json: bool) -> None:
    """Every line until the execution has ended; with `as_json` a JSON document a line."""
    for news in HttpSession(client).follow(str(execution["id"])):
        if isinstance(news, Hitch):
            say(news.message)
        if not isinstance(news, LogNews) or not wanted.takes(news.line):
            continue
        if as_json:
            put(json.dumps(news.line, ensure_ascii=False))
        else:
            print_line(news.line)
