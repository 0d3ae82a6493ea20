"""The types of inputs: how a given value is read as each, as JSON, and which properties each has."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime, time
from urllib.parse import urlsplit

from orchestrator.lang.source import parse_yaml
from orchestrator.model.values import Json, format_duration, parse_duration

Reader = Callable[[Json], Json]  # raises ValueError("it must be ...")


def text_of(value: Json) -> str:
    """A value as the text a form would have sent."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, Mapping | list | tuple):
        return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    return "" if value is None else str(value)


def read_int(value: Json) -> Json:
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    try:
        return int(text_of(value).strip())
    except ValueError:
        raise ValueError("it must be a whole number") from None


def read_float(value: Json) -> Json:
    try:
        number = float(text_of(value).strip())
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise ValueError("it must be a number")
    return number


def read_bool(value: Json) -> Json:
    text = text_of(value).strip().lower()
    if text not in ("true", "false"):
        raise ValueError("it must be true or false")
    return text == "true"


def read_datetime(value: Json) -> Json:
    """An instant as `2019-10-06T18:27:49Z`, its fraction kept."""
    return instant_text(parse_datetime(text_of(value)))


def parse_datetime(text: str) -> datetime:
    """Raises ValueError for anything but a date and time with a zone."""
    try:
        at: datetime | None = datetime.fromisoformat(text.strip())
    except ValueError:
        at = None
    if at is None or at.tzinfo is None:
        raise ValueError("it must be a date and time with a zone such as 2019-10-06T18:27:49Z")
    return at.astimezone(UTC)


def instant_text(at: datetime) -> str:
    return at.astimezone(UTC).replace(tzinfo=None).isoformat() + "Z"


def read_date(value: Json) -> Json:
    return parse_date(text_of(value)).isoformat()


def parse_date(text: str) -> date:
    try:
        if len(text.strip()) != 10:
            raise ValueError
        return date.fromisoformat(text.strip())
    except ValueError:
        raise ValueError("it must be a date such as 2019-10-06") from None


def read_time(value: Json) -> Json:
    return parse_time(text_of(value)).isoformat()


def parse_time(text: str) -> time:
    try:
        found = time.fromisoformat(text.strip())
        if found.tzinfo is not None or len(text.strip()) < 5:
            raise ValueError
        return found
    except ValueError:
        raise ValueError("it must be a time such as 18:27:49") from None


def time_text(value: time) -> str:
    """A time as messages show it: seconds only where there are some."""
    return value.isoformat() if value.second or value.microsecond else value.isoformat("minutes")


def read_duration(value: Json) -> Json:
    try:
        return format_duration(parse_duration(text_of(value)))
    except (ValueError, OverflowError):
        raise ValueError("it must be an ISO-8601 duration such as PT30S") from None


def read_json(value: Json) -> Json:
    if not isinstance(value, str):
        return value
    try:
        return json.loads(value, parse_constant=_no_constant)
    except (ValueError, RecursionError):
        raise ValueError("it must be JSON") from None


def _no_constant(name: str) -> Json:
    raise ValueError(f"{name} is not JSON")


def read_yaml(value: Json) -> Json:
    if not isinstance(value, str):
        return value
    try:
        return parse_yaml(value)
    except ValueError as err:
        raise ValueError(f"it must be YAML ({err})") from None


def read_uri(value: Json) -> Json:
    text = text_of(value)
    try:
        urlsplit(text)
    except ValueError:
        text = ""
    if not text or any(c.isspace() or not c.isprintable() or c in '<>"{}|\\^`' for c in text):
        raise ValueError("it must be a URI")
    return text


def read_email(value: Json) -> Json:
    text = text_of(value)
    name, at, host = text.rpartition("@")
    if not (name and at and host) or any(c.isspace() for c in text) or "@" in name or ".." in text or host.startswith(".") or host.endswith("."):
        raise ValueError("it must be a valid email address")
    return text


def read_file(value: Json) -> Json:
    """The URI of a file that is already kept; an upload has become one before."""
    if not isinstance(value, str) or not value.startswith(("kestra:///", "nsfile:///")):
        raise ValueError("it must be a file")
    return value


def read_list(value: Json) -> Json:
    listed = read_json(value)
    if isinstance(listed, tuple):
        listed = list(listed)
    if not isinstance(listed, list):
        raise ValueError("it must be a list such as [1, 2]")
    return listed


READERS: Mapping[str, Reader] = {
    "STRING": text_of,
    "ENUM": text_of,
    "SELECT": text_of,
    "SECRET": text_of,
    "EMAIL": read_email,
    "INT": read_int,
    "FLOAT": read_float,
    "BOOLEAN": read_bool,
    "BOOL": read_bool,
    "DATETIME": read_datetime,
    "DATE": read_date,
    "TIME": read_time,
    "DURATION": read_duration,
    "FILE": read_file,
    "JSON": read_json,
    "YAML": read_yaml,
    "URI": read_uri,
    "ARRAY": read_list,
    "MULTISELECT": read_list,
}

COMMON = ("id", "name", "type", "required", "defaults", "prefill", "description", "displayName", "dependsOn")
OWN: Mapping[str, tuple[str, ...]] = {
    "STRING": ("validator",),
    "SECRET": ("validator",),
    "ENUM": ("values",),
    "SELECT": ("values", "options", "expression", "allowCustomValue", "isRadio", "autoSelectFirst"),
    "MULTISELECT": ("values", "options", "expression", "allowCustomValue", "itemType", "autoSelectFirst"),
    "INT": ("min", "max"),
    "FLOAT": ("min", "max"),
    "DURATION": ("min", "max"),
    "DATE": ("after", "before"),
    "TIME": ("after", "before"),
    "DATETIME": ("after", "before"),
    "ARRAY": ("itemType",),
    "FILE": ("extension", "accept", "allowedFileExtensions"),
}


def properties(kind: str) -> tuple[str, ...]:
    """Every property an input of a type has."""
    return (*COMMON, *OWN.get(kind, ()))


def read(kind: str, value: Json, item_type: str | None = None) -> Json:
    """A value as the JSON of its type. Raises ValueError saying what it must be; KeyError for a type there is not."""
    made = READERS[kind](value)
    if kind in ("ARRAY", "MULTISELECT"):
        made = [_item(item, item_type or ("STRING" if kind == "MULTISELECT" else None)) for item in made]
    return made


def _item(value: Json, kind: str | None) -> Json:
    if kind is None or value is None:
        return value
    try:
        return READERS[kind](value)
    except ValueError:
        raise ValueError(f"Unable to parse array element as `{kind}` on `{text_of(value)}`") from None
