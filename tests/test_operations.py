"""Operating a run: its audit log verified, and the answers of two models explained."""

from __future__ import annotations

import json
import re
import shlex
import shutil
from html import unescape
from pathlib import Path

import numpy as np
import pytest
from runs_for_tests import run  # noqa: F401 (a fixture)
from sets_for_tests import image_set
from typer.testing import CliRunner

import pocket
from pocket.cli import app
from pocket.data import RetrievalSplit
from pocket.presentation.brief import write_brief
from pocket.presentation.i18n import translator
from pocket.runs import Run, open_run
from pocket.runs.paths import kit_dir
from pocket.runs.verification import HIDDEN, verify_run
from pocket.workflows.explain import explain, told


def lines(run: Run) -> list[bytes]:  # noqa: F811
    return run.path("audit.jsonl").read_bytes().splitlines(keepends=True)


def write(run: Run, changed: list[bytes]) -> None:  # noqa: F811
    run.path("audit.jsonl").write_bytes(b"".join(changed))


def test_a_run_as_it_was_written_verifies(run: Run) -> None:  # noqa: F811
    extra = run.path("models", "a.bin")
    extra.parent.mkdir()
    extra.write_bytes(b"weights")
    assert verify_run(run.folder).unlogged == ("models/a.bin",)
    run.note(extra)
    found = verify_run(run.folder)
    assert (found.problems, found.unlogged) == ((), ())
    assert (found.lines, found.head) == (run.record.audit_lines, run.record.audit_head)
    assert found.files == 3


def test_a_folder_is_one_line_and_stands_for_all_that_is_in_it(run: Run) -> None:  # noqa: F811
    pictures = run.path("pictures")
    for name in ("a/0.png", "a/1.png", "b/0.png"):
        (pictures / name).parent.mkdir(parents=True, exist_ok=True)
        (pictures / name).write_bytes(name.encode())
    before = run.record.audit_lines
    run.note(pictures)
    found = verify_run(run.folder)
    assert (found.problems, found.unlogged, found.lines) == ((), (), before + 1)
    (pictures / "a" / "0.png").write_bytes(b"other")
    (pictures / "b" / "0.png").unlink()
    (pictures / "c.png").write_bytes(b"c")
    found = verify_run(run.folder)
    assert found.unlogged == ("pictures/c.png",)
    altered, missing = sorted(found.problems)
    assert "pictures/a/0.png is not the file" in altered and "pictures/b/0.png is missing" in missing
    run.note(pictures)  # made anew, with other files in it
    found = verify_run(run.folder)
    assert (found.problems, found.unlogged) == ((), ())
    shutil.rmtree(pictures)
    assert len(verify_run(run.folder).problems) == 3
    run.log("left out of the sample", folder="pictures", files={})  # as publishing does
    assert verify_run(run.folder).problems == ()


def test_altered_removed_and_reordered_lines_are_found(run: Run) -> None:  # noqa: F811
    whole = lines(run)
    for damage, line in (
        ([whole[0].replace(b"digits", b"others"), *whole[1:]], 2),
        ([whole[0], *whole[2:]], 2),
        ([whole[0], whole[2], whole[1], *whole[3:]], 2),
        ([whole[0], b"{}\n", *whole[1:]], 2),
    ):
        write(run, damage)
        (problem,) = verify_run(run.folder).problems
        assert f"audit.jsonl, line {line}: the chain is broken" in problem
    write(run, whole[:-1])
    (problem,) = verify_run(run.folder).problems
    assert f"has {len(whole) - 1} lines" in problem and f"run.json notes {len(whole)}" in problem
    last = json.loads(whole[-1])
    write(run, [*whole[:-1], json.dumps(last | {"time": "2020-01-01"}, sort_keys=True).encode() + b"\n"])
    assert "lines were added or cut off at its end" in verify_run(run.folder).problems[0]
    write(run, whole)
    assert verify_run(run.folder).problems == ()


def test_altered_and_removed_artefacts_are_found(run: Run) -> None:  # noqa: F811
    path = run.path("training.json")
    text = path.read_text(encoding="utf-8")
    path.write_text(text.replace("0.971", "0.999"), encoding="utf-8")
    (problem,) = verify_run(run.folder).problems
    assert "training.json is not the file that was logged last" in problem
    path.unlink()
    (problem,) = verify_run(run.folder).problems
    assert "training.json is missing" in problem


def test_a_log_that_names_a_file_outside_is_not_followed(run: Run) -> None:  # noqa: F811
    run.log("saved", file="../secret", sha256="0" * 64)
    (problem,) = verify_run(run.folder).problems
    assert "lies outside the run" in problem
    with pytest.raises(ValueError):
        run.note(run.folder.parent / "secret")


def test_the_command_says_what_a_rewritten_chain_could_hide(run: Run) -> None:  # noqa: F811
    good = CliRunner().invoke(app, ["audit", "verify", "tour"])
    assert good.exit_code == 0 and run.record.audit_head in good.output
    assert "makes a chain that agrees with itself" in " ".join(good.output.split())
    assert HIDDEN in good.output
    japanese = CliRunner().invoke(app, ["audit", "verify", "tour", "--lang", "ja"])
    assert japanese.exit_code == 0 and "書き込まれたときのままです" in japanese.output and HIDDEN not in japanese.output
    run.path("condensation.json").write_text("{}", encoding="utf-8")
    bad = CliRunner().invoke(app, ["audit", "verify", "tour"])
    assert bad.exit_code == 1 and "condensation.json is not the file" in bad.output


@pytest.mark.parametrize("lang", ["en", "ja"])
def test_the_command_that_a_brief_gives_holds_it_against_the_log(run: Run, lang: str) -> None:  # noqa: F811
    (given,) = re.findall("<code>(pocket .*?)</code>", write_brief(run, lang).read_text(encoding="utf-8"))
    program, *words = shlex.split(unescape(given))
    assert program == "pocket" and "--line" in words
    run.log("something later")
    t, now = translator(lang), Run.read(run.folder).record
    line, digest = words[words.index("--line") + 1], words[words.index("--digest") + 1]
    good = CliRunner().invoke(app, words)
    assert good.exit_code == 0, good.output
    assert t("audit.agrees", line=line, later=now.audit_lines - int(line)) in good.output
    assert t("audit.hidden") not in good.output, "it has just been compared"
    whole = lines(run)

    def told(*asked: object) -> str:
        found = CliRunner().invoke(app, [*map(str, asked), "--lang", lang])
        assert found.exit_code == 1
        return found.output

    assert t("audit.differs", line=1) in told("audit", "verify", "tour", "--line", 1, "--digest", digest)
    few = t("audit.shorter", line=99, lines=len(whole))
    assert few in told("audit", "verify", "tour", "--line", 99, "--digest", digest)
    for path in (run.path("audit.jsonl"), run.path("run.json")):
        path.unlink()
    made = open_run("tour")  # a log that agrees with itself, made anew
    for _ in range(len(whole)):
        made.log("invented")
    assert verify_run(run.folder).problems == ()
    assert t("audit.differs", line=line) in told(*words)


def test_half_of_what_was_printed_is_a_wrong_call(run: Run) -> None:  # noqa: F811
    digest = run.record.audit_head
    whole = ["--line", "0", "--digest", digest]
    for words in (whole[:2], whole[2:], whole, ["--line", "1", "--digest", digest[:-1]]):
        done = CliRunner().invoke(app, ["audit", "verify", "tour", *words])
        assert done.exit_code == 2 and "64 hexadecimal digits" in " ".join(done.output.replace("│", " ").split())


def test_the_sample_run_verifies() -> None:
    assert verify_run(kit_dir("data") / "sample_run").problems == ()


def explained() -> tuple[RetrievalSplit, pocket.CondensedSet, pocket.HashModel, pocket.HashModel]:
    images = image_set(per_class=16)
    split = RetrievalSplit(images, images, images.subset(np.arange(0, 48, 7)), "test")
    made = pocket.condense(images, 2, "random", formation=2, seed=0)
    full = pocket.train(images, bits=16, width=8, config=pocket.TrainConfig(steps=60, batch=16))
    none = pocket.train(made, bits=16, width=8, config=pocket.TrainConfig(steps=1, batch=8))
    return split, made, full, none


def test_an_explanation_agrees_with_the_codes() -> None:
    split, made, full, none = explained()
    found = explain(split, 2, full, none, made, k=6)
    for side, model in ((found.full, full), (found.condensed, none)):
        ready = pocket.recalibrate(model, split.database)
        database, asked = pocket.encode(ready, split.database), pocket.encode(ready, split.query)
        distances = (database.unpack() != asked.unpack()[2]).sum(axis=1)
        assert side.distances.tolist() == distances.tolist()
        assert [hit.distance for hit in side.hits] == np.sort(distances)[:6].tolist()
        own = database.unpack()[split.database.labels == split.query.labels[2]].mean(axis=0) > 0.5
        assert side.strays == tuple(np.flatnonzero(asked.unpack()[2].astype(bool) != own))
        wrong = {hit.label for hit in side.hits} - {found.label}
        assert (side.rival in wrong) if wrong else (side.rival is None and side.shared == ())
        assert set(side.shared) <= set(side.strays)
    for hit in found.only_full:
        assert found.condensed.distances[hit.place] > found.condensed.hits[-1].distance
    assert [view.likeness for view in found.views] == sorted((v.likeness for v in found.views), reverse=True)
    assert all(view.label == made.card.class_names[made.labels[view.stored]] for view in found.views)
    assert all(0 <= view.tile < 4 for view in found.views)
    answers = "\n".join(line for line in told(found) if line.startswith("found by"))
    places = {hit.place for hit in (*found.full.hits, *found.condensed.hits)}
    assert found.only_full or found.only_condensed
    named = {
        f"{place} ({split.database.class_names[split.database.labels[place]]}, "
        f"{found.full.distances[place]} | {found.condensed.distances[place]})"
        for place in places
    }
    assert set(re.findall(r"\d+ \(.*?\)", answers)) == named
    assert len(re.findall(r"\d+ \(.*?\)", answers)) == len(named), "every answer is named once"
    english, japanese = told(found), told(found, "ja")
    assert len(japanese) == len(english) and not any("found by" in line or "query" in line for line in japanese)
    assert "凝縮データのモデルだけが見つけた画像" in "\n".join(japanese)


def test_two_equal_models_have_nothing_to_explain() -> None:
    split, made, full, _ = explained()
    found = explain(split, 0, full, full, made, k=5)
    assert (found.only_full, found.only_condensed) == ([], [])
    with pytest.raises(ValueError, match="query 99 is outside the allowed range 0 to 6"):
        explain(split, 99, full, full, made)
    with pytest.raises(ValueError, match="k=0"):
        explain(split, 0, full, full, made, k=0)
    with pytest.raises(ValueError, match=r"番号 99 は範囲外です。.*0〜6を指定してください"):
        explain(split, 99, full, full, made, lang="ja")
    with pytest.raises(ValueError, match="k=0 は範囲外です"):
        explain(split, 0, full, full, made, k=0, lang="ja")


def test_explain_reads_a_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("POCKET_HOME", str(tmp_path))
    shutil.copytree(kit_dir("data") / "sample_run", tmp_path / "runs" / "tour")
    done = CliRunner().invoke(app, ["explain", "--query", "3", "-k", "4"])
    assert done.exit_code == 0, done.output
    assert "synthetic views nearest to the query" in done.output
