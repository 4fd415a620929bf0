"""Artefacts, audit log and runs: whole or not at all, checked when read, never outside their folder."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
from pydantic import ValidationError

from pocket.runs import (
    ArtefactError,
    Record,
    Run,
    audit,
    load_tensors,
    open_run,
    save_tensors,
    write_bytes,
    write_text,
)
from pocket.runs import run as run_module
from pocket.runs.paths import home as home_folder
from pocket.runs.paths import run_dir


class Note(Record):
    kind: ClassVar[str] = "note"
    version: ClassVar[int] = 3
    text: str
    score: float = 0.5


class Letter(Record):
    kind: ClassVar[str] = "letter"
    version: ClassVar[int] = 3
    text: str


# --- files -----------------------------------------------------------------------------------------


def test_a_failing_write_leaves_the_old_file_and_nothing_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_text(tmp_path / "deep" / "note.txt", "old ✓\n")

    def full_disk(_: int) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full_disk)
        with pytest.raises(OSError, match="No space left"):
            write_bytes(path, b"new and much longer")
    assert path.read_bytes() == "old ✓\n".encode()
    assert [p.name for p in path.parent.iterdir()] == ["note.txt"]
    write_text(path, "new\n")
    assert path.read_bytes() == b"new\n"


@pytest.mark.skipif(os.name != "posix", reason="file modes are a matter of POSIX systems")
def test_written_files_get_the_usual_mode(tmp_path: Path) -> None:
    plain = tmp_path / "plain"
    plain.touch()
    assert write_text(tmp_path / "ours", "x").stat().st_mode == plain.stat().st_mode


def test_record_round_trip_is_versioned_utf8_json(tmp_path: Path) -> None:
    note = Note(text="検索の「質」", score=0.25)
    path = note.save(tmp_path / "note.json")
    assert Note.load(path) == note
    fields = json.loads(path.read_text(encoding="utf-8"))
    assert list(fields) == ["kind", "version", "text", "score"]
    assert (fields["kind"], fields["version"]) == ("note", 3)
    assert "検索の「質」" in path.read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ('{"kind": "letter", "version": 3, "text": "x"}', "'letter' version 3, but 'note' version 3"),
        ('{"kind": "note", "version": 2, "text": "x"}', "'note' version 2, but 'note' version 3"),
        ('{"text": "x"}', "None version None"),
        ('{"kind": "note", "version": 3, "text": "x", "extra": 1}', "field 'extra'"),
        ('{"kind": "note", "version": 3}', "field 'text'"),
        ('{"kind": "note", "version": 3, "text": "x", "score": NaN}', "field 'score'"),
        ('{"kind": "note", "version": 3, "text": "x", "score": Infinity}', "field 'score'"),
        ('{"kind": "note", "version": 3, "te', "damaged"),
        ("", "damaged"),
        ("[1, 2]", "does not hold a record"),
        (b"\xff\xfe\x00{", "damaged"),
    ],
)
def test_a_record_that_does_not_fit_is_refused_by_path_with_advice(
    tmp_path: Path, text: str | bytes, says: str
) -> None:
    path = write_bytes(tmp_path / "note.json", text if isinstance(text, bytes) else text.encode())
    with pytest.raises(ArtefactError) as caught:
        Note.load(path)
    message = str(caught.value)
    assert str(path) in message
    assert says in message
    assert "run its step again" in message


def test_a_missing_record_says_which_command_writes_it(tmp_path: Path) -> None:
    with pytest.raises(ArtefactError, match="pocket tour") as caught:
        Note.load(tmp_path / "none.json")
    assert str(tmp_path / "none.json") in str(caught.value)


def test_records_are_frozen_and_take_no_nan_and_no_unknown_field() -> None:
    note = Note(text="x")
    for build in (
        lambda: Note(text="x", score=float("nan")),
        lambda: Note(text="x", score=float("inf")),
        lambda: Note.model_validate({"text": "x", "sorce": 1}),
        lambda: setattr(note, "text", "y"),
    ):
        with pytest.raises(ValidationError):
            build()
    assert note.text == "x"


def test_tensors_round_trip(tmp_path: Path) -> None:
    arrays = {
        "bytes": np.arange(24, dtype=np.uint8).reshape(2, 3, 4).transpose(2, 0, 1),  # not contiguous
        "half": np.array([0.5, -2], dtype=np.float16),
        "empty": np.empty((0, 8), dtype=np.int64),
    }
    path = save_tensors(tmp_path / "t.safetensors", arrays, {"who": "私"})
    loaded, card = load_tensors(path)
    assert card == {"who": "私"}
    assert loaded.keys() == arrays.keys()
    for name, array in arrays.items():
        assert loaded[name].dtype == array.dtype
        np.testing.assert_array_equal(loaded[name], array)
    assert load_tensors(save_tensors(tmp_path / "u.safetensors", arrays))[1] == {}


@pytest.mark.parametrize("keep", [0, 7, 60, -1])
def test_truncated_tensors_are_refused(tmp_path: Path, keep: int) -> None:
    path = save_tensors(tmp_path / "t.safetensors", {"x": np.zeros(100)}, {"a": "b"})
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(ArtefactError, match="damaged") as caught:
        load_tensors(path)
    assert str(path) in str(caught.value)
    assert "run its step again" in str(caught.value)


def test_missing_tensors_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ArtefactError, match="is missing"):
        load_tensors(tmp_path / "none.safetensors")


# --- names and folders ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name", ["../x", "a/b", "", ".", "..", "a..b", "/etc", ".hidden", "-x", "a\\b", "a b", "x\n", "n" * 65, "a\0b"]
)
def test_names_that_could_leave_the_folder_are_refused(home: Path, name: str) -> None:
    with pytest.raises(ValueError, match=r"not usable.*--run autumn-poc"):
        open_run(name)
    assert not list(home.iterdir())


@pytest.mark.parametrize("name", ["tour", "autumn-poc_2.1", "秋の実験", "n" * 64])
def test_plain_names_are_fine(home: Path, name: str) -> None:
    assert run_dir(name) == home.resolve() / "runs" / name
    assert open_run(name).folder == run_dir(name)


def test_home_is_the_clone_around_the_working_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("POCKET_HOME", raising=False)
    (tmp_path / "deep" / "er").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "deep" / "er")
    assert home_folder() == Path.cwd()
    write_text(tmp_path / "notebooks" / "manifest.toml", "")
    assert home_folder() == Path.cwd().parent.parent


def test_a_path_outside_the_run_is_refused(home: Path) -> None:
    run = open_run("mine")
    assert run.path("sub", "x.json") == run.folder / "sub" / "x.json"
    for outside in ("../other/run.json", str(home / "x.json")):
        with pytest.raises(ValueError, match="outside the run's folder"):
            run.path(outside)


# --- opening ------------------------------------------------------------------------------------------


def test_open_run_makes_a_run_and_opens_it_again(home: Path) -> None:
    made = open_run("mine", bits=16, seeds=(3,), resolution=None)
    assert made.folder == home.resolve() / "runs" / "mine"
    assert made.settings.bits == 16
    assert made.settings.seeds == (3,)
    assert made.settings.dataset == "digits"
    assert not made.is_sample
    again = open_run("mine")
    assert again.record == made.record
    assert open_run("mine", bits=16, seeds=[3]).record == made.record
    assert audit.verify(made.path("audit.jsonl"))[0] == 1
    assert Run.read(made.folder).record == made.record


def test_the_paper_profile_differs_and_a_setting_goes_before_it(home: Path) -> None:
    run = open_run("big", profile="paper", bits=32)
    assert (run.settings.profile, run.settings.dataset, run.settings.bits) == ("paper", "cifar10", 32)


def test_a_setting_that_disagrees_is_refused(home: Path) -> None:
    run = open_run("mine", bits=16)
    before = run.path("run.json").read_bytes()
    with pytest.raises(ValueError, match=r"run 'mine' was made with bits=16, not 64; take another name \(--run NAME\)"):
        open_run("mine", bits=64)
    with pytest.raises(ValueError, match="was made with profile='mini', not 'paper'"):
        open_run("mine", profile="paper")
    assert run.path("run.json").read_bytes() == before


@pytest.mark.parametrize(
    ("settings", "says"),
    [({"bits": 12}, "'bits'.*12"), ({"bits": 256}, "'bits'"), ({"seeds": ()}, "'seeds'"), ({"bist": 8}, "'bist'")],
)
@pytest.mark.parametrize("exists", [False, True])
def test_bad_settings_are_named(home: Path, settings: dict[str, object], says: str, exists: bool) -> None:
    if exists:
        open_run("mine")
    with pytest.raises(ValueError, match=says) as caught:
        open_run("mine", **settings)
    assert not isinstance(caught.value, ValidationError), "a message for people, not pydantic's own"
    assert (home / "runs" / "mine").exists() == exists


def test_an_unknown_profile_is_named(home: Path) -> None:
    with pytest.raises(ValueError, match="unknown profile 'huge'; choose one of mini, paper"):
        open_run("mine", profile="huge")


def test_what_a_batch_run_needs_must_be_there(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("POCKET_BATCH", "1")
    with pytest.raises(ArtefactError, match=r"training\.json is missing.*pocket tour --run mine"):
        open_run("mine", needs="training.json")
    assert not (home / "runs").exists()
    open_run("mine").save(Note(text="x"), "training.json")
    assert open_run("mine", needs="training.json").name == "mine"


def test_a_person_gets_the_sample_run_and_is_told(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("POCKET_HOME", str(tmp_path / "maker"))
    kit = open_run("sample")
    kit.record = kit.record.model_copy(update={"sample": True})
    kit.save(Note(text="from the kit"), "training.json")
    kit.folder.rename(tmp_path / "sample_run")
    monkeypatch.setattr(run_module, "kit_dir", lambda part: tmp_path)
    monkeypatch.setenv("POCKET_HOME", str(home / "reader"))
    run = open_run("mine", needs="training.json")
    assert run.is_sample
    assert run.folder == run_dir("sample")
    assert Note.load(run.path("training.json")).text == "from the kit"
    assert not run_dir("mine").exists()
    assert "SAMPLE DATA: run 'mine' has no training.json yet" in capsys.readouterr().out


def test_a_damaged_run_is_refused(home: Path) -> None:
    run = open_run("mine")
    run.path("run.json").write_text('{"kind": "run"', encoding="utf-8")
    with pytest.raises(ArtefactError, match="damaged"):
        open_run("mine")


# --- audit --------------------------------------------------------------------------------------------


@pytest.fixture
def log(tmp_path: Path) -> Path:
    path = tmp_path / "audit.jsonl"
    for event in ("one", "two", "three"):
        audit.append(path, event, note="備考")
    return path


def test_the_chain_verifies_and_each_line_holds_the_one_before(log: Path) -> None:
    count, head = audit.verify(log)
    assert count == 3
    lines = [json.loads(line) for line in log.read_text(encoding="utf-8").splitlines()]
    assert [line["event"] for line in lines] == ["one", "two", "three"]
    assert lines[0]["previous"] == audit.GENESIS
    assert len({line["previous"] for line in lines} | {head}) == 4
    assert audit.append(log, "four")[0] == 4
    assert audit.verify(log)[1] != head
    assert audit.verify(log.with_name("none.jsonl")) == (0, audit.GENESIS)


def test_an_unusual_line_end_inside_a_detail_is_no_line_end(log: Path) -> None:
    audit.append(log, "odd", folder="a\u2028b\u0085c\rd\ne")
    assert audit.verify(log)[0] == 4
    assert audit.append(log, "after")[0] == 5


@pytest.mark.parametrize(
    ("change", "line"),
    [
        (lambda x: [x[0].replace("one", "0ne"), x[1], x[2]], 2),
        (lambda x: [x[0], x[1].replace('"two"', '"two "'), x[2]], 3),
        (lambda x: [x[0], x[2]], 2),
        (lambda x: x[1:], 1),
        (lambda x: [x[0], x[2], x[1]], 2),
        (lambda x: [*x, x[2]], 4),
        (lambda x: [x[0], "not json", x[2]], 2),
        (lambda x: [x[0], "[]", x[2]], 2),
        (lambda x: [x[0], x[1], x[2] + " "], None),
        (lambda x: x[:2], None),
    ],
    ids=[
        "altered",
        "altered-middle",
        "removed",
        "removed-first",
        "reordered",
        "repeated",
        "garbage",
        "array",
        "last-altered",
        "cut",
    ],
)
def test_a_changed_log_is_found(log: Path, change: object, line: int | None) -> None:
    head = audit.verify(log)
    lines = log.read_text(encoding="utf-8").splitlines()
    log.write_text("".join(f"{x}\n" for x in change(lines)), encoding="utf-8")  # type: ignore[operator]
    if line is None:  # the last line is covered by the head that run.json holds
        assert audit.verify(log) != head
        return
    with pytest.raises(ArtefactError, match=f"line {line}: the chain is broken"):
        audit.verify(log)
    with pytest.raises(ArtefactError, match="keep the file as evidence"):
        audit.append(log, "four")


def test_bytes_that_are_no_text_break_the_chain(log: Path) -> None:
    log.write_bytes(log.read_bytes().replace(b"two", b"\xff\xfeo"))
    with pytest.raises(ArtefactError, match="line 2: the chain is broken"):
        audit.verify(log)


@pytest.mark.parametrize("torn", [b'{"line": 4, "ti', b"{", '{"line": 4, "x": "検'.encode()[:-1]])
def test_a_torn_last_line_is_dropped_by_the_next_append(log: Path, torn: bytes) -> None:
    whole = log.read_bytes()
    log.write_bytes(whole + torn)
    assert audit.append(log, "four")[0] == 4
    assert audit.verify(log)[0] == 4
    assert log.read_bytes().startswith(whole)


def test_run_json_holds_the_line_count_and_head_of_the_log(home: Path) -> None:
    run = open_run("mine")
    path = run.save(Note(text="x"), "note.json")
    run.log("looked", by="someone")
    count, head = audit.verify(run.path("audit.jsonl"))
    on_disk = Run.read(run.folder).record
    assert (on_disk.audit_lines, on_disk.audit_head) == (count, head) == (3, run.record.audit_head)
    saved = json.loads(run.path("audit.jsonl").read_text(encoding="utf-8").splitlines()[1])
    assert saved["details"] == {"file": "note.json", "sha256": audit.digest_of(path)}
