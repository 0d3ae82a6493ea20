"""Where a database is, read from its URL. What goes wrong is told without the URL: it may hold a password."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import parse_qsl, unquote

from orchestrator.sdk import TaskFailed

_ENCODE = "percent-encode a user's or password's own `:`, `/`, `?` and `@`, or give them as `username` and `password`"


@dataclass(frozen=True)
class Address:
    """The parts of `[jdbc:]scheme://[user[:password]@]host[:port][,host[:port]...]/database[?name=value&...]`.

    `hosts` are pairs of name and port, empty where not given. A host that is a folder is that of a Unix socket.
    """

    scheme: str
    hosts: tuple[tuple[str, str], ...]
    database: str
    user: str = ""
    password: str = field(default="", repr=False)
    options: Mapping[str, str] = field(default_factory=dict, repr=False)

    def shown(self, port: int) -> str:
        """The hosts for people; `port` is the usual one."""
        return ", ".join(f"{_bracketed(host) or 'localhost'}:{given or port}" for host, given in self.hosts)


def address(url: str, schemes: tuple[str, ...]) -> Address:
    """The parts of a URL. Raises TaskFailed when it has not that form, or its scheme is none of `schemes`."""
    scheme, found, rest = url.strip().removeprefix("jdbc:").partition("://")
    if not found or scheme not in schemes:
        raise TaskFailed(f"url: it must begin with jdbc:{schemes[0]}:// or {schemes[0]}://")
    rest, _, query = rest.partition("?")
    place, _, database = rest.partition("/")
    who, _, where = place.rpartition("@")
    user, _, password = who.partition(":")
    if set("@:/") & set(database):
        raise TaskFailed(f"url: the database has no such name; {_ENCODE}")
    options = dict(parse_qsl(query, keep_blank_values=True))
    hosts = tuple(_host(one) for one in where.split(","))
    return Address(scheme, hosts, unquote(database), unquote(user), unquote(password), options)


def _host(text: str) -> tuple[str, str]:
    if text.startswith("["):
        host, _, after = text[1:].partition("]")
        port = after.removeprefix(":")
    else:
        host, _, port = text.partition(":")
    if port and not (port.isdecimal() and int(port) < 65536):
        raise TaskFailed(f"url: the port is not a number; {_ENCODE}")
    return unquote(host), port


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host
