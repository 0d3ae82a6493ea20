"""What a job says reaches us: its exit code and every line, whatever the bytes."""

from __future__ import annotations

import pytest

from orchestrator.sdk.fakes import FakeTools
from orchestrator.sdk.runner import TaskRunner
from orchestrator.sdk.runner_contract.site import NOW, SOON, Finish, MakeJob, RunnerSite, Waiting


class SpeechContract(RunnerSite):
    """Exit codes and lines."""

    def test_the_exit_code_is_the_commands_own(self, job: MakeJob, finish: Finish) -> None:
        assert [finish(job(f"exit {code}"))[0].code for code in self.exit_codes] == list(self.exit_codes)

    def test_a_signal_is_128_and_its_number(self, job: MakeJob, finish: Finish) -> None:
        codes = [finish(job(f"sh -c 'kill -{number} $$'; exit $?"))[0].code for number in self.signals]
        assert codes == [128 + number for number in self.signals], dict(zip(self.signals, codes, strict=True))

    def test_lines_of_both_streams_arrive(self, job: MakeJob, finish: Finish) -> None:
        heard = finish(job("echo out; echo err >&2; echo; echo end"))[1]
        assert sorted(heard.lines) == [("", False), ("end", False), ("err", True), ("out", False)]
        assert heard.offsets == [0, 1, 2, 3]

    @pytest.mark.parametrize("stream", ["1", "2"])
    def test_an_unterminated_last_line_arrives(self, job: MakeJob, finish: Finish, stream: str) -> None:
        assert finish(job(f"printf 'first\\nlast' >&{stream}"))[1].texts == ["first", "last"]

    def test_odd_bytes_and_line_ends_arrive(self, job: MakeJob, finish: Finish) -> None:
        assert finish(job(r"printf 'a\rb\r\n\303\244\n\377\n'"))[1].texts == ["a", "b", "ä", "\ufffd"]

    def test_a_character_that_is_cut_by_a_pause_arrives_whole(self, job: MakeJob, finish: Finish) -> None:
        assert finish(job(r"printf 'x\303'; sleep 0.3; printf '\244y\n'"))[1].texts == ["xäy"]

    def test_long_lines_arrive_whole(self, job: MakeJob, finish: Finish) -> None:
        heard = finish(job(f"head -c {self.long_line} /dev/zero | tr '\\0' x; echo; echo end"))[1]
        assert [len(text) for text in heard.texts] == [self.long_line, 3]
        assert set(heard.texts[0]) == {"x"}

    def test_many_lines_arrive_once_and_in_order(self, job: MakeJob, finish: Finish) -> None:
        heard = finish(job(f"seq 1 {self.many_lines}"))[1]
        assert len(heard.texts) == self.many_lines
        assert heard.texts == [str(number) for number in range(1, self.many_lines + 1)]
        assert heard.offsets == list(range(self.many_lines))

    def test_lines_are_heard_while_the_job_runs(self, runner: TaskRunner, tools: FakeTools, job: MakeJob) -> None:
        made = job("echo early; sleep 600")
        handle = runner.start(made, runner.prepare(made), tools)
        waiting = Waiting(runner, handle)
        assert waiting.heard.some.wait(SOON)
        still_running = waiting.is_alive()
        runner.stop(handle, NOW)
        waiting.exit()
        runner.remove(handle)
        assert (still_running, waiting.heard.texts) == (True, ["early"])

    def test_the_command_sees_its_env(self, job: MakeJob, finish: Finish) -> None:
        env = {"PLAIN": "x", "ODD": 'a "b" $c\n=ä'}
        assert finish(job('printf "%s|%s" "$PLAIN" "$ODD"', env=env))[1].texts == ['x|a "b" $c', "=ä"]

    def test_the_handle_holds_no_env(self, runner: TaskRunner, tools: FakeTools, job: MakeJob) -> None:
        made = job("echo $TOKEN", env={"TOKEN": "s3cret"}, secrets=("s3cret",))
        prepared = runner.prepare(made)
        started = runner.start(made, prepared, tools)
        waiting = Waiting(runner, started)
        assert waiting.exit().code == 0
        runner.remove(started)
        assert waiting.heard.texts == ["s3cret"]  # it is masked by who keeps the log
        assert "s3cret" not in prepared.model_dump_json() + started.model_dump_json() + waiting.exit().model_dump_json()
