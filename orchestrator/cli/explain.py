"""`orchestrator explain`: why an execution does not run, or what an error's code means, and what to do."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from typing import Annotated, Any

import typer

from orchestrator.cli.options import HELP, AsJson, Examples, Server, Token, commands, connect
from orchestrator.cli.speech import harmless, now, put, put_json, table
from orchestrator.errors import NotFound

app = commands()

CODES: Mapping[str, str] = {
    "bad-yaml": "The file is not YAML 1.2. Indent with spaces; quote a value that holds `: ` or ` #`, or begins with `{`, `[`, `*`, `&`, "
    "`!`, `%`, `@` or a backtick.",
    "duplicate-key": "A property is written twice in the same place; only one could count. Keep one of the two.",
    "too-large": "The file, or what its anchors expand to, passes a bound that guards the server. Split the flow, or move data into files.",
    "unknown-type": "No installed plugin has this type. Mind its spelling; the part `io.kestra.plugin.` may be left out. `orchestrator "
    "schema` lists what is installed.",
    "renamed-type": "The type still works under this name, and has a newer one.",
    "unknown-property": "The task, trigger or flow has no property of this name. Mind its spelling and its indentation: it may belong one level up or down.",
    "missing-property": "A property that must be given is not there.",
    "empty": "A list that needs at least one entry has none, such as the `tasks` of a flow.",
    "duplicate-task-id": "Two tasks share an id. Ids are unique in the whole flow, within other tasks and under `errors` too.",
    "duplicate-trigger-id": "Two triggers of the flow share an id.",
    "duplicate-input-id": "Two inputs of the flow share an id.",
    "duplicate-output-id": "Two outputs of the flow share an id.",
    "conflicting-properties": "These properties exclude each other. Keep one of them.",
    "wrong-type": "The value is of another kind than the property takes, for instance text in place of a number. Where a template is "
    "allowed, write {{ ... }} in quotes.",
    "invalid-value": "The value is of the right kind, but not one of those allowed, or outside its bounds.",
    "bad-expression": "The template between {{ and }} cannot be read. Mind brackets, quotes and the names of filters and functions.",
    "unknown-input": "An input depends on another that the flow does not declare under `inputs`.",
    "unknown-task": "Something refers to a task id that is not in this flow.",
    "cyclic-dependency": "Tasks or inputs wait for each other in a circle, so none could ever start.",
    "recursive-flow": "The flow starts itself without end.",
    "system-label": "Labels that begin with `system.` are set by the server only.",
    "unknown-worker-group": "Worker groups are declared on the server, and this is none of them. Mind its spelling; `orchestrator worker-group ls` lists "
    "them, `orchestrator worker-group create KEY` declares one.",
    "no-such-group": "No worker group of the server has the tags that the selector asks for: its key, tags and labels, and the labels of its live workers "
    "count. The task would wait or fail until one has them.",
    "group-not-allowed": "The worker group is kept for other namespaces (`allowedNamespaces`). Name another group, or have the group opened to the namespace.",
    "script-tasks-only": "A task runner runs a script task's commands in a place of its own. Any other task runs in a worker: name a `workerGroup`.",
    "no-effect": "The property is well-formed and changes nothing where it stands.",
    "not-kestra": "The property or the short name is an addition of this server (docs/additions.md), and Kestra would refuse the flow. Only `flow validate "
    "--kestra` tells.",
    "not-found": "What was named does not exist. List what does: `orchestrator flow ls`, `orchestrator execution ls`.",
    "conflict": "What was named is in a state that forbids the request, such as killing an execution that has ended.",
    "not-allowed": "The API token is missing or wrong. Set ORCHESTRATOR_API_TOKEN to the server's own.",
    "input-invalid": "An input is missing or breaks its declaration. Give it with -i KEY=VALUE, or --input-file KEY=PATH.",
    "server-unreachable": "No server answers at the address. Start one with `orchestrator server local`, or name another with --server or ORCHESTRATOR_SERVER.",
    "runner-unavailable": "The place that should run the task does not answer, such as a Docker engine that is not started. `orchestrator doctor` "
    "looks for it.",
    "job-rejected": "The place that should run the task refuses it: no such image, or no permission. Trying again as it is cannot help.",
    "no-worker": "No live worker can take the work. `orchestrator worker ls` shows which are there; join one with `orchestrator server worker`.",
}


@app.command(
    cls=Examples,
    context_settings=HELP,
    epilog="  orchestrator explain 4hUz              why an execution does not run, or why it failed\n"
    "  orchestrator explain 4hUz.train        only its task `train`\n"
    "  orchestrator explain company.team.hello.daily   why a trigger starts nothing\n"
    "  orchestrator explain wrong-type        an error's code\n"
    "  orchestrator explain                   all codes",
)
def explain(
    what: Annotated[
        str | None,
        typer.Argument(
            metavar="[EXECUTION[.TASK] | NAMESPACE.FLOW.TRIGGER | CODE]",
            help="An execution's id (or a beginning of it), a trigger, or an error's code.",
            show_default=False,
        ),
    ] = None,
    as_json: AsJson = False,
    server: Server = None,
    token: Token = None,
) -> None:
    """Explain why an execution does not run or has failed, why a trigger starts nothing, or what an error's code means."""
    if what is None:
        put_json(dict(CODES)) if as_json else put(table(("CODE", "MEANING"), list(CODES.items())))
    elif what in CODES:
        put_json({what: CODES[what]}) if as_json else put(CODES[what])
    elif _is_code(what):
        close = get_close_matches(what, CODES, 1)
        raise NotFound(f"no such code: `{what}`\n  help: {f'did you mean `{close[0]}`?' if close else 'orchestrator explain lists them all'}")
    elif not _trigger(what, as_json=as_json, server=server, token=token):
        _execution(what, as_json=as_json, server=server, token=token)


def _is_code(text: str) -> bool:
    """Codes are words with hyphens; an id is neither."""
    return bool(re.fullmatch(r"[a-z]+(-[a-z]+)+", text)) or bool(get_close_matches(text, CODES, 1, 0.8))


def _trigger(what: str, *, as_json: bool, server: str | None, token: str | None) -> bool:
    """Tell of the trigger that is meant, if one is. Flows' and triggers' ids may hold dots too, so each way to read the name is tried."""
    from orchestrator.cli.client import path

    readings = _readings(what)
    if not readings:
        return False
    client = connect(server, token)
    for reading in readings:
        try:
            found = client.json("GET", path("triggers", *reading, "explain"))
        except NotFound:
            continue
        _show(found, as_json=as_json)
        return True
    return False


def _show(found: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        put_json(found)
        return
    for line in _told(found):
        put(line)


def _readings(what: str) -> list[tuple[str, str, str]]:
    """NAMESPACE.FLOW.TRIGGER, or the same with slashes; the likeliest reading first."""
    if what.count("/") == 2:
        namespace, flow, trigger = what.split("/")
        return [(namespace, flow, trigger)]
    parts = what.split(".")
    cuts = [(flow, trigger) for trigger in range(len(parts) - 1, 1, -1) for flow in range(trigger - 1, 0, -1)]
    return [(".".join(parts[:flow]), ".".join(parts[flow:trigger]), ".".join(parts[trigger:])) for flow, trigger in cuts]


def _execution(what: str, *, as_json: bool, server: str | None, token: str | None) -> None:
    from orchestrator.cli.client import path
    from orchestrator.cli.identity import execution_of

    prefix, _, task = what.partition(".")
    client = connect(server, token)
    execution = execution_of(client, prefix)
    found = client.json("GET", path("executions", execution["id"], "explain"), query=[("task", task)] if task else [])
    _show(found, as_json=as_json)


def _told(found: dict[str, Any]) -> Iterator[str]:
    from orchestrator.cli.shapes import ago, shape

    if not found["explanations"]:
        state = found["state"]
        yield f"{shape(state)} {state}: nothing of it waits"
    for one in found["explanations"]:
        name = one.get("taskId") or one.get("executionId") or one.get("triggerId")
        value = f" [{one['value']}]" if one.get("value") is not None else ""
        since = f" · since {ago(one['since'], now())}" if one.get("since") else ""
        state = f" · {one['state']}" if one.get("state") else ""
        yield f"{shape(one['state']) if state else '·'} {name}{value}{state} · {one['reason']}{since}"
        yield f"  {harmless(one['message'])}"
        for passed in one.get("evidence", {}).get("passedOver") or ():
            yield f"  passed over {passed['place']}: {passed['reason']}" + (f", {harmless(passed['detail'])}" if passed.get("detail") else "")
        for last in one.get("evidence", {}).get("lastLines") or ():
            yield f"  | {harmless(last)}"
        yield f"  fix: {one['fix']}"
