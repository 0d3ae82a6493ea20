"""Files reach a job and come back, whatever their names, and none from outside the working directory."""

from __future__ import annotations

from pathlib import Path

import pytest

from orchestrator.sdk.fakes import FakeTools
from orchestrator.sdk.runner import TaskRunner
from orchestrator.sdk.runner_contract.site import Finish, MakeJob, RunnerSite

ODD_NAMES = ("-n", "a b", "it's", 'say "x"', "dollar$HOME", "back\\slash", "ä ö ü", "日本", "[x]", "star*", "#1", "%41", "x" * 200, "tab\tand\nline", ".hidden")


class FilesContract(RunnerSite):
    """The working directory on its way out and back."""

    def test_the_command_starts_in_the_working_directory(self, runner: TaskRunner, job: MakeJob, finish: Finish) -> None:
        made = job("pwd -P; cat given.txt")
        Path(made.working_dir, "given.txt").write_text("given")
        assert finish(made)[1].texts == [runner.working_dir(made.key, made.working_dir), "given"]

    def test_declared_files_come_back(self, job: MakeJob, finish: Finish) -> None:
        text = 'mkdir -p out/deep "odd dir"; echo 1 > out/deep/a; echo 2 > top.txt; echo 3 > "odd dir/ä ö.txt"; echo 4 > od/n; chmod +x top.txt'
        made = job(text, output_files=("out/**", "*.txt", "odd dir/ä ö.txt", "missing"), output_dir="od")
        Path(made.working_dir, "od").mkdir()
        finish(made)
        folder = Path(made.working_dir)
        assert [(folder / name).read_text() for name in ("out/deep/a", "top.txt", "odd dir/ä ö.txt", "od/n")] == ["1\n", "2\n", "3\n", "4\n"]
        assert (folder / "top.txt").stat().st_mode & 0o100

    def test_files_of_a_failed_command_come_back(self, job: MakeJob, finish: Finish) -> None:
        made = job("echo kept > report.txt; exit 2", output_files=("report.txt",))
        assert finish(made)[0].code == 2
        assert Path(made.working_dir, "report.txt").read_text() == "kept\n"

    def test_input_files_keep_modes_and_odd_names(self, job: MakeJob, finish: Finish) -> None:
        long = "x" * 120 + " ü.sh"
        made = job(f'"./{long}"; test -d empty && echo folder')
        folder = Path(made.working_dir)
        (folder / "empty").mkdir()
        (folder / long).write_text("#!/bin/sh\necho ran\n")
        (folder / long).chmod(0o755)
        assert finish(made)[1].texts == ["ran", "folder"]

    def test_files_of_any_name_go_and_come_back(self, job: MakeJob, finish: Finish) -> None:
        made = job('mkdir out; for file in given/* given/.hidden; do cp "$file" out/; done', output_files=("out/**",))
        folder = Path(made.working_dir)
        (folder / "given").mkdir()
        for at, name in enumerate(ODD_NAMES):
            (folder / "given" / name).write_text(str(at))
        assert finish(made)[0].code == 0
        assert {path.name: path.read_text() for path in (folder / "out").iterdir()} == {name: str(at) for at, name in enumerate(ODD_NAMES)}

    def test_a_big_file_comes_back_whole(self, job: MakeJob, finish: Finish) -> None:
        size = self.big_file_mib << 20
        made = job(f"head -c {size} /dev/zero > big.bin; printf end >> big.bin", output_files=("big.bin",))
        assert finish(made)[0].code == 0
        with Path(made.working_dir, "big.bin").open("rb") as file:
            file.seek(size)
            assert file.read() == b"end"

    def test_runs_in_a_row_may_share_a_working_directory(self, job: MakeJob, finish: Finish) -> None:
        said = []
        for number in range(3):
            made = job(f"cat so-far.txt 2>/dev/null; echo {number} >> so-far.txt", output_files=("so-far.txt",))
            said.append(finish(made)[1].texts)
        assert said == [[], ["0"], ["0", "1"]]
        assert Path(made.working_dir, "so-far.txt").read_text() == "0\n1\n2\n"

    def test_no_link_leads_out_of_the_folder(self, job: MakeJob, finish: Finish, tmp_path: Path) -> None:
        (tmp_path / "outside").mkdir()
        made = job(f"ln -s {tmp_path}/outside gone; echo x > gone/planted 2>/dev/null; ln -s /etc/hostname name.txt; true", output_files=("**",))
        finish(made)
        brought = [path for path in Path(made.working_dir).rglob("*") if path.is_file() and not path.is_symlink()]
        assert brought == []

    def test_an_image_whose_user_is_not_root_reads_and_writes_files(self, job: MakeJob, finish: Finish, unprivileged_image: str | None) -> None:
        if unprivileged_image is None:
            pytest.skip("this runner uses no images")
        text = "id -u; cat in/given.txt; echo more >> in/given.txt; cp in/given.txt out.txt; echo 1 > od/x"
        made = job(text, image=unprivileged_image, output_files=("out.txt",), output_dir="od")
        folder = Path(made.working_dir)
        (folder / "in").mkdir()
        (folder / "od").mkdir()
        (folder / "in/given.txt").write_text("given\n")
        (folder / "in/given.txt").chmod(0o600)
        ended, heard = finish(made)
        assert (ended.code, heard.texts[1:]) == (0, ["given"])
        assert heard.texts[0] != "0"
        assert [(folder / name).read_text() for name in ("out.txt", "od/x")] == ["given\nmore\n", "1\n"]

    def test_a_folder_for_outputs_is_there_when_the_command_starts(self, job: MakeJob, finish: Finish, tools: FakeTools) -> None:
        made = job("mkdir od/nested; echo 1 > od/nested/file.txt", output_dir="od")
        Path(made.working_dir, "od").mkdir()
        assert finish(made)[0].code == 0
        assert Path(made.working_dir, "od/nested/file.txt").read_text() == "1\n"
