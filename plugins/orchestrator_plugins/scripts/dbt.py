"""The command line of dbt: its profiles, its own log lines, and what it leaves in `target`."""

from __future__ import annotations

import json
import shlex
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import ClassVar, Literal

from pydantic import Field

from orchestrator.sdk import Dynamic, JobExit, Json, Level, NotFound, PluginModel, RunContext, Text, Warned, text_of
from orchestrator.sdk.folders import inside, is_own_file
from orchestrator_plugins.scripts import languages
from orchestrator_plugins.scripts.desk import Desk
from orchestrator_plugins.scripts.languages import Language
from orchestrator_plugins.scripts.properties import Words, words
from orchestrator_plugins.scripts.script import Commands
from orchestrator_plugins.scripts.speech import Speech, level_of

FUSION_IMAGE = "ghcr.io/kestra-io/dbt-fusion"
MANIFEST, RESULTS = "target/manifest.json", "target/run_results.json"
_STATS = {"pass": "success", "warn": "warn", "error": "error"}


class StoredManifest(PluginModel):
    """Where a manifest is kept among the keys of a namespace."""

    key: Dynamic[Text] = Field(description="The key.")
    namespace: Dynamic[Text] | None = Field(None, description="The namespace of the key; the flow's own when not set.")


class DbtSpeech(Speech):
    """Hears dbt out: a line of its JSON log is its message at its level, and its last tells how many models went how."""

    warned = False

    def plain(self, text: str, *, stderr: bool) -> None:
        event = _event(text)
        if event is None:
            return super().plain(text, stderr=stderr)
        info = event["info"]
        level = level_of(info.get("level"))
        self.warned = self.warned or level is Level.WARN
        if message := str(info.get("msg") or ""):  # it leaves lines empty for people
            self.ctx.logger.log(level, message)
        if info.get("name") == "StatsLine":
            stats = (event.get("data") or {}).get("stats") or {}
            for name, known in _STATS.items():
                self.ctx.metric("counter", f"log.stats.{known}", float(stats.get(name, 0)))


def _event(text: str) -> Mapping[str, Json] | None:
    """A line of dbt's JSON log."""
    if not text.startswith("{"):
        return None
    try:
        found = json.loads(text)
    except ValueError:
        return None
    return found if isinstance(found.get("info"), dict) else None


class DbtCLI(Commands):
    """Run dbt commands."""

    language: ClassVar[Language] = languages.DBT

    commands: Words = Field(
        min_length=1, description="The commands; to those of dbt its project and log format are added.", examples=[["dbt deps", "dbt build"]]
    )
    profiles: Dynamic[Text] | None = Field(None, description="The content of `profiles.yml`, in place of one that is there.")
    project_dir: Dynamic[Text] | None = Field(None, description="The folder of the project within the working directory.", examples=["dbt"])
    parse_run_results: Dynamic[bool] = Field(True, description="Whether `run_results.json` is kept, and its durations become metrics.")
    store_manifest: StoredManifest | None = Field(None, description="Where to keep the manifest of this run.")
    load_manifest: StoredManifest | None = Field(None, description="The manifest of an earlier run to begin with.")
    log_format: Dynamic[Literal["JSON", "TEXT", "DEBUG", "NONE"]] = Field("JSON", description="What dbt is told of its log; NONE: nothing.")
    engine: Dynamic[Literal["CORE", "FUSION"]] = Field("CORE", description="Which dbt the image holds, where none is named.")

    def image(self) -> Dynamic[str]:
        asked = super().image()
        return FUSION_IMAGE if asked is self.language.image and self.engine == "FUSION" else asked

    def own_env(self, ctx: RunContext, desk: Desk) -> Mapping[str, str]:
        profiles = {"DBT_PROFILES_DIR": desk.seen_as} if self.profiles is not None else {}
        return {**super().own_env(ctx, desk), **profiles}

    def lay_out(self, ctx: RunContext, desk: Desk) -> None:
        super().lay_out(ctx, desk)
        profiles = ctx.render(self.profiles)
        if profiles:
            (desk.folder / "profiles.yml").write_text(profiles, encoding="utf-8")
        if self.load_manifest is not None:
            self._load(ctx, self.load_manifest, self._project(ctx) / MANIFEST)

    def _project(self, ctx: RunContext) -> Path:
        folder = ctx.render(self.project_dir)
        return inside(ctx.working_dir(), folder) if folder else ctx.working_dir()

    def _load(self, ctx: RunContext, stored: StoredManifest, path: Path) -> None:
        try:
            manifest = ctx.keys.get(ctx.render(stored.namespace) or ctx.info.namespace, ctx.render(stored.key))
        except NotFound:
            return ctx.logger.warn("`loadManifest` names a key that is not there: dbt begins without a manifest")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text_of(manifest), encoding="utf-8")

    def lines(self, ctx: RunContext) -> Sequence[str]:
        return [self._added(ctx, command) if command.startswith("dbt") else command for command in words(ctx, self.commands)]

    def _added(self, ctx: RunContext, command: str) -> str:
        project, log_format = ctx.render(self.project_dir), ctx.render(self.log_format)
        if project and "--project-dir" not in command:
            command += f" --project-dir {shlex.quote(project)}"
        if log_format != "NONE" and "--log-format" not in command:
            command += f" --log-format {log_format.lower()}"
        return command

    def hearing(self, ctx: RunContext) -> Speech:
        return DbtSpeech(ctx)

    def brought_back(self, ctx: RunContext) -> Sequence[str]:
        project = ctx.render(self.project_dir)
        return (*super().brought_back(ctx), *(f"{project}/{name}" if project else name for name in (MANIFEST, RESULTS)))

    def result(self, ctx: RunContext, ended: JobExit, said: Speech, files: Mapping[str, str]) -> Mapping[str, Json]:
        outputs = super().result(ctx, ended, said, {**files, **self._kept(ctx)})
        if isinstance(said, DbtSpeech) and said.warned:
            raise Warned(None, outputs)
        return outputs

    def _kept(self, ctx: RunContext) -> dict[str, str]:
        """Store what dbt has left, whether it failed or not."""
        project, found = self._project(ctx), dict[str, str]()
        manifest, results = project / MANIFEST, project / RESULTS
        if is_own_file(project, manifest):
            found["manifest.json"] = ctx.files.put(manifest, manifest.name)
            if self.store_manifest is not None:
                namespace = ctx.render(self.store_manifest.namespace) or ctx.info.namespace
                ctx.keys.put(namespace, ctx.render(self.store_manifest.key), json.loads(manifest.read_text()))
        if ctx.render(self.parse_run_results) and is_own_file(project, results):
            found["run_results.json"] = ctx.files.put(results, results.name)
            _measure(ctx, results)
        return found


def _measure(ctx: RunContext, results: Path) -> None:
    """How many nodes went how, and how long each took."""
    try:
        nodes = json.loads(results.read_text())["results"]
        for status, count in Counter(str(node["status"]) for node in nodes).items():
            ctx.metric("counter", "dbt.nodes", count, {"status": status})
        for node in nodes:
            ctx.metric("timer", "dbt.duration", float(node["execution_time"]), {"node": str(node["unique_id"]), "status": str(node["status"])})
    except (ValueError, KeyError, TypeError) as err:
        ctx.logger.warn(f"{results.name} cannot be read: {err}")
