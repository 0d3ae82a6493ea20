"""The live tree of a run on a terminal, with its log lines running above it."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from rich.console import Console
from rich.live import Live
from rich.text import Text

from orchestrator.cli.shapes import ENDED, GOOD, Node, colour, current, duration_text, seconds_in, shape, title, tree, waiting_for
from orchestrator.cli.speech import harmless, now

Json = Mapping[str, Any]

REDRAW = 0.2  # seconds between two pictures, but at once for a change of state
FEW = 12  # children of one parent that are shown one by one
LEVELS: Mapping[str, str] = {"ERROR": "red", "WARN": "yellow", "INFO": "green", "DEBUG": "bright_black", "TRACE": "bright_black"}


def can_draw() -> bool:
    """Whether the terminal can move its cursor."""
    return not Console().is_dumb_terminal


class LiveView:
    """A `View` that redraws the lowest lines of the terminal."""

    def __init__(self, *, stderr: bool) -> None:
        self._console = Console(stderr=stderr, highlight=False, markup=False, emoji=False)
        self._live: Live | None = None
        self._execution: Json = {}
        self._names: dict[str, str] = {}
        self._drawn = 0.0

    def execution(self, execution: Json) -> None:
        self._execution = execution
        self._names.update((run["id"], title(run)) for run in execution.get("taskRunList") or ())
        self._draw()

    def log(self, line: Json) -> None:
        level = str(line.get("level", ""))
        who = self._names.get(str(line.get("taskRunId"))) or str(line.get("taskId") or line.get("flowId") or "")
        for text in str(line.get("message", "")).splitlines() or [""]:
            self._console.print(Text.assemble((who, "cyan"), (" │ ", "bright_black"), (f"{level:5} ", LEVELS.get(level, "")), harmless(text)), soft_wrap=True)

    def talk(self, text: str) -> None:
        self._console.print(Text(harmless(text), "bright_black"), soft_wrap=True)

    def tick(self) -> None:
        if time.monotonic() - self._drawn >= REDRAW:
            self._draw()

    def close(self) -> None:
        if self._live is not None:
            self._live.update(self._picture(), refresh=True)
            self._live.stop()
            self._live = None

    def _draw(self) -> None:
        self._drawn = time.monotonic()
        if self._live is None:
            self._live = Live(self._picture(), console=self._console, auto_refresh=False, redirect_stdout=False, redirect_stderr=False)
            self._live.start(refresh=True)
        else:
            self._live.update(self._picture(), refresh=True)

    def _picture(self) -> Text:
        room = max(4, self._console.height - 3)
        lines = picture(self._execution, now())
        hidden = len(lines) - room
        shown = lines if hidden <= 0 else [*lines[: room - 1], Text(f"… {hidden + 1} more lines", "bright_black")]
        for line in shown:
            line.truncate(self._console.width - 1, overflow="ellipsis")
        return Text("\n").join(shown)


def picture(execution: Json, at: datetime) -> list[Text]:
    """The run as lines: itself, then the tree of its task runs."""
    head = f"{execution.get('namespace', '')}.{execution.get('flowId', '')}"
    return [_line("", execution, head, at), *_below(tree(execution.get("taskRunList") or ()), "", at)]


def _below(nodes: Sequence[Node], lead: str, at: datetime) -> Iterator[Text]:
    shown = _chosen(nodes)
    for place, node in enumerate(shown):
        last = place == len(shown) - 1 and len(shown) == len(nodes)
        yield _line(f"{lead}{'└─ ' if last else '├─ '}", node.run, title(node.run), at)
        yield from _below(node.children, f"{lead}{'   ' if last else '│  '}", at)
    if len(shown) < len(nodes):
        chosen = {id(node) for node in shown}
        counted = Counter(current(node.run) for node in nodes if id(node) not in chosen)
        told = ", ".join(f"{count:,} {shape(state)} {state}" for state, count in counted.items())
        yield Text(f"{lead}└─ … {len(nodes) - len(shown):,} more: {told}", "bright_black")


def _chosen(nodes: Sequence[Node]) -> Sequence[Node]:
    """All of a few; of many those that a person looks for, what failed and what works now."""
    if len(nodes) <= FEW:
        return nodes
    telling = [node for node in nodes if current(node.run) not in GOOD | {"CREATED"}]
    return (telling or nodes)[-FEW:]


def _line(lead: str, thing: Json, name: str, at: datetime) -> Text:
    state = current(thing)
    took = "" if state == "CREATED" or not thing.get("state") else duration_text(seconds_in(thing["state"], at))
    why = waiting_for(thing, at)
    return Text.assemble(
        (lead, "bright_black"),
        (f"{shape(state)} {state:8}", colour(state)),
        f" {harmless(name)}",
        (f"  {took}", "bright_black"),
        (f"  {harmless(why)}" if why and state not in ENDED else "", "yellow"),
    )
