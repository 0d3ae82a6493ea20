"""Following a job's main log, page by page."""

from __future__ import annotations

import time
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING

from orchestrator.sdk import LogSink, OrchestratorError, RunnerUnavailable
from orchestrator_plugins.aws.definition import GROUP, INPUTS_NAME, OUTPUTS_NAME
from orchestrator_plugins.aws.detail import Container, Detail
from orchestrator_plugins.aws.records import Records

if TYPE_CHECKING:
    from orchestrator_plugins.aws.client import LogsClient

LAST_WORDS = 500  # characters of what a failed sidecar said
PAUSE = 0.2  # seconds between looks for late lines
PATIENCE = 120.0  # seconds that the logs of an ended job may be out of reach


class Reading:
    """One reading of a log from its first event, with the token of the page that comes next."""

    def __init__(self, client: LogsClient, logs: LogSink) -> None:
        self._client = client
        self.records = Records(logs)
        self._token: str | None = None

    def on(self, stream: str | None) -> None:
        """Read what has come. A service that does not answer is asked again the next time."""
        try:
            self._pages(stream)
        except RunnerUnavailable:
            return

    def _pages(self, stream: str | None) -> None:
        while stream is not None and not self.records.complete:
            events, token = self._client.page(GROUP, stream, self._token)
            self.records.take(events)
            if token == self._token or token is None:
                return
            self._token = token

    def to_the_end(self, stream: str | None, seconds: float) -> None:
        """Read until the last record has come, or for want of it so long. Raises RunnerUnavailable when the log stays out of reach."""
        begun = time.monotonic()
        while stream is not None and not self.records.complete:
            try:
                self._pages(stream)
                if time.monotonic() - begun > seconds:
                    break
            except RunnerUnavailable:
                if time.monotonic() - begun > PATIENCE:
                    raise
            if not self.records.complete:
                time.sleep(PAUSE)
        self.records.end()


def explained(client: LogsClient, job: Detail) -> Detail:
    """The job with the last words of a file sidecar that failed as its reason: the service tells its exit code alone."""
    told = {name: replace(one, reason=_last_words(client, one) or one.reason) for name, one in job.containers.items() if _failed(name, one)}
    return replace(job, containers={**job.containers, **told}) if told else job


def _failed(name: str, one: Container) -> bool:
    return name in (INPUTS_NAME, OUTPUTS_NAME) and one.exit_code not in (None, 0) and one.stream is not None


def _last_words(client: LogsClient, one: Container) -> str:
    with suppress(OrchestratorError):
        events, _ = client.page(GROUP, str(one.stream), None)
        return " ".join(str(event["message"]) for event in events)[-LAST_WORDS:]
    return ""
