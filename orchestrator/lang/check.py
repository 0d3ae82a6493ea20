"""A flow's source against everything it must be: all problems at once, each with its place."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import ValidationError

from orchestrator import registry
from orchestrator.lang import declarations, defaults, kestra
from orchestrator.lang.complaints import complaints, unknown_property
from orchestrator.lang.diagnostics import Diagnostic, errors_of
from orchestrator.lang.findings import Findings
from orchestrator.lang.holders import PLACE_PROPERTIES, Holder
from orchestrator.lang.names import FLOW_ID, FLOW_ID_PATTERN, MAX_FLOW_ID, MAX_NAMESPACE, NAMESPACE, NAMESPACE_PATTERN
from orchestrator.lang.places import Places
from orchestrator.lang.shape import properties
from orchestrator.lang.source import read
from orchestrator.lang.specs import Resolve, Specs, TemplateProblem, duplicates
from orchestrator.model.flow import PLACING, Flow, PlacementChain, WorkerGroupRef, WorkerSelector
from orchestrator.model.surroundings import NOTHING_KNOWN, KnownGroups, Surroundings
from orchestrator.model.values import Json
from orchestrator.sdk import PluginModel

SECTIONS = ("tasks", "errors", "finally", "afterExecution")  # lists of tasks
CHECKED_APART = (*SECTIONS, "triggers", "listeners", "inputs", "outputs", "labels", "id", "namespace", "pluginDefaults")
ACCEPTED = ("revision", "taskDefaults", "tenantId")  # beside what a Flow holds


def check(
    source: str,
    filename: str | None = None,
    *,
    revision: int = 1,
    resolve: Resolve = registry.load,
    template_problem: TemplateProblem | None = None,
    around: Surroundings = NOTHING_KNOWN,
    dialect: Literal["own", "kestra"] = "own",
) -> tuple[Flow | None, tuple[Diagnostic, ...]]:
    """The flow behind a source, or None when something is wrong; with it every diagnostic, warnings too, in the order of the text.

    `around` is what is known of worker groups, and the plugin defaults of namespaces and the server. The dialect `kestra`
    has none of our additions.
    """
    text = read(source)
    findings = Findings(text, filename)
    for problem in text.problems:
        findings.add(problem.code, problem.message, problem.path, help=problem.help, mark=problem.mark)
    if not isinstance(text.value, dict):
        if not text.problems:
            findings.add("bad-yaml", "Illegal flow yaml: a flow is a map with `id`, `namespace` and `tasks`")
        return None, findings.all()
    document = _Document(findings, text.value, resolve, template_problem or _template_problem, around)
    flow = document.flow(revision)
    if dialect == "kestra":
        kestra.lint(findings, document.places)
    found = findings.all()
    return (None if errors_of(found) else flow), found


def check_plugin(
    value: Json,
    kind: str = "task",
    *,
    resolve: Resolve = registry.load,
    template_problem: TemplateProblem | None = None,
    groups: KnownGroups = NOTHING_KNOWN.groups,
) -> tuple[Diagnostic, ...]:
    """The problems of a single task or trigger given as YAML text or as JSON."""
    text = read(value) if isinstance(value, str) else None
    findings = Findings(text)
    for problem in text.problems if text else ():
        findings.add(problem.code, problem.message, problem.path, help=problem.help, mark=problem.mark)
    if not (text and text.problems):
        spec = text.value if text else value
        places = Places(findings, spec, groups, "", resolve)
        specs = Specs(findings, resolve, template_problem or _template_problem, places)
        specs.spec(kind, spec, ())
        specs.duplicates()
        places.check(specs.runner)
    return findings.all()


class _Placed(PluginModel):
    """What a plugin default may say of where work goes."""

    worker_group: WorkerGroupRef | None = None
    worker_selector: WorkerSelector | None = None
    placement: PlacementChain = ()
    queue_timeout: str | None = None


class _Document:
    """One flow document, checked section by section."""

    def __init__(self, findings: Findings, document: dict[str, Json], resolve: Resolve, template_problem: TemplateProblem, around: Surroundings) -> None:
        self.findings = findings
        self.document = document
        self.resolve = resolve
        self.around = around
        self.namespace = str(document.get("namespace"))
        self.places = Places(findings, document, around.groups, self.namespace, resolve)
        self.specs = Specs(findings, resolve, template_problem, self.places, (self.namespace, str(document.get("id"))))

    def flow(self, revision: int) -> Flow | None:
        self._names()
        self._defaults()
        self._tasks()
        self._triggers()
        document, findings = self.document, self.findings
        declarations.inputs(findings, document.get("inputs"), ("inputs",))
        declarations.outputs(findings, document.get("outputs"), ("outputs",))
        declarations.labels(findings, document.get("labels"), ("labels",))
        for at, sla in enumerate(document["sla"] if isinstance(document.get("sla"), list) else []):
            declarations.labels(findings, sla.get("labels") if isinstance(sla, dict) else None, ("sla", at, "labels"))
        for name in ("inputs", "outputs", "variables", "sla", *PLACING):
            self.specs.templates(document.get(name), (name,))
        return self._model(revision)

    def _names(self) -> None:
        self._name("id", FLOW_ID, FLOW_ID_PATTERN, MAX_FLOW_ID)
        self._name("namespace", NAMESPACE, NAMESPACE_PATTERN, MAX_NAMESPACE)
        known = (*(n for n in properties(Flow)), *ACCEPTED)
        for name in self.document:
            if name not in known:
                found = unknown_property((name,), None, known)
                self.findings.add(found.code, found.message, found.path, help=found.help, key=True)

    def _name(self, name: str, pattern: Any, shown: str, longest: int) -> None:
        value = self.document.get(name)
        if isinstance(value, bool | int | float):
            value = self.document[name] = self.findings.as_written((name,), value)
        if value is None:
            self.findings.add("missing-property", "must not be null", (name,), help=f"add `{name}:`")
        elif not isinstance(value, str) or not pattern.fullmatch(value):
            self.findings.add("invalid-value", f'must match "{shown}"', (name,))
        elif len(value) > longest:
            self.findings.add("invalid-value", f"must be at most {longest} characters long", (name,))

    def _defaults(self) -> None:
        older = self.document.get("taskDefaults")
        if older is not None and self.document.get("pluginDefaults") is not None:
            self.findings.add(
                "conflicting-properties", "`taskDefaults` and `pluginDefaults` are the same property", ("taskDefaults",), key=True, help="keep `pluginDefaults`"
            )
        for name in ("pluginDefaults", "taskDefaults"):
            for holder in defaults.check(self.findings, self.document.get(name), (name,), self.resolve):
                self._default_place(holder)
        self.document = defaults.merge(self.document, self.resolve, self.around.defaults_in(self.namespace))
        if older is not None:
            self.document = {"pluginDefaults": older, **{k: v for k, v in self.document.items() if k != "taskDefaults"}}

    def _default_place(self, holder: Holder) -> None:
        """Where a default sends work is read by the engine as it stands here, not merged into tasks: it is checked here."""
        said = {name: value for name, value in holder.raw.items() if name in PLACE_PROPERTIES}
        self.specs.model(_Placed, said, holder.path)
        self.specs.strict_parts(_Placed, said, holder.path)
        self.specs.templates(said, holder.path)
        self.places.meet(holder)

    def _tasks(self) -> None:
        if not self.document.get("tasks"):
            self.findings.add("empty", "must not be empty", ("tasks",), help="a flow has at least one task")
        for name in SECTIONS:
            self.specs.tasks(self.document.get(name), (name,))
        listeners = self.document.get("listeners")
        for at, listener in enumerate(listeners if isinstance(listeners, list) else []):
            if isinstance(listener, dict):
                if not listener.get("tasks"):
                    self.findings.add("empty", "must not be empty", ("listeners", at, "tasks"))
                self.specs.tasks(listener.get("tasks"), ("listeners", at, "tasks"))
                self.specs.conditions(listener.get("conditions"), ("listeners", at, "conditions"))
        self.specs.duplicates()

    def _triggers(self) -> None:
        triggers = self.document.get("triggers")
        if triggers is not None and not isinstance(triggers, list):
            self.findings.add("wrong-type", "must be a list of triggers", ("triggers",))
            return
        for at, trigger in enumerate(triggers or ()):
            self.specs.spec("trigger", trigger, ("triggers", at))
        ids = [(str(t["id"]), ("triggers", at, "id")) for at, t in enumerate(triggers or ()) if isinstance(t, dict) and t.get("id") is not None]
        duplicates(self.findings, "trigger", ids)

    def _model(self, revision: int) -> Flow | None:
        """The Flow itself; what it refuses and nothing has noted yet is noted."""
        rest = {k: v for k, v in self.document.items() if k not in CHECKED_APART}
        self.specs.model(Flow, {**rest, "id": "x", "namespace": "x", "tasks": []}, ())
        self.specs.strict_parts(Flow, self.document, ())
        self.places.meet(Holder("flow", self.document))
        self.places.check(self.specs.runner)
        if errors_of(self.findings.all()):
            return None
        try:
            return Flow.model_validate({**self.document, "revision": revision})
        except ValidationError as error:
            for found in complaints(error, self.document, Flow):
                self.findings.add(found.code, found.message, found.path, help=found.help, key=found.at_key)
            return None


def _template_problem(text: str) -> str | None:
    from orchestrator.lang.expressions import problem_of  # the language is loaded when a template is met

    return problem_of(text)
