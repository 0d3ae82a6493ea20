"""What each role may ask for: a table of methods and paths, and nothing that is not in it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from starlette.requests import Request

from orchestrator.model.access_token import Role

SCOPE = "orchestrator.caller"  # where the door leaves word of who asks
_API, _ONE = "/api/v1", "[^/]+"
_LOOK, _ACT = frozenset({"GET", "HEAD"}), frozenset({"POST"})


@dataclass(frozen=True)
class Caller:
    """Who asks: by the role, and for a minted token by its uid."""

    role: Role
    token: str | None = None


@dataclass(frozen=True)
class Allowed:
    """Methods on paths, as they are routed by (without a tenant)."""

    methods: frozenset[str]
    paths: re.Pattern[str]

    def covers(self, method: str, path: str) -> bool:
        return method in self.methods and self.paths.fullmatch(path) is not None


def _allowed(methods: frozenset[str], *paths: str) -> Allowed:
    return Allowed(methods, re.compile("|".join(f"(?:{path})" for path in paths)))


# A GET is not always a look: a webhook starts an execution. And not every look is harmless: keys, files and the defaults
# of plugins hold what people would not put on a dashboard.
MAY: Mapping[Role, tuple[Allowed, ...]] = {
    Role.JOIN: (_allowed(_ACT, f"{_API}/cluster/join"),),
    Role.NODE: (_allowed(_LOOK, f"{_API}/cluster/joined/{_ONE}"), _allowed(_ACT, f"{_API}/cluster/joined/{_ONE}/drain")),
    Role.VIEW: (
        _allowed(_LOOK, "/metrics", f"{_API}/metrics", f"{_API}/(?:configs|schema|plugins(?:/.+)?)"),
        _allowed(_LOOK, f"{_API}/executions", f"{_API}/executions/(?!webhook(?:/|$)){_ONE}(?:/(?:flow|follow|graph|explain|cost))?"),
        _allowed(_LOOK, f"{_API}/executions/namespaces/{_ONE}/flows", f"{_API}/executions/flows/{_ONE}/{_ONE}"),
        _allowed(_LOOK, f"{_API}/logs/{_ONE}(?:/(?:follow|download))?", f"{_API}/metrics/{_ONE}", f"{_API}/outputs/.+"),
        _allowed(_LOOK, f"{_API}/flows/.+", f"{_API}/triggers/.+", f"{_API}/namespaces/{_ONE}"),
        _allowed(_LOOK, f"{_API}/workers(?:/{_ONE})?", f"{_API}/worker-groups(?:/{_ONE})?", f"{_API}/worker-selectors/tags", f"{_API}/runners"),
        _allowed(_LOOK, f"{_API}/instance/(?:worker-groups|worker-queues|services)(?:/.+)?"),
    ),
}
_PURPOSE: Mapping[Role, str] = {
    Role.JOIN: "it joins machines, and may do nothing else",
    Role.NODE: "it looks after the worker of its own node, and may do nothing else",
    Role.VIEW: "it looks at flows, executions, logs and workers, and may do nothing else",
}


def may(role: Role, method: str, path: str) -> bool:
    """Whether a role may ask for it. The administrator may ask for everything that is not the runs' own."""
    return role is Role.ADMIN or any(allowed.covers(method, path) for allowed in MAY[role])


def refusal(role: Role) -> str:
    """What to tell one who asked for more."""
    return f"this is a {role} token: {_PURPOSE[role]}"


def caller_of(request: Request) -> Caller:
    """Who asks."""
    found: Caller = request.scope[SCOPE]
    return found
