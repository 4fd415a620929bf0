"""One writer to a run at a time: real processes, and a real kill -9."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from bad_data_for_tests import clean_folder
from PIL import Image
from runs_for_tests import make_run
from test_check import state

from pocket.presentation.i18n import translator
from pocket.runs import open_run
from pocket.runs.errors import ToldError
from pocket.runs.lock import BusyError, UnwritableError, for_children, writing
from pocket.runs.verification import verify_run

_HOLD = """
import time
from pocket.runs.lock import writing
from pocket.runs.paths import run_dir
with writing(run_dir("mine")):
    print("held", flush=True)
    time.sleep(120)
"""
_LOG = """
import sys, time
from pocket.runs import open_run
from pocket.runs.lock import BusyError
left = 25
while left:
    try:
        open_run("mine").log("wrote", by=sys.argv[1])
        left -= 1
    except BusyError:
        pass
    time.sleep(0.01)
"""
_ONE_LINE = "from pocket.runs import open_run; open_run('mine').log('from a child')"


@contextmanager
def holder() -> Iterator[subprocess.Popen[str]]:
    """Another process that writes to the run ``mine`` for as long as this lasts."""
    process = subprocess.Popen([sys.executable, "-c", _HOLD], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        assert process.stdout.readline() == "held\n"
        yield process
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


def pocket(*words: object) -> subprocess.CompletedProcess[str]:
    call = [sys.executable, "-m", "pocket", *map(str, words)]
    return subprocess.run(call, capture_output=True, text=True, encoding="utf-8", timeout=120)


def refusal(error: ToldError) -> str:
    """What an error says in Japanese; what it says by itself is the English text."""
    assert str(error) == translator("en")(error.key, **error.values)
    return translator("ja")(error.key, **error.values)


def test_a_second_writer_is_refused_at_once_and_readers_are_not(home: Path) -> None:
    run = make_run("mine")
    before = state(run.folder)
    with holder():
        started = time.monotonic()
        for write in (lambda: run.log("wrote"), lambda: run.save(run.record, "copy.json")):
            with pytest.raises(
                BusyError, match=r"run 'mine' in .*wait until it ends, stop it, or take another"
            ) as busy:
                write()
            assert "終了を待つか" in refusal(busy.value)
        assert open_run("mine").record == run.record, "who only reads it need not wait"
        with pytest.raises(ToldError, match=r"made with bits=32, not 64; take another name") as made:
            open_run("mine", bits=64)
        assert "bits=32 で作成されたもので、指定の 64 とは異なります" in refusal(made.value)
        assert time.monotonic() - started < 20
        read = pocket("audit", "verify", "mine")
        assert read.returncode == 0, read.stderr
        assert "not logged" not in read.stdout
        assert open_run("another").log("a run of another name is free") is None
    assert state(run.folder) == before
    assert open_run("mine").log("free again") is None


def test_a_command_is_refused_in_its_language(home: Path) -> None:
    make_run("mine")
    with holder():
        done = pocket("brief", "--run", "mine", "--lang", "ja")
    assert done.returncode == 1
    (line,) = done.stderr.strip().splitlines()
    assert line.startswith("pocket: 別の pocket が実行 mine に書き込んでいます")


@pytest.mark.parametrize("in_the_way", ["runs", "runs/.mine.lock"])
def test_a_place_that_cannot_be_written_is_said_in_one_line(home: Path, in_the_way: str) -> None:
    if in_the_way == "runs":
        (home / "runs").write_text("no folder", encoding="utf-8")
    else:
        (home / in_the_way).mkdir(parents=True)
    with pytest.raises(UnwritableError, match=r"'mine' cannot be written .*ask the owner of the folder") as caught:
        open_run("mine")
    assert "実行 mine を" in refusal(caught.value) and "POCKET_HOME" in refusal(caught.value)
    done = pocket("tour", "--run", "mine")
    assert done.returncode == 1
    (line,) = done.stderr.strip().splitlines()
    assert line.startswith("pocket: run 'mine' cannot be written in")


@pytest.mark.parametrize("locked", ["runs", "runs/mine"])
def test_a_run_that_is_read_only_can_be_read(home: Path, locked: str) -> None:
    run = make_run("mine")
    (home / "runs" / ".mine.lock").unlink()  # it is of whoever wrote last
    (home / locked).chmod(0o555)
    try:
        if os.access(home / locked, os.W_OK):
            pytest.skip("this user may write anywhere")
        assert open_run("mine").record == run.record
        assert pocket("audit", "verify", "mine").returncode == 0
        done = pocket("brief", "--run", "mine")
        assert done.returncode == 1 and "cannot be written" in done.stderr and "Traceback" not in done.stderr
    finally:
        (home / locked).chmod(0o755)


def test_a_report_that_may_not_be_written_is_said_in_one_line(home: Path, tmp_path: Path) -> None:
    images = clean_folder(tmp_path / "images")
    (home / "report").mkdir()
    (home / "report").chmod(0o555)
    try:
        if os.access(home / "report", os.W_OK):
            pytest.skip("this user may write anywhere")
        done = pocket("check", images, "--out", home / "report", "--lang", "ja")
        assert done.returncode == 1
        assert "権限がありません" in done.stderr and "Traceback" not in done.stderr
    finally:
        (home / "report").chmod(0o755)


@pytest.mark.parametrize("command", ["tour", "poc", "brief"])
def test_a_command_that_would_write_ends_with_one_line(home: Path, tmp_path: Path, command: str) -> None:
    images = tmp_path / "images"
    (images / "a").mkdir(parents=True)
    Image.new("L", (32, 32)).save(images / "a" / "0.png")
    # A run of these images, so that it is the lock and nothing else that stops `poc`.
    run = open_run("mine", dataset=str(images.resolve())) if command == "poc" else make_run("mine")
    before = state(run.folder)
    with holder():
        done = pocket(command, *([images] if command == "poc" else []), "--run", "mine")
    assert done.returncode == 1
    (line,) = done.stderr.strip().splitlines()
    assert line.startswith("pocket: another process of pocket is writing to run 'mine'") and "--run NAME" in line
    assert state(run.folder) == before


@pytest.mark.skipif(os.name == "nt", reason="there is no SIGKILL on Windows")
def test_a_killed_writer_does_not_block_the_next(home: Path) -> None:
    run = make_run("mine")
    with holder() as process:
        process.send_signal(signal.SIGKILL)
        process.wait()
        open_run("mine").log("went on")
    assert verify_run(run.folder).problems == ()
    assert verify_run(run.folder).unlogged == ()


def test_two_processes_that_write_in_turn_leave_a_whole_log(home: Path) -> None:
    run = make_run("mine")
    calls = [subprocess.Popen([sys.executable, "-c", _LOG, who]) for who in ("first", "second")]
    assert [call.wait(timeout=120) for call in calls] == [0, 0]
    found = verify_run(run.folder)
    assert found.problems == () and found.lines == run.record.audit_lines + 50


def gone() -> int:
    """The number of a process that has ended."""
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


def test_the_kernels_of_a_tour_write_in_its_name_and_nobody_else_does(home: Path) -> None:
    run = make_run("mine")

    def child(environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
        call = [sys.executable, "-c", _ONE_LINE]
        return subprocess.run(call, env=os.environ | environment, capture_output=True, text=True, encoding="utf-8")

    ours = for_children(run.folder)
    with writing(run.folder):
        assert child(ours).returncode == 0
        for other in ({}, for_children(run.folder.with_name("other")), dict.fromkeys(ours, f"{gone()}:{run.folder}")):
            assert "BusyError" in child(other).stderr, other
    assert verify_run(run.folder).lines == run.record.audit_lines + 1
