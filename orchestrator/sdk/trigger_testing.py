"""The contract suites of triggers: subclass `LookingContract` or `ListeningContract`, give it a trigger, and every promise of `sdk.trigger` is tried.

    class TestMailbox(LookingContract):
        @pytest.fixture
        def trigger(self): return Mailbox(id="t", type="com.acme.Mailbox", host=..., interval="PT1S")

        def bring(self): send_a_mail()

Needs pytest. The runners' suite is in `sdk.testing`, fakes to run single plugins with in `sdk.fakes`.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TypeVar

import pytest

from orchestrator.model.values import Json
from orchestrator.sdk.fakes import FakeContext
from orchestrator.sdk.trigger import PollingTrigger, RealtimeTrigger, Trigger

HEARD = 1.0  # seconds in which what was told to stop must have ended, where a child process does not end it
SOON = 20.0  # seconds that a wait for something certain may take on a busy machine
T = TypeVar("T", bound=Trigger)


def again(trigger: T) -> T:
    """A fresh instance with the same properties, as another process would build it."""
    return type(trigger).model_validate(trigger.model_dump(exclude_unset=True, by_alias=True))


class Apart(threading.Thread):
    """A look, or listening, on a thread of its own; what it raised is kept."""

    def __init__(self, work: Callable[[], object]) -> None:
        super().__init__(daemon=True)
        self._work, self.raised = work, list[BaseException]()
        self.start()

    def run(self) -> None:
        try:
            self._work()
        except BaseException as err:
            self.raised.append(err)

    def ends_within(self, seconds: float) -> bool:
        self.join(seconds)
        return not self.is_alive()


class LookingContract:
    """What every polling trigger keeps. Override `trigger` and `bring`, `hang` where a look may have to wait."""

    @pytest.fixture
    def trigger(self) -> PollingTrigger:
        """The trigger to try; there is nothing new for it yet."""
        raise NotImplementedError("override the fixture `trigger`")

    def bring(self) -> None:
        """Let there be something new."""
        raise NotImplementedError("override `bring`")

    def hang(self) -> bool:
        """Let the next look wait for an answer that does not come; False where it cannot."""
        return False

    @pytest.fixture
    def ctx(self, tmp_path: Path) -> FakeContext:
        return FakeContext(tmp_path)

    def test_a_look_at_nothing_new_gives_none_and_keeps_nothing(self, trigger: PollingTrigger, ctx: FakeContext) -> None:
        assert [trigger.evaluate(ctx), again(trigger).evaluate(ctx)] == [None, None]

    def test_what_is_new_is_told_as_json(self, trigger: PollingTrigger, ctx: FakeContext) -> None:
        self.bring()
        found = trigger.evaluate(ctx)
        assert found is not None
        assert json.loads(json.dumps(found)) == found

    def test_what_is_new_after_a_look_at_nothing_is_found(self, trigger: PollingTrigger, ctx: FakeContext) -> None:
        trigger.evaluate(ctx)
        self.bring()
        assert again(trigger).evaluate(ctx) is not None

    def test_a_look_that_is_told_to_stop_ends(self, trigger: PollingTrigger, ctx: FakeContext) -> None:
        if getattr(trigger, "isolated", False) or not self.hang():
            pytest.skip("a look of it does not wait, or has a child process that is killed")
        look = Apart(lambda: trigger.evaluate(ctx))
        assert not look.ends_within(0.3)
        ctx.stop()
        assert look.ends_within(HEARD)


class ListeningContract:
    """What every realtime trigger keeps. Override `trigger` and `send`."""

    @pytest.fixture
    def trigger(self) -> RealtimeTrigger:
        """The trigger to try; nothing was sent to it yet."""
        raise NotImplementedError("override the fixture `trigger`")

    def send(self, number: int) -> None:
        """Send it a message that tells its number somehow."""
        raise NotImplementedError("override `send`")

    def number_of(self, variables: Mapping[str, Json]) -> int:
        """The number in what was emitted for a message."""
        raise NotImplementedError("override `number_of`")

    @pytest.fixture
    def ctx(self, tmp_path: Path) -> FakeContext:
        return FakeContext(tmp_path)

    def _heard(self, trigger: RealtimeTrigger, ctx: FakeContext, *, until: int, refuse: Callable[[int], bool] = lambda number: False) -> Sequence[int]:
        """The numbers emitted and taken until there are so many, or one was refused."""
        taken, change = list[int](), threading.Event()

        def emit(variables: Mapping[str, Json]) -> None:
            number = self.number_of(json.loads(json.dumps(variables)))
            if refuse(number):
                change.set()
                raise ConnectionError("it was not saved")
            taken.append(number)
            if len(taken) >= until:
                change.set()

        listening = Apart(lambda: trigger.listen(ctx, emit))
        assert change.wait(SOON), f"only {taken} came"
        ctx.stop()
        assert listening.ends_within(HEARD if not getattr(trigger, "isolated", False) else SOON)
        return taken

    def test_every_message_is_emitted_once_and_it_ends_when_it_is_told_to(self, trigger: RealtimeTrigger, ctx: FakeContext) -> None:
        for number in range(5):
            self.send(number)
        assert sorted(self._heard(trigger, ctx, until=5)) == [0, 1, 2, 3, 4]

    def test_what_comes_while_it_listens_is_emitted(self, trigger: RealtimeTrigger, ctx: FakeContext) -> None:
        threading.Timer(0.3, lambda: self.send(7)).start()
        assert self._heard(trigger, ctx, until=1) == [7]

    def test_a_message_that_was_not_saved_comes_again(self, trigger: RealtimeTrigger, ctx: FakeContext, tmp_path: Path) -> None:
        for number in range(3):
            self.send(number)
        first = self._heard(trigger, ctx, until=3, refuse=lambda number: number == 1)
        second = self._heard(again(trigger), FakeContext(tmp_path / "again"), until=3 - len(first))
        assert sorted({*first, *second}) == [0, 1, 2]

    def test_it_listens_for_as_long_as_it_is_let(self, trigger: RealtimeTrigger, ctx: FakeContext) -> None:
        listening = Apart(lambda: trigger.listen(ctx, lambda variables: None))
        began = time.monotonic()
        assert not listening.ends_within(0.5), listening.raised or "it returned by itself"
        ctx.stop()
        assert listening.ends_within(SOON)
        assert time.monotonic() - began < SOON
