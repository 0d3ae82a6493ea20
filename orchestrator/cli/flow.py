"""`orchestrator flow ...`: check, save, list, show, delete and begin flows."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from orchestrator.cli.options import HELP, AsJson, Examples, Server, Token, commands, connect
from orchestrator.cli.speech import ASKED_WRONGLY, fail, hint, put, put_json, say, table
from orchestrator.errors import FlowInvalid, Refused

if TYPE_CHECKING:
    from orchestrator.cli.problems import Dialect

app = commands("Check, save, list and show flows.")

Files = Annotated[list[str], typer.Argument(metavar="FILE...", help="YAML files, folders of them, or - for stdin.", show_default=False)]
Name = Annotated[str, typer.Argument(metavar="FLOW", help="NAMESPACE/ID, or NAMESPACE.ID.", show_default=False)]

TEMPLATE = """\
# yaml-language-server: $schema={schema}
id: {id}
namespace: company.team
description: Say hello.

inputs:
  - id: name
    type: STRING
    defaults: world

tasks:
  - id: hello
    type: io.kestra.plugin.core.log.Log
    message: Hello {{{{ inputs.name }}}}
"""


VALIDATE = """
  orchestrator flow validate hello.yaml
  orchestrator flow validate flows/ --json
  orchestrator flow validate flows/ --server http://127.0.0.1:8080
  orchestrator flow validate --kestra hello.yaml
"""


@app.command(cls=Examples, context_settings=HELP, epilog=VALIDATE)
def validate(
    files: Files,
    kestra: Annotated[bool, typer.Option("--kestra", help="Refuse what only this server knows and Kestra does not.")] = False,
    as_json: AsJson = False,
    server: Annotated[
        str | None, typer.Option("--server", metavar="URL", help="Ask this server, which knows its worker groups and plugin defaults.", show_default=False)
    ] = None,
    token: Token = None,
) -> None:
    """Tell every problem of every file. Needs no server, and asks one only where it is named. Exits with 2 when there is an error."""
    from orchestrator.cli.problems import as_text, found_here, found_there, read_source
    from orchestrator.lang.diagnostics import errors_of

    dialect: Dialect = "kestra" if kestra else "own"
    client = connect(server, token) if server is not None else None
    found = [
        (file, source, found_here(source, file, dialect) if client is None else found_there(client, source, file, dialect))
        for file in every(files)
        for source in [read_source(file)]
    ]
    bad = any(errors_of(diagnostics) for _, _, diagnostics in found)
    if as_json:
        put_json([{"file": file, "valid": not errors_of(told), "diagnostics": [d.model_dump(mode="json") for d in told]} for file, _, told in found])
    else:
        for file, source, diagnostics in found:
            put(as_text(diagnostics, source, file) if diagnostics else f"{file}: ok")
    if bad:
        raise typer.Exit(ASKED_WRONGLY)


@app.command(cls=Examples, context_settings=HELP, epilog="  orchestrator flow create hello.yaml\n  orchestrator flow create flows/")
def create(files: Files, as_json: AsJson = False, server: Server = None, token: Token = None) -> None:
    """Save flows to the server: new ones are created, known ones get a new revision when their text differs. Tells its warnings."""
    from orchestrator.cli.http_session import HttpSession
    from orchestrator.cli.problems import as_text, found_there, read_source, refused_text

    session = HttpSession(connect(server, token))
    sources = [(file, read_source(file)) for file in every(files)]
    saved, refused = [], 0
    for file, source in sources:
        warnings = [found for found in found_there(session.client, source, file) if found.severity == "warning"]
        try:
            saved.append(session.save_flow(source))
            if warnings:
                say(as_text(warnings, source, file))
        except FlowInvalid as err:
            refused += 1
            say(refused_text(err, source, file))
    if as_json:
        put_json([{"namespace": flow.namespace, "id": flow.id, "revision": flow.revision} for flow in saved])
    else:
        for flow in saved:
            put(f"{flow.namespace}/{flow.id} revision {flow.revision}")
    if refused:
        fail(f"{refused} of {len(sources)} files refused", ASKED_WRONGLY)


@app.command("ls", cls=Examples, context_settings=HELP, epilog="  orchestrator flow ls\n  orchestrator flow ls -n company.team --json")
def ls(
    namespace: Annotated[str | None, typer.Option("-n", "--namespace", help="This namespace and those below it.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=1000, help="At most so many.")] = 100,
    as_json: AsJson = False,
    server: Server = None,
    token: Token = None,
) -> None:
    """List the flows of the server."""
    from orchestrator.cli.client import path

    query = [("size", str(limit)), *([("namespace", namespace)] if namespace else [])]
    page = connect(server, token).json("GET", path("flows", "search"), query=query)
    if as_json:
        put_json(page["results"])
        return
    rows = [
        (flow["namespace"], flow["id"], str(flow["revision"]), "disabled" if flow.get("disabled") else "", str(flow.get("description") or "")[:60])
        for flow in page["results"]
    ]
    put(table(("NAMESPACE", "ID", "REVISION", "", "DESCRIPTION"), rows)) if rows else say("no flows")
    more = page.get("total", 0) - len(rows)
    say(f"{more} more: --limit {page['total']}") if more > 0 else None
    hint("next: orchestrator flow show NAMESPACE/ID" if rows else "next: orchestrator flow new hello.yaml, then orchestrator run hello.yaml")


@app.command(cls=Examples, context_settings=HELP, epilog="  orchestrator flow show company.team/hello > hello.yaml")
def show(
    name: Name,
    revision: Annotated[int | None, typer.Option(help="An older revision.")] = None,
    as_json: AsJson = False,
    server: Server = None,
    token: Token = None,
) -> None:
    """Print a flow's YAML as it was saved; with --json, the flow as the API gives it."""
    from orchestrator.cli.client import path

    query = [("source", "true"), *([("revision", str(revision))] if revision else [])]
    flow = connect(server, token).json("GET", path("flows", *split(name)), query=query)
    put_json(flow) if as_json else put(str(flow.get("source", "")).rstrip("\n"))


@app.command(context_settings=HELP)
def delete(name: Name, server: Server = None, token: Token = None) -> None:
    """Delete a flow. Its executions stay."""
    from orchestrator.cli.client import path

    connect(server, token).json("DELETE", path("flows", *split(name)))
    say(f"deleted {name}")


@app.command(cls=Examples, context_settings=HELP, epilog="  orchestrator flow new hello.yaml && orchestrator run hello.yaml")
def new(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The file to write; it must not exist.")] = Path("hello.yaml"),
    server: Server = None,
) -> None:
    """Write a small flow to begin with. Editors that know YAML complete it by the server's schema."""
    from orchestrator.cli.client import API
    from orchestrator.cli.options import DEFAULT_SERVER

    schema = f"{(server or DEFAULT_SERVER).rstrip('/')}{API}/plugins/schemas/flow"
    try:
        with file.open("x", encoding="utf-8") as handle:
            handle.write(TEMPLATE.format(schema=schema, id=file.stem))
    except FileExistsError as err:
        raise Refused(f"{file} exists; name another file") from err
    except OSError as err:
        raise Refused(f"cannot write {file}: {err.strerror}") from err
    say(f"wrote {file}; next: orchestrator run {file}")


def every(files: list[str]) -> Iterator[str]:
    """The files meant, folders replaced by the YAML files below them. Raises Refused for a folder without any."""
    for file in files:
        if file == "-" or not Path(file).is_dir():
            yield file
            continue
        below = sorted(str(found) for found in Path(file).rglob("*") if found.suffix in (".yaml", ".yml") and found.is_file())
        if not below:
            raise Refused(f"no .yaml or .yml files in {file}")
        yield from below


def split(name: str) -> tuple[str, str]:
    """(namespace, id) of `NAMESPACE/ID` or `NAMESPACE.ID`. Raises Refused for anything else."""
    namespace, _, identity = name.rpartition("/") if "/" in name else name.rpartition(".")
    if not namespace or not identity:
        raise Refused(f"a flow is named NAMESPACE/ID, not `{name}`")
    return namespace, identity
