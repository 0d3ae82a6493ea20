"""One form of path for the three generations of clients: no tenant, no `/actions/`, no trailing slash."""

from __future__ import annotations

from starlette.types import ASGIApp, Receive, Scope, Send

API = "/api/v1"
TENANT = f"{API}/main"
_EXECUTIONS = f"{API}/executions/"
ACTIONS = "orchestrator.actions"  # set in the scope of a request that came by an `/actions/` path


class OnePath:
    """Rewrites each request's path before routing; a tenant other than `main` matches no route."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            scope = {**scope, **rewritten(scope["path"])}
        await self._app(scope, receive, send)


def rewritten(path: str) -> dict[str, object]:
    """The path to route by, and whether the newest generation asked."""
    if path.startswith(TENANT) and path[len(TENANT) : len(TENANT) + 1] in ("", "/"):
        path = API + path[len(TENANT) :]
    if len(path) > 1 and path.endswith("/"):
        path = path.rstrip("/") or "/"
    actions = False
    if path.startswith(_EXECUTIONS):
        execution, _, rest = path[len(_EXECUTIONS) :].partition("/")
        if rest.startswith("actions/"):
            path, actions = f"{_EXECUTIONS}{execution}/{rest[len('actions/') :]}", True
    return {"path": path, ACTIONS: actions}
