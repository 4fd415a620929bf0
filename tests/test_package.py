"""The package as a whole: cheap import, imports that point downward, dependencies that agree."""

from __future__ import annotations

import ast
import itertools
import re
import shutil
import subprocess
import sys
import tomllib
from importlib.metadata import requires
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from typer.testing import CliRunner

import pocket
from pocket.cli import app
from pocket.runs.extras import EXTRAS
from pocket.runs.paths import kit_dir
from pocket.workflows.manifest import table

ROOT = Path(pocket.__file__).parent.parent
ROOMS = ("runs", "data", "hashing", "condensation", "evaluation", "roi", "presentation", "workflows", "cli", "__main__")
# Where a distribution is not called as its module is; and what of the kit comes with voila.
_DISTRIBUTIONS = {"faiss": "faiss-gpu", "sklearn": "scikit-learn"}
_WITH_VOILA = {"nbformat", "nbclient", "nbconvert"}
SOURCES = sorted((ROOT / "pocket").rglob("*.py"))


def fresh(code: str) -> str:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, encoding="utf-8", check=True)
    return done.stdout.strip()


def test_import_is_cheap() -> None:
    code = "import time; t = time.perf_counter(); import pocket; print(time.perf_counter() - t)"
    assert sorted(float(fresh(code)) for _ in range(3))[1] <= 0.5


@pytest.mark.parametrize(
    "module",
    ["pocket", "pocket.roi", "pocket.presentation.brief", "pocket.presentation.roi_panel",
     "pocket.presentation.dashboard", "pocket.workflows.dashboard", "pocket.cli"],
)  # fmt: skip
def test_what_executives_need_loads_no_torch(module: str) -> None:
    code = f"import sys, {module}; print([m for m in ('torch', 'torchvision', 'faiss') if m in sys.modules])"
    assert fresh(code) == "[]"


def test_every_public_name_resolves() -> None:
    assert {"load", "condense", "train", "encode", "evaluate", "evaluate_codes", "HammingIndex", "Codes"} <= set(
        pocket.__all__
    )
    for name in pocket.__all__:
        assert getattr(pocket, name) is not None


def imported(path: Path) -> list[str]:
    """Return the dotted names that a file imports anywhere, in functions and under TYPE_CHECKING too."""
    names = []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{path}: relative imports hide which room they reach into"
            names += [f"{node.module}.{alias.name}" for alias in node.names]
    return names


@pytest.mark.parametrize("path", SOURCES, ids=lambda p: str(p.relative_to(ROOT)))
def test_imports_point_downward(path: Path) -> None:
    room = path.relative_to(ROOT / "pocket").parts[0].removesuffix(".py")
    if room == "__init__":
        return
    for name in imported(path):
        parts = name.split(".")
        if parts[0] == "pocket":
            assert len(parts) > 1, f"{path} imports the package itself, which holds every room"
            # A name of the public face (pocket.train) that is no room lies above all of them.
            place = ROOMS.index(parts[1]) if parts[1] in ROOMS else len(ROOMS)
            assert place <= ROOMS.index(room), f"{path}: {room} imports {name}, which lies above it"


@pytest.mark.parametrize("path", SOURCES, ids=lambda p: str(p.relative_to(ROOT)))
def test_no_pickle_on_any_path(path: Path) -> None:
    """Neither a module that unpickles, nor a call that may: artefacts are safetensors and JSON."""
    assert not {name.split(".")[0] for name in imported(path)} & {
        "pickle",
        "cPickle",
        "dill",
        "cloudpickle",
        "joblib",
        "shelve",
        "marshal",
    }
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call):
            assert ast.unparse(node.func) not in {"torch.load", "np.load", "numpy.load", "eval", "exec", "read_pickle"}
            assert "allow_pickle" not in {keyword.arg for keyword in node.keywords}


def project() -> dict:
    return tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def pins() -> dict[str, str]:
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    assert all(re.fullmatch(r"[\w.-]+==[\w.!+-]+", line) for line in lines), "plain name==version lines only"
    return {canonicalize_name(name): version for name, version in (line.split("==") for line in lines)}


def test_every_direct_dependency_is_pinned_inside_its_range() -> None:
    wanted = itertools.chain(project()["dependencies"], *project()["optional-dependencies"].values())
    for requirement in map(Requirement, wanted):
        if requirement.name == "pocket":  # an extra that brings another along
            continue
        if requirement.marker and not requirement.marker.evaluate():
            continue
        pinned = pins().get(canonicalize_name(requirement.name))
        assert pinned, f"{requirement.name} is not pinned in constraints.txt"
        assert requirement.specifier.contains(pinned, prereleases=True), f"{requirement} does not admit {pinned}"


def test_the_light_install_brings_nothing_of_the_kit() -> None:
    """Neither named in it, nor brought by what it names: the environment of this test holds their metadata."""
    heavy = {canonicalize_name(_DISTRIBUTIONS.get(module, module)) for module in EXTRAS["kit"]} - _WITH_VOILA
    waiting = [*project()["dependencies"], *project()["optional-dependencies"]["dashboard"]]
    seen: set[str] = set()
    while waiting:
        requirement = Requirement(waiting.pop())
        name = canonicalize_name(requirement.name)
        if name in seen or (requirement.marker and not requirement.marker.evaluate({"extra": ""})):
            continue
        seen.add(name)
        waiting += requires(name) or []
    assert len(seen) > 50, "the walk must reach what voila and matplotlib bring"
    assert not seen & heavy


def test_every_extra_is_known_by_its_modules() -> None:
    for extra, modules in EXTRAS.items():
        named = {canonicalize_name(Requirement(line).name) for line in project()["optional-dependencies"][extra]}
        expected = {canonicalize_name(_DISTRIBUTIONS.get(module, module)) for module in modules}
        assert named - {"faiss-cpu"} == expected


def light(code: str) -> subprocess.CompletedProcess[str]:
    """Run code where none of the kit's modules can be imported, as after a light install."""
    hidden = f"import sys; sys.modules.update(dict.fromkeys({EXTRAS['kit']!r}))"
    call = [sys.executable, "-c", f"{hidden}\n{code}"]
    return subprocess.run(call, capture_output=True, text=True, encoding="utf-8")


@pytest.mark.parametrize("words", [["tour"], ["bench"], ["search", "x.png", "--run", "sample"]])
def test_a_command_that_wants_the_kit_says_so_in_one_line(home: Path, words: list[str]) -> None:
    shutil.copytree(kit_dir("data") / "sample_run", home / "runs" / "sample")
    done = light(f"from pocket.cli import main; sys.argv = ['pocket', *{words!r}]; main()")
    assert done.returncode == 1 and done.stdout == ""
    (line,) = done.stderr.strip().splitlines()
    assert line.startswith("pocket: ") and 'pip install "pocket[kit]"' in line
    assert [path.name for path in (home / "runs").iterdir()] == ["sample"], "nothing was begun"


def test_the_light_install_writes_the_brief_and_the_workbooks(home: Path) -> None:
    shutil.copytree(kit_dir("data") / "sample_run", home / "runs" / "sample")
    done = light(
        "from pocket.cli import main; sys.argv = ['pocket', 'brief', '--run', 'sample', '--no-pdf']\n"
        "from pocket.presentation.roi_files import write_roi\nfrom pocket.runs import Run\n"
        "from pocket.runs.paths import run_dir\nwrite_roi(Run.read(run_dir('sample')))\nmain()"
    )
    assert done.returncode == 0, done.stderr
    assert [line.rpartition("brief.")[2] for line in done.stdout.splitlines()] == ["en.html", "ja.html"]


@pytest.mark.parametrize("call", ["pocket.train", "pocket.HammingIndex", "pocket.load('digits')"])
def test_the_python_api_says_what_brings_the_kit(call: str) -> None:
    done = light(f"import pocket\ntry:\n    {call}\nexcept ImportError as error:\n    print(error)")
    assert 'pip install "pocket[kit]"' in done.stdout, done.stderr


def test_the_doctor_knows_the_light_install(home: Path) -> None:
    done = light("from pocket.cli import main; sys.argv = ['pocket', 'doctor']; main()")
    assert done.returncode == 0, done.stderr
    assert "[warn] kit: light install" in done.stdout and 'pip install "pocket[kit]"' in done.stdout
    done = light("from pocket.cli import main; sys.argv = ['pocket', 'doctor', '--lang', 'ja']; main()")
    assert done.returncode == 0, done.stderr
    assert "[warn] キット: torchのない軽量版です" in done.stdout and 'pip install "pocket[kit]"' in done.stdout


def test_a_language_that_is_not_known_is_a_wrong_call(home: Path) -> None:
    for words in (["doctor"], ["search", "x.png"], ["explain", "--query", "0"], ["audit", "verify"]):
        done = CliRunner().invoke(app, [*words, "--lang", "fr"])
        assert done.exit_code == 2 and "choose one of en, ja" in done.output, words


def test_exactly_one_faiss_whatever_the_platform() -> None:
    found = [Requirement(d) for d in project()["optional-dependencies"]["kit"] if d.startswith("faiss")]
    for system, machine in (("Linux", "x86_64"), ("Linux", "aarch64"), ("Windows", "AMD64"), ("Darwin", "arm64")):
        environment = {"platform_system": system, "platform_machine": machine}
        chosen = [r.name for r in found if r.marker is None or r.marker.evaluate(environment)]
        assert chosen == (["faiss-gpu"] if (system, machine) == ("Linux", "x86_64") else ["faiss-cpu"])


def test_the_conda_environment_installs_the_same_project() -> None:
    dependencies = yaml.safe_load((ROOT / "environment.yml").read_text(encoding="utf-8"))["dependencies"]
    assert f"python{project()['requires-python']}" in dependencies
    (pip,) = (entry["pip"] for entry in dependencies if isinstance(entry, dict))
    assert pip == ["-c constraints.txt", "-e .[kit,dashboard]"]
    # Nothing else: every other version comes from pyproject.toml and constraints.txt.
    assert len(dependencies) == 3


@pytest.mark.skipif(shutil.which("make") is None, reason="there is no make here")
@pytest.mark.parametrize(("target", "does"), [("tour", "pocket tour"), ("poc", "pocket poc")])
def test_make_says_that_it_installs_before_it_does(tmp_path: Path, target: str, does: str) -> None:
    for name in ("Makefile", "pyproject.toml", "constraints.txt"):
        shutil.copy(ROOT / name, tmp_path)
    call = ["make", "-n", target, f"PYTHON={sys.executable}"]
    planned = subprocess.run(call, cwd=tmp_path, capture_output=True, text=True, encoding="utf-8", check=True).stdout
    order = [planned.index(part) for part in ("echo 'Installing into .venv", "-m venv", "pip install", does)]
    assert order == sorted(order)


def test_the_readme_holds_the_manifest_and_a_recorded_result() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert table() in readme
    results = readme.split("<!-- results -->")[1].split("<!-- /results -->")[0]
    assert "IEM, 10 a class" in results
    assert (kit_dir("data") / "sample_run" / "map.png").is_file()
    for target in re.findall(r"\]\((?!http)([^)#]+)\)", readme):
        assert (ROOT / target).exists(), f"README links {target}, which is not there"


@pytest.mark.parametrize(
    ("name", "lang", "other"), [("README.md", "en", "README.ja.md"), ("README.ja.md", "ja", "README.md")]
)
def test_the_readmes_hold_the_sample_runs_results_and_the_glossary(name: str, lang: str, other: str) -> None:
    from pocket.presentation.glossary import glossary_block
    from pocket.runs import Run
    from pocket.workflows.publish import results_block

    readme = (ROOT / name).read_text(encoding="utf-8")
    again = "make notebooks, or pocket.workflows.publish.refresh_readmes"
    made = results_block(Run.read(kit_dir("data") / "sample_run"), lang)
    assert f"<!-- results -->\n{made}\n<!-- /results -->" in readme, f"{name} is behind the sample run: {again}"
    made = glossary_block(lang)
    assert f"<!-- glossary -->\n{made}\n<!-- /glossary -->" in readme, f"{name} is behind the texts: {again}"
    assert f"]({other})" in "\n".join(readme.splitlines()[:5]), "the first lines lead to the other language"
    for target in re.findall(r"\]\((?!http)([^)#]+)(?:#[^)]*)?\)", readme):
        assert (ROOT / target).exists(), f"{name} links {target}, which is not there"


def test_the_readme_tells_every_published_proof_of_concept_from_its_record() -> None:
    from pocket.presentation.poc_block import poc_block
    from pocket.runs.poc import PublishedPoc

    records = sorted((kit_dir("data") / "results").glob("poc_*.json"))
    if not records:
        pytest.skip('none is published yet: python -m pocket.workflows.publish --poc RUN "WHAT THE IMAGES ARE"')
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    for path in records:
        block = f"<!-- {path.stem} -->\n{poc_block(PublishedPoc.load(path))}\n<!-- /{path.stem} -->"
        assert block in readme, f"README.md is behind {path.name}: make results"


def test_the_readme_holds_what_the_tables_of_the_benchmark_say() -> None:
    from pocket.workflows.benchmark_block import benchmark_block, search_block

    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    for name, made in (("benchmark", benchmark_block()), ("search", search_block())):
        assert f"<!-- {name} -->\n{made}\n<!-- /{name} -->" in readme, "README.md is behind data/results: make results"


def test_the_sample_run_says_so_and_is_whole() -> None:
    from pocket.data import CondensedSet
    from pocket.hashing import HashModel
    from pocket.runs import Run

    run = Run.read(kit_dir("data") / "sample_run")
    assert run.is_sample
    assert len(CondensedSet.load(run.path("condensed.safetensors"))) == 100
    for name in ("full_0", "full_1", "full_2", "random", "iem"):
        assert HashModel.load(run.path("models", f"{name}.safetensors")).bits == run.settings.bits


@pytest.mark.parametrize("lang", ["en", "ja"])
def test_the_samples_briefs_tell_how_to_check_its_log_and_the_check_passes(
    lang: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("POCKET_HOME", str(tmp_path))
    page = (kit_dir("data") / "sample_run" / f"brief.{lang}.html").read_text(encoding="utf-8")
    found = re.search(r"pocket (audit verify sample [^<]*)", page)
    assert found
    done = CliRunner().invoke(app, found[1].split())
    assert done.exit_code == 0, done.output
    assert not list(tmp_path.iterdir()), "it only reads"


def test_the_sample_says_nothing_of_the_machine_it_was_made_on() -> None:
    from pocket.presentation.i18n import translator

    environment = (kit_dir("data") / "sample_run" / "environment.json").read_text(encoding="utf-8")
    assert translator("en")("doctor.no_data") in environment, "made where POCKET_DATA named a folder: make notebooks"
