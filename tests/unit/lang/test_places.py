"""What a flow may say of where its work goes, and what its author is told otherwise."""

from __future__ import annotations

from textwrap import dedent

import pytest

from orchestrator.lang.check import check, check_plugin
from orchestrator.lang.diagnostics import errors_of, render
from orchestrator.lang.flows import parse
from orchestrator.model.surroundings import KnownGroups, Surroundings
from orchestrator.model.worker_group import WorkerGroup
from tests.unit.lang.places_checked import GROUPS, HEAD, NONE_DECLARED, TASK, errors, found, warnings
from tests.unit.lang.toys import resolve

# groups by key

EVERYWHERE = {
    "a task": "tasks: [{id: t, type: Return, workerGroup: {key: gpuu}}]",
    "a flowable": "tasks: [{id: s, type: Sequential, workerGroup: {key: gpuu}, tasks: [{id: t, type: Return}]}]",
    "a task within": "tasks: [{id: s, type: Sequential, tasks: [{id: t, type: Return, workerGroup: {key: gpuu}}]}]",
    "the flow": TASK + "workerGroup: {key: gpuu}",
    "a trigger": TASK + "triggers: [{id: p, type: Poll, workerGroup: {key: gpuu}}]",
    "a plugin default": TASK + "pluginDefaults: [{type: Return, values: {workerGroup: {key: gpuu}}}]",
    "a default of many types": TASK + "pluginDefaults: [{type: io.x, values: {workerGroup: {key: gpuu}}}]",
    "an older default": TASK + "taskDefaults: [{type: Return, values: {workerGroup: {key: gpuu}}}]",
    "a step by key": "tasks: [{id: t, type: Return, placement: [{workerGroup: gpuu}]}]",
    "a step in the older form": TASK + "placement: [{workerGroup: {key: gpuu}}]",
    "a listener": TASK + "listeners: [{tasks: [{id: l, type: Return, workerGroup: {key: gpuu}}]}]",
}


@pytest.mark.parametrize("body", EVERYWHERE.values(), ids=EVERYWHERE)
def test_an_unknown_group_is_refused_wherever_it_is_named_with_the_nearest_there_is(body: str) -> None:
    (problem,) = errors_of(found(body))
    assert (problem.code, problem.message, problem.help) == ("unknown-worker-group", "No worker group 'gpuu' is declared", "did you mean `gpu`?")
    line = (HEAD + body).splitlines()[problem.line - 1]
    assert line[problem.column - 1 : problem.column - 1 + problem.length] == "gpuu"


@pytest.mark.parametrize("body", EVERYWHERE.values(), ids=EVERYWHERE)
def test_any_well_formed_key_may_be_named_while_no_group_is_declared(body: str) -> None:
    assert errors(body, NONE_DECLARED) == []


def test_a_declaration_of_the_default_group_alone_makes_no_key_unknown() -> None:
    assert errors(EVERYWHERE["a task"], KnownGroups(declared={"": WorkerGroup(key="")})) == []


@pytest.mark.parametrize("groups", [GROUPS, NONE_DECLARED])
@pytest.mark.parametrize("key", ["-gpu", "a b", "a/b", "'gpu;rm'"])
def test_an_ill_formed_key_is_always_refused(key: str, groups: KnownGroups) -> None:
    body = f"tasks: [{{id: t, type: Return, workerGroup: {{key: {key}}}}}]"
    assert errors(body, groups) == ['tasks[0].workerGroup.key: must match "^[a-zA-Z0-9][a-zA-Z0-9_-]*$"']


@pytest.mark.parametrize("key", ["gpu", "' gpu '", "''", "null", "'{{ inputs.pool }}'", "'gpu-{{ inputs.pool }}'"])
def test_a_known_key_the_default_group_and_a_template_are_taken(key: str) -> None:
    assert errors(f"tasks: [{{id: t, type: Return, workerGroup: {{key: {key}}}}}]") == []


def test_a_key_written_as_a_number_is_that_text() -> None:
    assert errors("tasks: [{id: t, type: Return, workerGroup: {key: 7}}]", NONE_DECLARED) == []
    (said,) = errors("tasks: [{id: t, type: Return, workerGroup: {key: 7}}]")
    assert said == "tasks[0].workerGroup.key: No worker group '7' is declared"


def test_a_group_that_does_not_allow_the_namespace_is_refused_with_those_it_is_kept_for() -> None:
    (problem,) = errors_of(found(TASK + "workerGroup: {key: secret}"))
    assert problem.summary == "workerGroup.key: Worker group 'secret' takes no work of namespace prod.etl"
    assert (problem.code, problem.help) == ("group-not-allowed", "it is kept for ops, ops.*")
    allowed = check("id: f\nnamespace: ops.night\n" + TASK + "workerGroup: {key: secret}\n", resolve=resolve, around=Surroundings(groups=GROUPS))
    assert allowed[1] == ()


def test_the_default_group_may_be_kept_for_others_too() -> None:
    groups = KnownGroups(declared={"": WorkerGroup(key="", allowed_namespaces=("ops",))})
    assert errors("tasks: [{id: t, type: Return, workerGroup: {key: ''}}]", groups) == [
        "tasks[0].workerGroup.key: The default worker group takes no work of namespace prod.etl"
    ]


def test_a_problem_of_a_default_is_told_where_it_stands_and_not_again_at_each_task_it_reaches() -> None:
    default = "pluginDefaults: [{type: Return, forced: true, values: {workerGroup: {key: gpuu, fallback: NOPE}}}]"
    body = f"tasks: [{{id: a, type: Return}}, {{id: b, type: Return}}]\n{default}"
    assert errors(body) == [
        "pluginDefaults[0].values.workerGroup.key: No worker group 'gpuu' is declared",
        "pluginDefaults[0].values.workerGroup.fallback: must be one of WAIT, FAIL, CANCEL, IGNORE",
    ]


def test_a_default_of_the_namespace_is_not_held_against_the_author_of_a_flow() -> None:
    forced = ({"type": "Return", "forced": True, "values": {"workerGroup": {"key": "gone"}}},)
    around = Surroundings(groups=GROUPS, namespace_defaults={"prod": forced})
    assert check(HEAD + TASK, resolve=resolve, around=around)[1] == ()


def test_a_single_task_is_checked_too() -> None:
    (problem,) = check_plugin({"id": "t", "type": "Return", "workerGroup": {"key": "gpuu"}}, resolve=resolve, groups=GROUPS)
    assert problem.summary == "workerGroup.key: No worker group 'gpuu' is declared"


# groups by tags


@pytest.mark.parametrize("tags", ["[gpu]", "[big]", "[eu]", "['zone=eu', big]", "['rack:r7']", "['{{ inputs.x }}']", "[gpu, '{{ inputs.x }}']"])
def test_a_selector_finds_groups_by_key_tags_and_labels(tags: str) -> None:
    assert warnings(f"tasks: [{{id: t, type: Return, workerSelector: {{tags: {tags}}}}}]") == []


@pytest.mark.parametrize(
    ("selector", "said"),
    [
        ("{tags: [bg]}", "no worker group has all of bg"),
        ("{tags: [gpu, us]}", "no worker group has all of gpu, us"),
        ("{tags: [us, '{{ inputs.x }}']}", "no worker group has all of us"),
        ("{tags: [us, asia], match: ANY}", "no worker group has any of asia, us"),
        ("{tags: [quiet]}", "no worker group with all of quiet takes work of namespace prod.etl"),
    ],
)
@pytest.mark.parametrize("where", ["tasks: [{{id: t, type: Return, workerSelector: {}}}]", TASK.replace("{", "{{").replace("}", "}}") + "workerSelector: {}"])
def test_a_selector_that_no_group_could_answer_is_a_warning(selector: str, said: str, where: str) -> None:
    (told,) = warnings(where.format(selector))
    assert told.endswith(f"workerSelector.tags: {said}")


def test_a_chain_that_selects_by_tags_is_warned_of_in_the_same_way() -> None:
    (told,) = found(TASK + "placement: [{workerGroup: {tags: [bg]}}]")
    assert (told.severity, told.path, told.help) == ("warning", "placement[0].workerGroup.tags", "did you mean `big`?")


def test_any_tag_may_be_meant_by_a_template_among_those_of_which_one_is_enough() -> None:
    assert warnings(TASK + "workerSelector: {tags: [us, '{{ inputs.x }}'], match: ANY}") == []


def test_nothing_is_said_of_tags_while_no_group_is_declared() -> None:
    assert warnings(TASK + "workerSelector: {tags: [us]}", NONE_DECLARED) == []


def test_a_selector_has_tags_and_at_most_twenty() -> None:
    assert warnings(TASK + "workerSelector: {fallback: WAIT}") == ["workerSelector: a selector without `tags` asks for nothing"]
    assert errors(TASK + "workerSelector: {tags: ['']}", NONE_DECLARED) == ["workerSelector.tags: a tag must not be blank"]
    (said,) = errors(TASK + f"workerSelector: {{tags: [{', '.join(f't{n}' for n in range(21))}]}}", NONE_DECLARED)
    assert "at most 20" in said


# which counts


@pytest.mark.parametrize(
    ("properties", "counts", "not_counting"),
    [
        ("workerGroup: {key: gpu}, workerSelector: {tags: [gpu]}", "workerGroup", "workerSelector"),
        ("workerSelector: {tags: [gpu]}, placement: [{workerGroup: gpu}]", "placement", "workerSelector"),
        ("placement: [{workerGroup: gpu}], workerGroup: {key: gpu}", "placement", "workerGroup"),
    ],
)
@pytest.mark.parametrize(
    "where",
    [
        "tasks: [{{id: t, type: Return, {}}}]",
        "tasks: [{{id: t, type: Return}}]\ntriggers: [{{id: p, type: Poll, {}}}]",
        "tasks: [{{id: t, type: Return}}]\npluginDefaults: [{{type: Return, values: {{{}}}}}]",
    ],
)
def test_only_one_property_may_say_where_work_goes_and_it_is_told_which_would_count(properties: str, counts: str, not_counting: str, where: str) -> None:
    (problem,) = errors_of(found(where.format(properties)))
    assert problem.message == f"`{counts}` and `{not_counting}` both say where work goes, and only `{counts}` would count"
    assert problem.code == "conflicting-properties"


def test_what_asks_for_nothing_conflicts_with_nothing() -> None:
    assert errors("tasks: [{id: t, type: Return, workerGroup: {key: gpu}, placement: null, workerSelector: null}]") == []
    assert errors(TASK + "placement: []\nworkerGroup: {key: gpu}\n") == []


def test_a_forced_default_takes_the_place_of_whatever_the_task_says() -> None:
    default = "pluginDefaults: [{type: Return, forced: true, values: {workerGroup: {key: gpu}}}]\n"
    flow = parse(HEAD + "tasks: [{id: t, type: Return, placement: [{workerGroup: other}]}]\n" + default, resolve=resolve)
    assert (flow.tasks[0].placement, flow.tasks[0].worker_group and flow.tasks[0].worker_group.key) == ((), "gpu")


# chains

DOCKER = "{taskRunner: {type: Docker}}"


@pytest.mark.parametrize(
    ("step", "said"),
    [
        ("{}", "placement[0]: a step names either a `workerGroup` or a `taskRunner`"),
        ("gpu", "placement[0]: must be a map"),
        ("{workerGroup: gpu, taskRunner: {type: Docker}}", "placement[0]: a step names either a `workerGroup` or a `taskRunner`"),
        ("{workerGroup: gpu, wit: PT1S}", 'placement[0].wit: Unrecognized field "wit"'),
        ("{workerGroup: gpu, wait: 5}", "placement[0].wait: `5` is not an ISO-8601 duration such as PT30S or P1DT2H"),
        ("{workerGroup: gpu, wait: soon}", "placement[0].wait: `soon` is not an ISO-8601 duration such as PT30S or P1DT2H"),
        ("{workerGroup: gpu, wait: -PT5S}", "placement[0].wait: must not be negative"),
        ("{workerGroup: {tags: []}}", "placement[0].workerGroup.tags: must not be empty"),
        ("{workerGroup: {tags: [gpu], mtch: ANY}}", 'placement[0].workerGroup.mtch: Unrecognized field "mtch"'),
        ("{workerGroup: {key: gpu, fallback: FAIL}}", 'placement[0].workerGroup.fallback: Unrecognized field "fallback"'),
        ("{taskRunner: {type: Dcker}}", "placement[0].taskRunner.type: Invalid type: Dcker"),
        ("{taskRunner: {type: Docker, imag: x}}", 'placement[0].taskRunner.imag: Unrecognized field "imag"'),
    ],
)
@pytest.mark.parametrize("where", ["", "tasks[0].", "pluginDefaults[0].values."])
def test_a_step_that_cannot_be_taken_is_refused(step: str, said: str, where: str) -> None:
    script = "tasks: [{id: t, type: Log, message: hi}]\n"
    bodies = {
        "": script + f"placement: [{step}]\n",
        "tasks[0].": f"tasks: [{{id: t, type: Log, message: hi, placement: [{step}]}}]\n",
        "pluginDefaults[0].values.": script + f"pluginDefaults: [{{type: Log, values: {{placement: [{step}]}}}}]\n",
    }
    (told,) = errors(bodies[where])
    assert told.removeprefix(where).replace("t: a step", "a step") == said


@pytest.mark.parametrize("wait", ["PT0S", "PT5S", "'{{ inputs.patience }}'"])
def test_a_wait_is_a_duration_or_a_template(wait: str) -> None:
    assert errors(TASK + f"placement: [{{workerGroup: gpu, wait: {wait}}}, {{workerGroup: ''}}]") == []


def test_a_task_runner_is_for_script_tasks_only() -> None:
    (problem,) = errors_of(found(f"tasks: [{{id: t, type: Return, placement: [{{workerGroup: gpu}}, {DOCKER}]}}]"))
    assert problem.summary == "tasks[0].placement[1].taskRunner: a `taskRunner` step is for script tasks only, and Return is none"
    assert problem.code == "script-tasks-only"
    assert errors(f"tasks: [{{id: t, type: Log, message: hi, placement: [{{workerGroup: gpu}}, {DOCKER}]}}]") == []
    assert len(errors(TASK + f"triggers: [{{id: p, type: Poll, placement: [{DOCKER}]}}]")) == 1
    assert len(errors(TASK + f"pluginDefaults: [{{type: Return, values: {{placement: [{DOCKER}]}}}}]")) == 1


def test_a_step_of_the_flow_is_passed_over_by_tasks_that_are_no_scripts() -> None:
    assert warnings(TASK + f"placement: [{DOCKER}, {{workerGroup: gpu}}]") == []


@pytest.mark.parametrize(
    ("body", "path", "names"),
    [
        (f"tasks: [{{id: a, type: Return}}, {{id: b, type: Return, workerGroup: {{key: gpu}}}}]\nplacement: [{DOCKER}]", "placement", "`a`"),
        (
            f"tasks: [{{id: s, type: Sequential, placement: [{DOCKER}], tasks: [{{id: a, type: Return}}, {{id: b, type: Return}}]}}]",
            "tasks[0].placement",
            "`a`, `b`",
        ),
        (f"tasks: [{{id: a, type: Log, message: hi}}]\ntriggers: [{{id: p, type: Poll}}]\nplacement: [{DOCKER}]", "placement", "`p`"),
    ],
)
def test_a_chain_of_task_runners_alone_is_warned_of_where_it_stands_above_tasks_that_are_no_scripts(body: str, path: str, names: str) -> None:
    (told,) = warnings(body)
    assert told.startswith(f"{path}: no step of this chain can take {names}: only script tasks go to task runners")


def test_a_chain_of_task_runners_alone_is_good_above_scripts() -> None:
    assert warnings(f"tasks: [{{id: a, type: Log, message: hi}}]\ntriggers: [{{id: p, type: Schedule, cron: '* * * * *'}}]\nplacement: [{DOCKER}]") == []


def test_a_default_of_a_task_runner_completes_it_in_every_chain() -> None:
    default = "pluginDefaults: [{type: Docker, values: {image: from-default}}]\n"
    script = "tasks: [{id: t, type: Log, message: hi, placement: [{taskRunner: {type: Docker}}]}]\n"
    flow = parse(HEAD + script + f"placement: [{DOCKER}]\n" + default, resolve=resolve)
    completed = {"type": "Docker", "image": "from-default"}
    assert [step.task_runner for step in (*flow.placement, *flow.tasks[0].placement)] == [completed, completed]


# without effect


@pytest.mark.parametrize("name", ["workerGroup: {key: gpu}", "workerSelector: {tags: [gpu]}", "placement: [{workerGroup: gpu}]"])
def test_a_trigger_that_the_server_evaluates_is_told_that_a_place_has_no_effect(name: str) -> None:
    (told,) = warnings(TASK + f"triggers: [{{id: s, type: Schedule, cron: '* * * * *', {name}}}]")
    property_ = name.partition(":")[0]
    assert told == f"triggers[0].{property_}: `{property_}` has no effect on a Schedule trigger: the server evaluates it"
    assert warnings(TASK + f"triggers: [{{id: p, type: Poll, {name}}}]") == []


def test_a_place_given_to_all_plugins_is_no_mistake_at_those_it_does_not_move() -> None:
    body = TASK + "triggers: [{id: s, type: Schedule, cron: '* * * * *'}]\npluginDefaults: [{type: Sch, forced: true, values: {workerGroup: {key: gpu}}}]"
    assert warnings(body) == []


def test_a_default_for_a_type_that_leads_others_is_told_that_it_moves_nothing() -> None:
    sequence = "tasks: [{id: s, type: Sequential, tasks: [{id: t, type: Return}]}]\n"
    (told,) = warnings(sequence + "pluginDefaults: [{type: Sequential, values: {workerGroup: {key: gpu}}}]")
    assert told.endswith("`workerGroup` has no effect on Sequential, which only leads other tasks")
    assert warnings(sequence + "pluginDefaults: [{type: Sequential, forced: true, values: {workerGroup: {key: gpu}}}]") == []


def test_a_queue_timeout_of_a_task_that_leads_others_has_no_effect() -> None:
    (told,) = warnings("tasks: [{id: s, type: Sequential, queueTimeout: PT1S, tasks: [{id: t, type: Return}]}]")
    assert told == "tasks[0].queueTimeout: `queueTimeout` has no effect on a task that only leads others: it waits for no place"


def test_templates_of_places_are_read_when_the_flow_is_saved() -> None:
    assert [d.code for d in found(TASK + "workerGroup: {key: '{{ 1 + }}'}")] == ["bad-expression"]
    assert [d.code for d in found(TASK + "pluginDefaults: [{type: Return, values: {workerGroup: {key: '{{ 1 + }}'}}}]")] == ["bad-expression"]


def test_a_problem_is_shown_with_its_line_a_caret_and_the_nearest_group() -> None:
    text = HEAD + "tasks:\n  - id: train\n    type: Return\n    workerGroup:\n      key: gqu\n"
    diagnostics = check(text, "train.yaml", resolve=resolve, around=Surroundings(groups=GROUPS))[1]
    assert render(diagnostics, text, "train.yaml") == dedent(
        """\
        error[unknown-worker-group]: No worker group 'gqu' is declared
          --> train.yaml:7:12
         7 |       key: gqu
           |            ^^^ help: did you mean `gpu`?
        1 problem in train.yaml · orchestrator explain unknown-worker-group"""
    )
