"""Calls of triggers' addresses, asked of an executor."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from orchestrator.model.state import State
from tests.unit.runtime.clock_house import Hour, hour

RETURN = "{id: a, type: io.kestra.plugin.core.debug.Return, format: '{{ trigger.body.x }}'}"


def called(folder: Path, check: Callable[[Hour], Awaitable[None]]) -> None:
    async def run() -> None:
        async with hour(folder) as own:
            await check(own)

    asyncio.run(run())


async def call(own: Hour, key: str = "k", *, execution_id: str = "e1", flow: str = "f", **variables: Any) -> Any:
    seen = variables.pop("seen", {})
    return await own.house.call("call_webhook", namespace="house", flow_id=flow, key=key, execution_id=execution_id, variables=variables, seen=seen)


def hook(about: str = "", key: str = "k") -> str:
    return f"{{id: t, type: io.kestra.plugin.core.trigger.Webhook, key: '{key}'{', ' + about if about else ''}}}"


def test_a_call_starts_an_execution_with_what_was_sent_and_the_same_call_again_no_other(tmp_path: Path) -> None:
    async def check(own: Hour) -> None:
        await own.save(hook("inputs: {x: '{{ trigger.body.x }}'}"), task=RETURN, more="inputs: [{id: x, type: INT}]")
        told = await call(own, body={"x": 7})
        assert (told["execution"]["state"]["current"], told["execution"]["inputs"]) == ("CREATED", {"x": 7})
        again = await call(own, body={"x": 7})
        assert again["execution"]["id"] == told["execution"]["id"]
        await own.settled()
        (made,) = own.executions()
        assert made.trigger is not None
        assert (made.current, made.trigger.variables, own.state().date) == (State.SUCCESS, {"body": {"x": 7}}, own.clock.now)
        assert (await own.reason())["kind"] == "AWAITING_CALL"

    called(tmp_path, check)


def test_the_key_may_be_a_template_over_the_flow(tmp_path: Path) -> None:
    async def check(own: Hour) -> None:
        await own.save(hook(key="{{ flow.id }}-{{ vars.part }}"), more="variables: {part: x}")
        assert (await call(own, "f-x"))["execution"] is not None
        assert (await call(own, "{{ flow.id }}-x", execution_id="e2"))["error"]["code"] == "not-found"

    called(tmp_path, check)


def test_conditions_say_no_or_cannot_be_tested_and_see_what_is_not_kept(tmp_path: Path) -> None:
    async def check(own: Hour) -> None:
        condition = "conditions: [{type: core.condition.ExpressionCondition, expression: \"{{ trigger.body.x == 1 and trigger.headers.secret == 's' }}\"}]"
        await own.save(hook(condition))
        assert (await call(own, body={"x": 2}, headers={}, seen={"headers": {"secret": "s"}}))["execution"] is None
        assert (await call(own, body={}))["execution"] is None
        assert any("cannot be tested" in line for line in own.lines())
        assert (await call(own, body={"x": 1}, headers={}, seen={"headers": {"secret": "s"}}))["execution"]["trigger"]["variables"]["headers"] == {}

    called(tmp_path, check)


def test_what_is_not_there_or_disabled_or_does_not_fit_is_refused(tmp_path: Path) -> None:
    async def check(own: Hour) -> None:
        await own.save(hook("inputs: {x: '{{ trigger.body.x }}'}"), more="inputs: [{id: x, type: INT}]")
        assert (await call(own, flow="none"))["error"] == {"code": "not-found", "message": "Flow not found"}
        assert (await call(own, "no"))["error"]["message"] == "Webhook not found"
        assert (await call(own, body={"x": "no number"}))["error"]["code"] == "input-invalid"
        await own.until(lambda: any("A call could start nothing" in line for line in own.lines()))
        await own.ask("disable")
        assert (await call(own, body={"x": 1}))["error"]["code"] == "conflict"
        await own.save(hook(), more="disabled: true")
        assert (await call(own))["error"]["code"] == "conflict"
        assert own.executions() == []

    called(tmp_path, check)


def test_a_call_may_wait_for_the_end_and_be_answered_with_the_outputs(tmp_path: Path) -> None:
    async def check(own: Hour) -> None:
        outputs = "outputs: [{id: code, type: INT, value: 201}]"
        await own.save(hook("wait: true, returnOutputs: true, responseCode: '{{ outputs.code }}', responseContentType: text/plain"), task=RETURN, more=outputs)
        told = await call(own, body={"x": 1})
        assert (told["execution"]["state"]["current"], told["execution"]["outputs"]) == ("SUCCESS", {"code": 201})
        assert (told["wait"], told["outputs"], told["type"], told["code"]) == (True, True, "text/plain", 201)

    called(tmp_path, check)


def test_a_call_that_waits_for_what_fails_has_no_code_of_its_own(tmp_path: Path) -> None:
    async def check(own: Hour) -> None:
        await own.save(hook("wait: true, responseCode: '{{ outputs.code }}'"), task=RETURN)
        told = await call(own)
        assert (told["execution"]["state"]["current"], told["code"]) == ("FAILED", None)

    called(tmp_path, check)
