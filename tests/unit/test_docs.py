"""The documents are true: marked blocks load or run, commands and options exist, links and paths resolve.

A fence says what its block is. ``yaml bench`` and ``yaml experiment`` are whole files; ``yaml experiment
train`` is trained too, and learns; ``yaml study`` is a whole study, checked; ``yaml bench refused`` is
refused with the message in the ``text`` block after it; ``python run`` is run, ``python run trained`` beside
a run in ``runs``; ``python file=NAME`` and ``toml file=pyproject.toml`` are a package that the page's blocks
find installed. The README's plain fences are marked by what is in them. What trains the built-in experiment
does so on few samples, with as many devices as it takes.
"""

from __future__ import annotations

import re
import runpy
import shlex
import sys
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import typer
import yaml

from hil import builtin, session, setup
from hil.cli import app
from hil.compare.plan import Options, plan_study
from hil.errors import ConfigError

ROOT = Path(__file__).parents[2]
PAGES = sorted([*(ROOT / "docs").rglob("*.md"), *ROOT.glob("README.md")])
README = ROOT / "README.md"
HOW_TO = {
    "README.md",
    "docs/benches.md",
    "docs/calibration.md",
    "docs/extending.md",
    "docs/methods/README.md",
    "docs/runs.md",
    "docs/safety.md",
    "docs/simulator.md",
    "docs/studies.md",
}
FEW = {"data": {"name": "mnist-5k", "train": 100, "test": 50}, "training": {"epochs": 1}}
FOLDERS = ("hil", "drivers", "protocols", "calibration", "tests", "benchmarks", "docs", "examples", "tools")


@dataclass(frozen=True)
class Block:
    page: Path
    line: int
    words: tuple[str, ...]
    text: str

    def __str__(self) -> str:
        return f"{self.page.relative_to(ROOT)}:{self.line}"


def _blocks(page: Path) -> list[Block]:
    text = page.read_text(encoding="utf-8")
    found = re.finditer(r"^```(.*)\n((?:.*\n)*?)```$", text, re.MULTILINE)
    mark = _marked_by_content if page == README else _marked
    return [Block(page, text.count("\n", 0, m.start()) + 1, mark(m[1], m[2]), m[2]) for m in found]


def _marked(fence: str, _: str) -> tuple[str, ...]:
    return tuple(fence.split())


def _marked_by_content(fence: str, text: str) -> tuple[str, ...]:
    if fence == "yaml":
        return ("yaml", "bench" if re.search("^driver:", text, re.MULTILINE) else "experiment")
    return ("python", "run") if fence == "python" else _marked(fence, text)


def _prose(page: Path) -> str:
    return re.sub(r"^```.*\n(?:.*\n)*?```$", "", page.read_text(encoding="utf-8"), flags=re.MULTILINE)


BLOCKS = [block for page in PAGES for block in _blocks(page)]
MARKED = [block for block in BLOCKS if len(block.words) > 1 and not block.words[1].startswith("file=")]


def _commands() -> Iterator[tuple[str, str]]:
    """(where, command line) of every `hil …` in a console block or in the text."""
    for block in BLOCKS:
        if block.words[:1] in {("console",), ("sh",), ("bash",), ("shell",)}:
            for line in block.text.replace("\\\n", " ").splitlines():
                if match := re.match(
                    r"\s*(?:\$ )?(?:.* && )?(?:\w+=\S+ )*(?:\.venv/bin/)?(hil( .*)?)$", line
                ):
                    yield str(block), match[1]
    for page in PAGES:
        for match in re.finditer(
            r"(?:`|^ {4,}(?:\$ )?)(hil(?: [^`\n]+)?)(?:`|$)", _prose(page), re.MULTILINE
        ):
            yield str(page.relative_to(ROOT)), match[1]


COMMANDS = sorted(set(_commands()))


@pytest.fixture
def workplace(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Path]:
    """An empty folder to work in, with the page's package installed as pip would."""
    block: Block = request.getfixturevalue("block")
    site = tmp_path / "site"
    files = {
        b.words[1].removeprefix("file="): b.text for b in _blocks(block.page) if "file=" in "".join(b.words)
    }
    site.mkdir()
    for name, text in files.items():
        (site / name).write_text(text, encoding="utf-8")
    if "pyproject.toml" in files:
        project = tomllib.loads(files["pyproject.toml"])["project"]
        info = site / f"{project['name']}-{project['version']}.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(
            f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: {project['version']}\n",
            encoding="utf-8",
        )
        groups = project["entry-points"].items()
        lines = [
            f"[{group}]\n" + "".join(f"{k} = {v}\n" for k, v in points.items()) for group, points in groups
        ]
        (info / "entry_points.txt").write_text("\n".join(lines), encoding="utf-8")
    monkeypatch.syspath_prepend(site)
    monkeypatch.chdir(tmp_path)
    yield tmp_path
    for name in files:
        sys.modules.pop(name.removesuffix(".py"), None)


@pytest.mark.parametrize("block", MARKED, ids=str)
def test_a_marked_block_does_what_its_fence_says(
    block: Block, workplace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    match block.words:
        case ("yaml", "bench"):
            settings, _ = setup.load_bench(_written(workplace, "bench.yaml", block))
            assert setup.open_bench(settings).arrays
        case ("yaml", "bench", "refused"):
            with pytest.raises(ConfigError) as refused:
                session.prepare(bench=_written(Path(), "bench.yaml", block))
            assert str(refused.value) == _next(block).text.strip()
        case ("yaml", "experiment"):
            setup.load_experiment(_written(workplace, "experiment.yaml", block))
        case ("yaml", "study"):
            assert plan_study(_written(workplace, "study.yaml", block), Options(workplace)).planned
        case ("yaml", "experiment", "train"):
            prepared = session.prepare(_written(workplace, "experiment.yaml", block))
            accuracy = session.execute(prepared, workplace).accuracy
            assert accuracy is not None
            assert accuracy > 0.5, "it does not learn"
        case ("python", "run") | ("python", "run", "trained"):
            small = workplace / "small.yaml"
            built_in: dict[str, Any] = yaml.safe_load(builtin.EXPERIMENT.read_text(encoding="utf-8"))
            small.write_text(yaml.safe_dump({**built_in, **FEW}), encoding="utf-8")
            monkeypatch.setattr(builtin, "EXPERIMENT", small)
            if "trained" in block.words:
                session.execute(session.prepare(), workplace / "runs")
            runpy.run_path(str(_written(workplace, "snippet.py", block)), run_name="__main__")
        case _:
            pytest.fail(f"{block}: no such mark: {' '.join(block.words)}")


def _written(folder: Path, name: str, block: Block) -> Path:
    path = folder / name
    path.write_text(block.text, encoding="utf-8")
    return path


def _next(block: Block) -> Block:
    after = next(b for b in BLOCKS if b.page == block.page and b.line > block.line)
    assert after.words == ("text",), f"{after}: the message of the refused file above must stand here"
    return after


@pytest.mark.parametrize("page", sorted(HOW_TO))
def test_a_how_to_has_no_file_or_code_that_is_not_tested(page: str) -> None:
    loose = [block for block in _blocks(ROOT / page) if block.words in {("yaml",), ("python",), ()}]
    assert not loose, ", ".join(map(str, loose))


@pytest.mark.parametrize(("where", "line"), COMMANDS)
def test_a_command_in_the_documents_exists_with_its_options(where: str, line: str) -> None:
    group: Any = typer.main.get_command(app)
    line = re.split(r"\s[|>&#]", line)[0]
    words = shlex.split(line)[1:]
    if not words or words[0].startswith("-"):
        names = {name for option in group.params for name in option.opts} | {"--help"}
        assert set(words) <= names, where
        return
    command: Any = group.commands[words[0]]
    if re.search(r"[\[\]…|<>]|\.\.\.", line):  # a synopsis: only the options that it names can be checked
        options = {name for option in command.params for name in (*option.opts, *option.secondary_opts)}
        assert set(re.findall(r"--[a-z-]+", line)) <= options | {"--help"}, where
        return
    if "--help" in words:
        return
    given: dict[str, Any] = command.make_context(words[0], words[1:]).params
    if words[0] == "train":
        _check_settings(given)


def _check_settings(given: dict[str, Any]) -> None:
    """Our files and the built-in ones bear what ``--set`` puts on them; EXPERIMENT.yaml is any file."""
    for load, file, overrides in (
        (setup.load_experiment, given["experiment"], given["overrides"]),
        (setup.load_bench, given["bench"], given["bench_overrides"]),
    ):
        path = None if file is None else ROOT / file
        if path is None or path.exists():
            load(path, overrides or ())


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_and_paths_in_a_page_lead_somewhere(page: Path) -> None:
    prose = _prose(page)
    for target in re.findall(r"\]\(([^)\s]+)\)", prose):
        if re.match(r"[a-z]+:", target):
            continue
        path, _, anchor = target.partition("#")
        file = (page.parent / path).resolve() if path else page
        assert file.exists(), f"{page.name}: link to {target}"
        assert not anchor or anchor in _anchors(file), f"{page.name}: link to {target}"
    for path in re.findall(rf"`((?:{'|'.join(FOLDERS)})/[\w./-]*)`", prose):
        assert (ROOT / path).exists(), f"{page.name}: path {path}"


def test_the_readme_installs_extras_that_are_there() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = re.findall(r"'\.\[(\w+)\]'", README.read_text(encoding="utf-8"))
    assert extras
    assert set(extras) <= set(project["optional-dependencies"])


def test_the_design_names_every_part_of_hil() -> None:
    table = (ROOT / "docs" / "design.md").read_text(encoding="utf-8")
    modules = [path for path in (ROOT / "hil").glob("*.py") if not path.stem.startswith("_")]
    packages = [path.parent for path in (ROOT / "hil").glob("*/__init__.py")]
    names = [f"`{path.stem}`" for path in modules] + [f"`{path.name}/`" for path in packages]
    assert not [name for name in names if name not in table]


def _anchors(page: Path) -> set[str]:
    headings = re.findall(r"^#+ (.*)$", _prose(page), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}
