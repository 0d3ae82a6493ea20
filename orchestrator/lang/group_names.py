"""The names by which a flow asks for worker groups, held against those there are."""

from __future__ import annotations

from collections.abc import Mapping

from orchestrator.lang.findings import Findings, did_you_mean
from orchestrator.lang.source import Path
from orchestrator.model.surroundings import KnownGroups
from orchestrator.model.values import Json
from orchestrator.model.worker_group import GROUP_KEY_PATTERN, is_group_key
from orchestrator.sdk import is_template


class GroupNames:
    """Checks the keys and tags written in flows of one namespace ("": unknown). Templates are known only when they are rendered."""

    def __init__(self, findings: Findings, groups: KnownGroups, namespace: str) -> None:
        self._findings, self._groups, self._namespace = findings, groups, namespace

    def key(self, key: Json, path: Path) -> None:
        """A constant key is well-formed, known, and open to the namespace; blank is the default group."""
        if not isinstance(key, str) or is_template(key):
            return
        key = key.strip()
        if key and not is_group_key(key):
            self._findings.add("invalid-value", f'must match "{GROUP_KEY_PATTERN}"', path, help="the key of a worker group, or a {{ template }} of one")
        elif not self._groups.knows(key):
            self._findings.add("unknown-worker-group", f"No worker group '{key}' is declared", path, help=self._advice(key))
        elif self._namespace and not self._groups.allows(key, self._namespace):
            shown = f"Worker group '{key}'" if key else "The default worker group"
            kept = ", ".join(self._groups.allowed_in(key))
            self._findings.add("group-not-allowed", f"{shown} takes no work of namespace {self._namespace}", path, help=f"it is kept for {kept}")

    def _advice(self, key: str) -> str:
        near = self._groups.nearest(key)
        return f"did you mean `{near}`?" if near else f"declared: {', '.join(sorted(filter(None, self._groups.declared)))}"

    def tags(self, selector: Mapping[str, Json], path: Path) -> None:
        """Warns where no group there is could be meant. Labels come and go with workers, so it may well be meant later."""
        tags, match = selector.get("tags"), selector.get("match", "ALL")
        if not tags:
            self._findings.add("no-effect", "a selector without `tags` asks for nothing", path, severity="warning")
        if not isinstance(tags, list):
            return
        if any(isinstance(tag, str) and not tag.strip() for tag in tags):
            self._findings.add("invalid-value", "a tag must not be blank", (*path, "tags"))
        sure = frozenset(tag.strip() for tag in tags if isinstance(tag, str) and not is_template(tag))
        has_more = any(is_template(tag) for tag in tags)
        if self._groups.are_declared and sure and not (match == "ANY" and has_more):
            self._matching(sure, "ANY" if match == "ANY" else "ALL", (*path, "tags"))

    def _matching(self, tags: frozenset[str], match: str, path: Path) -> None:
        found = self._groups.matching(tags, "ANY" if match == "ANY" else "ALL")
        words = f"{'any' if match == 'ANY' else 'all'} of {', '.join(sorted(tags))}"
        if not found:
            known = sorted(frozenset[str]().union(*self._groups.tags().values()))
            near = next((advice for tag in sorted(tags - {*known}) if (advice := did_you_mean(tag, known))), None)
            self._findings.add("no-such-group", f"no worker group has {words}", path, help=near, severity="warning")
        elif self._namespace and not any(self._groups.allows(key, self._namespace) for key in found):
            said = f"no worker group with {words} takes work of namespace {self._namespace}"
            self._findings.add("group-not-allowed", said, path, severity="warning")
