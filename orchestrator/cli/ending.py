"""How a run ended: its outputs, one line, and where it failed why and what to do next."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping
from typing import Any

from orchestrator.cli.shapes import FAILURES, GOOD, Node, current, duration_text, seconds_in, shape, title, tree, waiting_for
from orchestrator.cli.speech import RUN_FAILED, SUCCESS, harmless, hint, now, put, say

Json = Mapping[str, Any]


def exit_code(execution: Json) -> int:
    """0 for a run that ended well, with warnings too, else 1."""
    return SUCCESS if current(execution) in GOOD else RUN_FAILED


def tell(execution: Json, *, as_json: bool) -> None:
    """Outputs to stdout (with `as_json` they are in the document already), the rest to stderr."""
    outputs = execution.get("outputs") or {}
    if outputs and not as_json:
        put(outputs_text(outputs))
    say(summary(execution))
    for line in why(execution):
        say(line)
    identity = execution["id"]
    hint(f"more: orchestrator execution show {identity}" if exit_code(execution) == SUCCESS else f"all its lines: orchestrator execution logs {identity}")


def summary(execution: Json) -> str:
    """One line: how it ended, what it was, how long it took, its id."""
    state = current(execution)
    took = duration_text(seconds_in(execution.get("state") or {}, now()))
    return f"{shape(state)} {state}  {execution.get('namespace')}.{execution.get('flowId')}  {took}  {execution['id']}"


def outputs_text(outputs: Json) -> str:
    """Outputs a line each, texts as they are and everything else as JSON."""
    lines = [f"  {key}: {value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)}" for key, value in outputs.items()]
    if sys.stdout.isatty():
        lines = [harmless(line) for line in lines]
    return "\n".join(["outputs:", *lines])


def why(execution: Json) -> Iterator[str]:
    """A sentence for each task run that is the reason of a failed run; at most five."""
    if current(execution) not in FAILURES:
        return
    culprits = [run for node in tree(execution.get("taskRunList") or ()) for run in _culprits(node)]
    for run in culprits[:5]:
        cause = run.get("error") or run.get("cause")
        yield f"  task {title(run)} {_VERBS.get(current(run), 'failed')}{f': {harmless(str(cause))}' if cause else ''}"
    if len(culprits) > 5:
        yield f"  and {len(culprits) - 5} more"


_VERBS = {"FAILED": "failed", "KILLED": "was killed", "CANCELLED": "was cancelled"}


def _culprits(node: Node) -> list[Json]:
    """The failed task runs at the bottom of a branch: a parent only fails because of them."""
    below = [run for child in node.children for run in _culprits(child)]
    return below or ([node.run] if current(node.run) in FAILURES else [])


def told(execution: Json) -> str:
    """The whole of an execution for a person to read."""
    lines = [summary(execution)]
    for name in ("inputs", "labels"):
        given = execution.get(name)
        shown = {label["key"]: label["value"] for label in given} if isinstance(given, list) else given
        lines += [f"{name}:", *_pairs(shown)] if shown else []
    runs = [line for node in tree(execution.get("taskRunList") or ()) for line in _branch(node, "  ")]
    lines += ["tasks:", *runs] if runs else []
    lines += [outputs_text(execution["outputs"])] if execution.get("outputs") else []
    reasons = list(why(execution))
    return "\n".join([*lines, *(["why:", *reasons] if reasons else [])])


def _pairs(shown: Json) -> list[str]:
    return [f"  {key}: {harmless(value) if isinstance(value, str) else json.dumps(value, ensure_ascii=False)}" for key, value in shown.items()]


def _branch(node: Node, lead: str) -> Iterator[str]:
    state, reason = current(node.run), waiting_for(node.run, now())
    yield f"{lead}{shape(state)} {state:9} {title(node.run)}  {duration_text(seconds_in(node.run.get('state') or {}, now()))}{'  ' + reason if reason else ''}"
    for child in node.children:
        yield from _branch(child, lead + "  ")
