"""`orchestrator trigger backfill ...`: have a schedule make up for the dates between two moments."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any

import typer

from orchestrator.cli.options import HELP, AsJson, Examples, Server, Token, commands
from orchestrator.cli.speech import hint, put_json, say
from orchestrator.cli.trigger_name import Name, change
from orchestrator.errors import Refused

app = commands("Have a schedule make up for the dates between two moments.")

_STARTS = """
  orchestrator trigger backfill start company.team/report/mornings --from 2026-01-01 --to 2026-02-01
  orchestrator trigger backfill start company.team/report/mornings --from 2026-01-01T09:00:00+01:00 -l made=up"""


@app.command(cls=Examples, context_settings=HELP, epilog=_STARTS)
def start(
    name: Name,
    begin: Annotated[str, typer.Option("--from", metavar="DATE", help="The first moment; a date, or a date-time. Without an offset: of this machine's zone.")],
    end: Annotated[str | None, typer.Option("--to", metavar="DATE", help="The last moment; default: now.")] = None,
    inputs: Annotated[list[str] | None, typer.Option("-i", "--input", metavar="KEY=VALUE", help="An input of the executions; may be repeated.")] = None,
    labels: Annotated[list[str] | None, typer.Option("-l", "--label", metavar="KEY=VALUE", help="A label of the executions; may be repeated.")] = None,
    as_json: AsJson = False,
    server: Server = None,
    token: Token = None,
) -> None:
    """Start what would have been started at the dates from one moment to another, one after the other."""
    from orchestrator.cli.run import pairs

    asked: dict[str, Any] = {"start": _moment("--from", begin)}
    if end is not None:
        asked["end"] = _moment("--to", end)
    if given := pairs(inputs, "-i"):
        asked["inputs"] = given
    asked["labels"] = [{"key": key, "value": value} for key, value in pairs(labels, "-l").items()]
    state = change("PUT", "backfill", "create", name=name, server=server, token=token, backfill=asked)
    _tell(state, f"making up for the dates of {name} from {asked['start']} to {asked.get('end', 'now')}", name, as_json=as_json)


@app.command(context_settings=HELP)
def pause(name: Name, as_json: AsJson = False, server: Server = None, token: Token = None) -> None:
    """Let a backfill wait; the trigger's own dates go on meanwhile."""
    state = change("PUT", "backfill", "pause", name=name, server=server, token=token)
    _tell(state, f"paused the backfill of {name}", name, as_json=as_json, following="backfill resume")


@app.command(context_settings=HELP)
def resume(name: Name, as_json: AsJson = False, server: Server = None, token: Token = None) -> None:
    """Let a backfill that was paused go on."""
    _tell(change("PUT", "backfill", "unpause", name=name, server=server, token=token), f"resumed the backfill of {name}", name, as_json=as_json)


@app.command(context_settings=HELP)
def cancel(name: Name, as_json: AsJson = False, server: Server = None, token: Token = None) -> None:
    """Start no more for a backfill; what it has started goes on."""
    _tell(change("POST", "backfill", "delete", name=name, server=server, token=token), f"cancelled the backfill of {name}", name, as_json=as_json)


def _tell(state: Any, said: str, name: str, *, as_json: bool, following: str = "show") -> None:
    if as_json:
        put_json(state)
    say(said)
    hint(f"next: orchestrator trigger {following} {name}")


def _moment(option: str, text: str) -> str:
    """A date or date-time as ISO-8601 with an offset. Raises Refused."""
    try:
        at = datetime.fromisoformat(text)
    except ValueError as err:
        raise Refused(f"{option} takes a date or a date-time such as 2026-01-31 or 2026-01-31T09:00:00Z, not `{text}`") from err
    return (at if at.tzinfo else at.astimezone()).isoformat()


def progress(backfill: Mapping[str, Any]) -> str:
    """How far one has come: `2026-01-01 to 2026-02-01, at 2026-01-15 (45 %), paused`."""
    from orchestrator.cli.shapes import instant

    begin, at, end = (instant(backfill.get(word)) for word in ("start", "currentDate", "end"))
    parts = [f"{_day(begin)} to {_day(end) if end else 'now'}", f"at {_day(at)}" if at else ""]
    if begin and at and end and end > begin:
        parts[1] += f" ({max(0, min(100, round(100 * ((at - begin) / (end - begin)))))} %)"
    return ", ".join([*filter(None, parts), *(["paused"] if backfill.get("paused") else [])])


def _day(at: datetime | None) -> str:
    return "" if at is None else at.astimezone().strftime("%Y-%m-%d %H:%M")
