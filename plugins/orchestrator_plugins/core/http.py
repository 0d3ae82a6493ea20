"""Calling other systems over HTTP."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from functools import cache
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import Field

from orchestrator.sdk import Duration, Dynamic, Json, PluginModel, PollingTrigger, RunContext, Task, TaskFailed, Text, text_of, truthy
from orchestrator_plugins.core.forms import encoded_form, multipart_form
from orchestrator_plugins.core.waiting import until_stopped

if TYPE_CHECKING:
    import ssl

    import httpx

FORM, MULTIPART = "application/x-www-form-urlencoded", "multipart/form-data"
SHOWN = 2000  # characters of a body shown in an error


class Timeouts(PluginModel):
    """How long to wait for a connection and for the next bytes."""

    connect_timeout: Dynamic[Duration] | None = None
    read_idle_timeout: Dynamic[Duration] | None = None


class Auth(PluginModel):
    """Who asks: a user and password, or a token."""

    type: Literal["BASIC", "BEARER"]
    username: Dynamic[Text] | None = None
    password: Dynamic[Text] | None = None
    token: Dynamic[Text] | None = None


class Tls(PluginModel):
    """How the server's certificate is checked."""

    insecure_trust_all_certificates: Dynamic[bool] | None = None


class Options(PluginModel):
    """How the call is made; the older flat names are taken too."""

    timeout: Timeouts | None = None
    auth: Auth | None = None
    ssl: Tls | None = None
    follow_redirects: Dynamic[bool] = True
    allow_failed: Dynamic[bool] = False
    allowed_response_codes: Dynamic[tuple[int, ...]] | None = None
    default_charset: Dynamic[Text] = "UTF-8"
    max_content_length: int | None = None
    connect_timeout: Dynamic[Duration] | None = None
    read_timeout: Dynamic[Duration] | None = None
    read_idle_timeout: Dynamic[Duration] | None = None
    basic_auth_user: Dynamic[Text] | None = None
    basic_auth_password: Dynamic[Text] | None = None


class Calling(PluginModel):
    """What everything that makes one HTTP request is told."""

    uri: Dynamic[Text] = Field(description="The address.", examples=["https://example.org/items?page={{ inputs.page }}"])
    method: Dynamic[Text] = Field("GET", description="The HTTP method.")
    body: Dynamic[Text | Mapping[str, Json] | tuple[Json, ...]] | None = Field(None, description="What to send: text, or a structure sent as JSON.")
    form_data: Mapping[str, Json] | None = Field(None, description="Form fields; with multipart a `kestra://` URI sends that file.")
    params: Mapping[str, Json] | None = Field(None, description="Query parameters added to the address.")
    content_type: Dynamic[Text] | None = Field(None, description="The Content-Type of what is sent.")
    headers: Mapping[str, Json] | None = Field(None, description="Further headers.")
    options: Options = Field(default_factory=Options, description="Time limits, redirects, authentication.")
    allow_failed: Dynamic[bool] = Field(False, description="Whether a code of 400 or more is a success too.")

    def client_options(self, ctx: RunContext) -> dict[str, Any]:
        import httpx

        options = self.options
        limits = options.timeout or Timeouts()
        connect = _seconds(ctx, limits.connect_timeout, options.connect_timeout, default=10)
        read = _seconds(ctx, limits.read_idle_timeout, options.read_idle_timeout, options.read_timeout, default=300)
        insecure = options.ssl is not None and bool(ctx.render(options.ssl.insecure_trust_all_certificates))
        return {
            "timeout": httpx.Timeout(read, connect=connect),
            "follow_redirects": bool(ctx.render(options.follow_redirects)),
            "verify": _trust(insecure=insecure),
            "auth": self._auth(ctx),
            "default_encoding": ctx.render(options.default_charset),
        }

    def _auth(self, ctx: RunContext) -> tuple[str, str] | None:
        auth, options = self.options.auth, self.options
        if auth is not None and auth.type == "BASIC":
            return (ctx.render(auth.username) or "", ctx.render(auth.password) or "")
        if options.basic_auth_user is not None:
            return (ctx.render(options.basic_auth_user), ctx.render(options.basic_auth_password) or "")
        return None

    def content(self, ctx: RunContext) -> dict[str, Any]:
        headers = {name: text_of(value) for name, value in (ctx.render(self.headers) or {}).items() if value is not None}
        auth = self.options.auth
        if auth is not None and auth.type == "BEARER":
            headers["Authorization"] = f"Bearer {ctx.render(auth.token)}"
        content: dict[str, Any] = {"headers": headers, "params": ctx.render(self.params)}
        kind: str | None = ctx.render(self.content_type)
        if self.form_data is not None:
            form = ctx.render(self.form_data)
            return {**content, **(multipart_form(form, ctx) if kind == MULTIPART else encoded_form(form))}
        if self.body is None:
            return {**content, "headers": {**({"Content-Type": kind} if kind else {}), **headers}}
        body = ctx.render(self.body)
        if kind is None and not isinstance(body, str):
            kind = "application/json"
        return {**content, "content": text_of(body).encode(), "headers": {**({"Content-Type": kind} if kind else {}), **headers}}

    def allows(self, ctx: RunContext, code: int) -> bool:
        """Whether an answer's code is a success."""
        allowed = ctx.render(self.options.allowed_response_codes)
        fails = code not in allowed if allowed else code >= 400
        return not fails or bool(ctx.render(self.allow_failed) or ctx.render(self.options.allow_failed))


class Call(Calling, Task):
    """A task that makes one HTTP request."""


class Asking(Calling):
    """One that gives back what it was answered."""

    encrypt_body: Dynamic[bool] = Field(False, description="Give the body back encrypted, as `encryptedBody`.")

    def ask(self, ctx: RunContext) -> httpx.Response:
        """The answer, whatever its code. Raises TaskFailed when there is none."""
        return until_stopped(ctx, self._ask(ctx))

    async def _ask(self, ctx: RunContext) -> httpx.Response:
        import httpx

        uri = ctx.render(self.uri)
        try:
            async with httpx.AsyncClient(**self.client_options(ctx)) as client:
                return await client.request(ctx.render(self.method).upper(), uri, **self.content(ctx))
        except (httpx.HTTPError, httpx.InvalidURL) as err:
            raise TaskFailed(f"request to '{uri}' failed: {err or type(err).__name__}") from err

    def outputs_of(self, ctx: RunContext, answer: httpx.Response) -> dict[str, Json]:
        """What an answer is told as."""
        body = None if answer.request.method == "HEAD" else answer.text
        outputs: dict[str, Json] = {"code": answer.status_code, "uri": str(answer.url), "headers": headers_of(answer)}
        if body is not None and ctx.render(self.encrypt_body):
            return {**outputs, "encryptedBody": ctx.seal(body)}
        return {**outputs, "body": body}


class Request(Asking, Call):
    """Make one HTTP request and give back its code, headers and body. A code of 400 or more fails the task."""

    def run(self, ctx: RunContext) -> Mapping[str, Json]:
        answer = self.ask(ctx)
        self._check(ctx, answer)
        return self.outputs_of(ctx, answer)

    def _check(self, ctx: RunContext, answer: httpx.Response) -> None:
        if not self.allows(ctx, answer.status_code):
            raise TaskFailed(f"Failed http request with response code '{answer.status_code}' and body:\n{answer.text[:SHOWN]}")


@cache
def _trust(*, insecure: bool) -> ssl.SSLContext:
    """Which certificates are good: shared, as reading them all takes longer than a request."""
    import httpx

    return httpx.create_ssl_context(verify=not insecure)


class Trigger(Asking, PollingTrigger):
    """Make an HTTP request again and again, and start an execution when its answer is as `responseCondition` says.

    The execution's `trigger` variables are those that a Request outputs.
    """

    isolated: ClassVar[bool] = False  # its connection is closed when it is stopped

    response_condition: str = Field(
        "{{ response.statusCode < 400 }}",
        description="Whether an answer starts an execution: an expression over `response`, with its `statusCode`, `body` and `headers`.",
        examples=["{{ response.statusCode == 200 and (response.body | jq('.ready') | first) }}"],
    )

    def evaluate(self, ctx: RunContext) -> Mapping[str, Json] | None:
        answer = self.ask(ctx)
        response = {"statusCode": answer.status_code, "body": answer.text, "headers": headers_of(answer)}
        met = ctx.with_variables({"response": response}).render(self.response_condition)
        return self.outputs_of(ctx, answer) if truthy(met) else None


def headers_of(answer: httpx.Response) -> dict[str, list[str]]:
    """An answer's headers; each may come several times."""
    found: dict[str, list[str]] = {}
    for name, value in answer.headers.multi_items():
        found.setdefault(name, []).append(value)
    return found


def _seconds(ctx: RunContext, *choices: Dynamic[timedelta] | None, default: float) -> float:
    chosen = next((one for one in choices if one is not None), None)
    return default if chosen is None else ctx.render(chosen).total_seconds()
