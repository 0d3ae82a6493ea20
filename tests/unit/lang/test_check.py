"""What a flow may not be, each with its place and its advice."""

from __future__ import annotations

import time
from textwrap import dedent

import pytest

from orchestrator.errors import FlowInvalid
from orchestrator.lang.check import check, check_plugin
from orchestrator.lang.diagnostics import Diagnostic, errors_of, render
from orchestrator.lang.flows import of_document, parse
from orchestrator.model.flow import Flow
from orchestrator.model.surroundings import Surroundings
from tests.unit.lang.toys import resolve

HEAD = "id: f\nnamespace: n\n"


def found(text: str) -> tuple[Diagnostic, ...]:
    return check(dedent(text), resolve=resolve)[1]


def errors(body: str) -> list[str]:
    """The errors of a flow with this body, as `path: message`."""
    return [d.summary for d in errors_of(found(HEAD + dedent(body)))]


def flow_of(body: str) -> Flow:
    return parse(HEAD + dedent(body), resolve=resolve)


LOG = "tasks: [{id: t, type: Log, message: hi}]\n"


def test_a_good_flow_is_read_whole() -> None:
    flow = parse(HEAD + "labels: {a: 1}\nretry: {type: constant, interval: PT1S}\n" + LOG, 7, resolve=resolve)
    assert (flow.id, flow.namespace, flow.revision, flow.tasks[0].raw["message"]) == ("f", "n", 7, "hi")
    assert flow.retry is not None


def test_a_stored_document_gives_the_same_flow() -> None:
    flow = flow_of(LOG + "inputs: [{id: a, type: INT, min: 3}]\n")
    assert of_document(flow.model_dump(mode="json", by_alias=True)) == flow


def test_all_problems_are_said_at_once_in_the_order_of_the_text() -> None:
    text = """\
        id: my#flow
        namespace: UPPER
        tsks: []
        tasks:
          - id: greet
            type: Log
            comands: [a]
            level: LOUD
            count: three
          - id: greet
            type: Lag
        """
    diagnostics = found(text)
    assert [d.code for d in diagnostics] == [
        "invalid-value",
        "invalid-value",
        "unknown-property",
        "missing-property",
        "unknown-property",
        "invalid-value",
        "wrong-type",
        "duplicate-task-id",
        "unknown-type",
    ]
    assert [d.line for d in diagnostics] == [1, 2, 3, 5, 7, 8, 9, 10, 11]
    with pytest.raises(FlowInvalid) as refused:
        parse(dedent(text), resolve=resolve)
    assert 'tasks[0].comands: Unrecognized field "comands"' in str(refused.value).splitlines()
    assert len(refused.value.diagnostics) == 9


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("", "tasks: must not be empty"),
        ("tasks: []", "tasks: must not be empty"),
        ("tasks: x", "tasks: must be a list of tasks"),
        ("tasks: [x]", "tasks[0]: must be a task: a map with a `type`"),
        ("tasks: [{id: a}]", "tasks[0]: Invalid type: null"),
        ("tasks: [{type: Log, message: a}]", "tasks[0].id: must not be null"),
        ("tasks: [{id: 'a b', type: Log, message: a}]", 'tasks[0].id: must match "^[a-zA-Z0-9][a-zA-Z0-9_-]*"'),
        ("tasks: [{id: a, type: Log}]", "tasks[0].message: must not be null"),
        ("tasks: [{id: a, type: Log, message: null}]", "tasks[0].message: must not be null"),
        ("tasks: [{id: a, type: Log, message: {b: c}}]", "tasks[0].message: must be text or a list or a {{ template }}"),
        ("tasks: [{id: a, type: Log, message: b, env: [c]}]", "tasks[0].env: must be a map"),
        ("tasks: [{id: a, type: Sequential}]", "tasks[0].tasks: must not be empty"),
        ("tasks: [{id: a, type: Sequential, tasks: []}]", "tasks[0].tasks: must not be empty"),
        ("tasks: [{id: a, type: Sequential, tasks: null}]", "tasks[0].tasks: must not be empty"),
        ("tasks: [{id: a, type: Switch, value: b}]", "tasks[0]: a: No task defined, neither cases or default have any tasks"),
        ("tasks: [{id: a, type: Log, message: b, taskRunner: {type: Nope}}]", "tasks[0].taskRunner.type: Invalid type: Nope"),
        ("tasks: [{id: a, type: Log, message: b, taskRunner: {type: Process, x: 1}}]", 'tasks[0].taskRunner.x: Unrecognized field "x"'),
        ("tasks: [{id: a, type: Log, message: b, retry: {type: constant}}]", "tasks[0].retry.interval: must not be null"),
        ("tasks: [{id: a, type: Log, message: b, workerGroup: {ky: c}}]", 'tasks[0].workerGroup.ky: Unrecognized field "ky"'),
        (
            "tasks: [{id: a, type: Log, message: b, retry: {type: constant, interval: PT1S, maxAttempt: 1, maxAttempts: 2}}]",
            "tasks[0].retry.maxAttempt: `maxAttempts` and `maxAttempt` are the same property",
        ),
        ("tasks: [{id: a, type: Subflow, namespace: n, flowId: f}]", "tasks[0].flowId: Invalid Flow: Recursive call to flow [n.f]"),
        (LOG + "concurrency: {limit: many}", "concurrency.limit: must be a whole number"),
        (LOG + "labels: {system.id: x}", "labels.system.id: System labels can only be set by Kestra itself, offending label: system.id=x"),
        (LOG + "triggers: [{id: a, type: Schedule}]", "triggers[0].cron: must not be null"),
        (LOG + "triggers: [{id: a, type: Nope}]", "triggers[0].type: Invalid type: Nope"),
        (LOG + "outputs: [{id: o, value: a}, {id: o, value: b}]", "outputs[1].id: Duplicate output with name [o]"),
        (LOG + "errors: [{id: t, type: Log, message: b}]", "errors[0].id: Duplicate task id with name [t]"),
        (LOG + "listeners: [{tasks: []}]", "listeners[0].tasks: must not be empty"),
        (LOG + "disabled: maybe", "disabled: must be true or false"),
    ],
)
def test_a_mistake_is_named_with_its_place(body: str, said: str) -> None:
    assert errors(body) == [said]


def test_the_dearer_of_two_retry_lengths_must_be_longer() -> None:
    body = LOG + "retry: {type: exponential, interval: PT3S, maxInterval: PT2S, maxDuration: PT12S}\n"
    assert errors(body) == ["retry.interval: 'interval' must be less than 'maxInterval' but is PT3S"]


def test_tasks_are_checked_wherever_they_stand() -> None:
    body = """\
        tasks:
          - id: s
            type: Switch
            value: x
            cases:
              1: [{id: a, type: Log}]
            finally: [{id: b, type: Log}]
          - id: d
            type: Dag
            tasks: [{task: {id: c, type: Sequential, tasks: [{id: a, type: Log, message: x}], errors: [{id: e, type: Nope}]}}]
        finally: [{id: g, type: Log}]
        """
    assert set(errors(body)) == {
        "tasks[0].cases.1[0].message: must not be null",
        "tasks[0].finally[0].message: must not be null",
        "tasks[1].tasks[0].task.errors[0].type: Invalid type: Nope",
        "tasks[1].tasks[0].task.tasks[0].id: Duplicate task id with name [a]",
        "finally[0].message: must not be null",
    }


def test_tasks_within_an_unknown_type_are_checked_too() -> None:
    assert "tasks[0].tasks[0].message: must not be null" in errors("tasks: [{id: a, type: Nope, tasks: [{id: b, type: Log}]}]")


def test_duplicate_ids_are_said_together_and_where_they_were_first_used() -> None:
    (diagnostic,) = found(HEAD + "tasks:\n" + "".join(f"  - {{id: {name}, type: Log, message: x}}\n" for name in "abab"))
    assert diagnostic.message == "Duplicate task id with name [a, b]"
    assert diagnostic.help == "`a` is first used at 4:10; `b` is first used at 5:10"


def test_a_dag_that_waits_for_itself_or_for_nothing_is_refused() -> None:
    body = """\
        tasks:
          - id: dag
            type: Dag
            tasks:
              - {task: {id: task1, type: Log, message: x}, dependsOn: [task2]}
              - {task: {id: task2, type: Log, message: x}, dependsOn: [task1]}
              - {task: {id: task3, type: Log, message: x}, dependsOn: [task2, taskX]}
        """
    assert [e.split(": ", 1)[1] for e in errors(body)] == [
        "dag: Cyclic dependency detected: task1, task2",
        "dag: Not existing task id in dependency: taskX",
    ]


def test_only_work_itself_stands_in_a_working_directory() -> None:
    body = "tasks: [{id: w, type: WorkingDirectory, tasks: [{id: s, type: Sequential, tasks: [{id: l, type: Log, message: x}]}]}]"
    assert errors(body) == ["tasks[0]: w: Only runnable tasks are allowed as children of a WorkingDirectory task"]


def test_a_near_miss_gets_advice() -> None:
    diagnostics = found(HEAD + "tasks: [{id: a, type: Log, mesage: x}]\nlabls: {}\ninputs: [{id: a, type: STRNG}]\n")
    assert {d.help for d in diagnostics} >= {"did you mean `message`?", "did you mean `labels`?", "did you mean `STRING`?"}


def test_a_number_written_where_text_is_meant_is_that_text() -> None:
    flow = flow_of("tasks: [{id: 1, type: Log, message: 1.0, env: {A: 010, B: true}}]")
    assert flow.tasks[0].raw["message"] == "1.0"
    assert flow.tasks[0].raw["env"] == {"A": "010", "B": "true"}
    assert flow.tasks[0].id == "1"


def test_a_bad_expression_is_a_warning_because_only_its_task_fails() -> None:
    flow, (warning,) = check(HEAD + 'tasks: [{id: a, type: Log, message: "{{ 1 + }}"}]\n', resolve=resolve)
    assert flow is not None
    assert (warning.code, warning.severity, warning.path) == ("bad-expression", "warning", "tasks[0].message")


def test_a_promise_without_its_bound_is_refused_at_its_place() -> None:
    flow, (found,) = check(HEAD + LOG + "sla:\n  - {id: s, type: MAX_DURATION, behavior: CANCEL}\n", resolve=resolve)
    assert flow is None
    assert (found.code, found.path, found.line) == ("invalid-value", "sla[0]", len((HEAD + LOG).splitlines()) + 2)
    assert "needs a `duration`" in found.message


def test_an_older_alias_is_told_of_its_proper_name() -> None:
    _, (info,) = check(HEAD + "tasks: [{id: a, type: io.kestra.core.tasks.log.Log, message: x}]\n")
    assert (info.severity, info.message) == ("info", "io.kestra.core.tasks.log.Log is replaced by io.kestra.plugin.core.log.Log")


def test_the_short_form_of_a_type_is_taken() -> None:
    assert check(HEAD + "tasks: [{id: a, type: core.log.Log, message: x}]\n")[1] == ()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "Illegal flow yaml: a flow is a map"),
        ("- a", "Illegal flow yaml: a flow is a map"),
        ("id: [", "Illegal flow yaml: "),
        ("id: a\nid: b\nnamespace: n\n" + LOG, "Duplicate field 'id'"),
        (LOG, "id: must not be null\nnamespace: must not be null"),
    ],
)
def test_what_is_no_flow_is_refused(text: str, message: str) -> None:
    with pytest.raises(FlowInvalid) as refused:
        parse(text, resolve=resolve)
    assert str(refused.value).startswith(message)


class TestPluginDefaults:
    def test_they_lie_below_what_a_task_says(self) -> None:
        flow = flow_of(LOG + "pluginDefaults: [{type: Log, values: {message: low, level: WARN}}]\n")
        assert (flow.tasks[0].raw["message"], flow.tasks[0].raw["level"]) == ("hi", "WARN")

    def test_they_complete_what_a_task_lacks_deep_down(self) -> None:
        default = "pluginDefaults: [{type: Log, values: {message: low, env: {A: b, B: c}}}]\n"
        body = "tasks: [{id: s, type: Sequential, tasks: [{id: a, type: Log, env: {A: a}}]}]\n" + default
        inner = flow_of(body).tasks[0].raw["tasks"][0]
        assert (inner["message"], inner["env"]) == ("low", {"A": "a", "B": "c"})

    def test_forced_ones_win(self) -> None:
        flow = flow_of(LOG + "pluginDefaults: [{type: Log, forced: true, values: {message: high}}]\n")
        assert flow.tasks[0].raw["message"] == "high"

    def test_one_for_a_prefix_gives_each_type_only_what_it_has(self) -> None:
        flow = parse(
            HEAD + "tasks: [{id: t, type: io.x.Log, message: hi}]\npluginDefaults: [{type: io.x, values: {nothing: 1, level: WARN}}]\n", resolve=resolve
        )
        assert "nothing" not in flow.tasks[0].raw
        assert flow.tasks[0].raw["level"] == "WARN"

    @pytest.mark.parametrize(
        "wanted", ["io.kestra.plugin.core.log", "core.log", "core.log.Log", "io.kestra.plugin.core.log.Log", "io.kestra.core.tasks.log.Log"]
    )
    @pytest.mark.parametrize("written", ["core.log.Log", "io.kestra.plugin.core.log.Log"])
    def test_one_for_a_prefix_means_types_in_their_short_form_too(self, wanted: str, written: str) -> None:
        flow = parse(HEAD + f"tasks: [{{id: t, type: {written}}}]\npluginDefaults: [{{type: {wanted}, values: {{message: low}}}}]\n")
        assert flow.tasks[0].raw["message"] == "low"

    def test_an_unknown_property_is_said_once_at_the_default(self) -> None:
        body = LOG + "pluginDefaults: [{type: Log, values: {not: x}}]\n"
        assert errors(body) == ['pluginDefaults[0].values.not: Invalid Plugin Default: Unrecognized field "not"']

    def test_the_older_name_means_the_same(self) -> None:
        flow = flow_of("tasks: [{id: a, type: Log}]\ntaskDefaults: [{type: Log, values: {message: x}}]\n")
        assert (flow.tasks[0].raw["message"], len(flow.plugin_defaults)) == ("x", 1)

    def test_those_of_the_namespace_lie_below_the_flows(self) -> None:
        around = Surroundings(namespace_defaults={"n": ({"type": "Log", "values": {"message": "ns", "level": "WARN"}},)})
        flow = parse(HEAD + "tasks: [{id: a, type: Log}]\npluginDefaults: [{type: Log, values: {message: x}}]\n", resolve=resolve, around=around)
        assert (flow.tasks[0].raw["message"], flow.tasks[0].raw["level"]) == ("x", "WARN")


@pytest.mark.parametrize(
    ("declared", "said"),
    [
        ("{type: STRING}", "inputs[0].id: must not be null"),
        ("{id: a}", "inputs[0].type: Invalid type: null"),
        ("{id: a, type: [x]}", "inputs[0].type: Invalid type: ['x']"),
        ("{id: 'wrong one', type: INT}", 'inputs[0].id: must match "^[a-zA-Z0-9][.a-zA-Z0-9_-]*"'),
        ("{id: a, type: INT, after: 1}", 'inputs[0].after: Unrecognized field "after"'),
        ("{id: a, type: INT, defaults: x}", "inputs[0].defaults: a: `defaults`: it must be a whole number"),
        ("{id: a, type: DATE, after: x}", "inputs[0].after: a: `after`: it must be a date such as 2019-10-06"),
        ("{id: a, type: FILE, defaults: x}", "inputs[0].defaults: a: no `defaults` can be set for inputs of type 'FILE'"),
        ("{id: a, type: ARRAY, itemType: ARRAY}", "inputs[0].itemType: a: `itemType` cannot be `ARRAY`"),
        ("{id: a, type: ENUM}", "inputs[0]: a: `values` must not be empty"),
        ("{id: a, type: STRING, dependsOn: {inputs: [b]}}", "inputs[0].dependsOn.inputs[0]: Input with id 'a' depends on a non-existent input 'b'."),
        ("{id: a, type: STRING}, {id: a, type: INT}", "inputs[1].id: Duplicate input id with name [a]"),
        ("{id: a, name: a, type: STRING}", "inputs[0].name: `id` and `name` are the same property"),
    ],
)
def test_a_bad_declaration_of_an_input_is_refused(declared: str, said: str) -> None:
    assert errors(LOG + f"inputs: [{declared}]\n") == [said]


def test_inputs_that_depend_on_each_other_are_refused() -> None:
    body = LOG + "inputs: [{id: a, type: INT, dependsOn: {inputs: [b]}}, {id: b, type: INT, dependsOn: {inputs: [a]}}]\n"
    assert errors(body) == ["inputs[0].dependsOn: Cycle dependency detected for input with id 'a'"]


def test_a_pattern_that_is_none_is_refused() -> None:
    (said,) = errors(LOG + "inputs: [{id: a, type: STRING, validator: \\}]\n")
    assert "invalid pattern" in said


def test_a_single_task_can_be_checked() -> None:
    assert check_plugin({"id": "t", "type": "Log", "message": "x"}, resolve=resolve) == ()
    (unknown,) = check_plugin("id: t\ntype: Log\nmessage: x\nunknownProp: x\n", resolve=resolve)
    assert (unknown.summary, unknown.line) == ('unknownProp: Unrecognized field "unknownProp"', 4)


def test_problems_are_shown_with_their_line_and_a_caret() -> None:
    text = HEAD + "tasks:\n  - id: greet\n    type: Log\n    message: x\n    messages: [a]\n    count: three\n"
    _, diagnostics = check(text, "hello.yaml", resolve=resolve)
    assert render(diagnostics, text, "hello.yaml") == dedent(
        """\
        error[unknown-property]: Unrecognized field "messages"
          --> hello.yaml:7:5
         7 |     messages: [a]
           |     ^^^^^^^^ help: did you mean `message`?
        error[wrong-type]: `tasks[0].count` must be a whole number or a {{ template }}
          --> hello.yaml:8:12
         8 |     count: three
           |            ^^^^^
        2 problems in hello.yaml · orchestrator explain unknown-property"""
    )


@pytest.mark.alone
def test_a_typical_flow_is_checked_in_a_few_milliseconds() -> None:
    tasks = "".join(f'  - {{id: t{n}, type: Log, message: "{{{{ inputs.a }}}} {n}"}}\n' for n in range(20))
    text = HEAD + "inputs: [{id: a, type: STRING}]\ntasks:\n" + tasks
    check(text, resolve=resolve)
    took = []
    for _ in range(5):
        began = time.perf_counter()
        check(text, resolve=resolve)
        took.append(time.perf_counter() - began)
    assert min(took) < 0.005
