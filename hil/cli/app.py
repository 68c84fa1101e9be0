"""The commands and their options. Each body imports what it needs, so that ``hil --help`` is quick."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from hil.cli.calibration import calibrate, calibration
from hil.cli.failure import EXIT_CODES, exit_code, tell
from hil.cli.options import FLAG as _FLAG
from hil.cli.options import (
    RUNS,
    Bench,
    BenchOverrides,
    DataDir,
    Experiment,
    Json,
    Overrides,
    Quiet,
    Report,
    RunArgument,
    Yes,
)
from hil.cli.price import price
from hil.cli.resume import resume
from hil.cli.twin import twin
from hil.errors import HilError

_EPILOG = "Exit codes: " + "; ".join(f"{code} {meaning}" for code, meaning in EXIT_CODES.items()) + "."


class _Commands(TyperGroup):
    """Turns the errors this project raises on purpose into a message and an exit code."""

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except HilError as error:
            tell(error)
            raise typer.Exit(exit_code(error)) from None


app = typer.Typer(
    name="hil",
    cls=_Commands,
    help="Train neural networks inside real synapse arrays, or simulated ones.",
    epilog=_EPILOG,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


class Listed(StrEnum):
    """What `hil list` knows to list."""

    GRADIENTS = "gradients"
    UPDATES = "updates"
    DRIVERS = "drivers"
    INSTRUMENTS = "instruments"
    CALIBRATIONS = "calibrations"
    PRESETS = "presets"
    DATA = "data"


class Described(StrEnum):
    """What has a schema."""

    BENCH = "bench"
    EXPERIMENT = "experiment"
    STUDY = "study"


def main() -> None:
    """Entry point of the ``hil`` command."""
    app(prog_name="hil")


def _version(asked: bool) -> None:
    if asked:
        import hil

        typer.echo(f"hil {hil.__version__}")
        raise typer.Exit


app.command()(calibrate)
app.command()(price)
app.command()(resume)
app.command()(twin)
app.add_typer(calibration, name="calibration")


@app.callback()
def _root(
    _version: Annotated[
        bool,
        typer.Option("--version", metavar=_FLAG, callback=_version, is_eager=True, help="Show the version."),
    ] = False,
) -> None:
    pass


@app.command()
def train(
    experiment: Experiment = None,
    bench: Bench = None,
    overrides: Overrides = None,
    bench_overrides: BenchOverrides = None,
    runs: Annotated[Path, typer.Option(metavar="DIR", help="Where runs are kept.")] = RUNS,
    name: Annotated[str | None, typer.Option(help="Name of the run; short for --set name=…")] = None,
    seed: Annotated[int | None, typer.Option(help="Seed of all chance; short for --set seed=…")] = None,
    data_dir: DataDir = None,
    report: Report = True,
    json: Json = False,
    quiet: Quiet = False,
    yes: Yes = False,
) -> None:
    """Train a network in the devices of a bench, and record the run.

    Where instruments take part it says what the run will take, as hil price does, and asks before it begins.

    Ctrl-C once finishes the step, reads the arrays and writes the report; twice stops at once.

    Either way the bench is left with its outputs at 0 V.
    """
    from hil.cli.train import Asked, run_training
    from hil.config.said import Said

    short = [Said(f"seed={seed}", f"--seed {seed}")] if seed is not None else []
    short += [Said(f"name={_quoted(name)}", f"--name {name}")] if name is not None else []
    asked = Asked(
        experiment, bench, (*(overrides or ()), *short), tuple(bench_overrides or ()), data_dir, runs, report
    )
    raise typer.Exit(run_training(asked, json=json, quiet=quiet, yes=yes))


@app.command()
def compare(
    study: Annotated[Path, typer.Argument(metavar="STUDY.yaml", help="Study file.")],
    seeds: Annotated[
        str | None, typer.Option(metavar="1,2,5-8", help="Other seeds than those of the study.")
    ] = None,
    only: Annotated[
        list[str] | None,
        typer.Option(metavar="LABEL", help="Run only these cases: a label, or AXIS=LABEL; may be repeated."),
    ] = None,
    overrides: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Change a key of every experiment.")
    ] = None,
    bench_overrides: Annotated[
        list[str] | None,
        typer.Option("--bench-set", metavar="KEY=VALUE", help="Change a key of every bench."),
    ] = None,
    processes: Annotated[
        int | None, typer.Option(min=1, metavar="N", help="Runs at once; none: one for each core.")
    ] = None,
    runs: Annotated[Path, typer.Option(metavar="DIR", help="Where runs are kept.")] = RUNS,
    data_dir: DataDir = None,
    look: Annotated[
        bool, typer.Option("--show", metavar=_FLAG, help="Run nothing: table and page of what there is.")
    ] = False,
    json: Json = False,
) -> None:
    """Run a study: cases x seeds on all cores, then a table, and a page of figures.

    Finished runs are kept: the same command goes on where it was stopped, or killed.
    """
    from hil.cli.compare import processes_here, run_study
    from hil.compare.plan import Options, asked_settings
    from hil.compare.select import seeds_of

    settings = asked_settings(overrides or (), bench_overrides or ())
    chosen = () if seeds is None else seeds_of(seeds)
    options = Options(runs, data_dir, chosen, tuple(only or ()), settings)
    raise typer.Exit(run_study(study, options, processes or processes_here(), not look, json))


@app.command()
def report(
    run: RunArgument = RUNS,
    output: Annotated[Path | None, typer.Option(help="Where to write; none: into the run's folder.")] = None,
    browse: Annotated[bool, typer.Option("--open", metavar=_FLAG, help="Show it in the browser.")] = False,
    json: Json = False,
) -> None:
    """Write the HTML report of a run: one file that needs nothing else."""
    from hil.cli.show import print_json
    from hil.report import write_report
    from hil.store import open_run

    opened = open_run(run)
    written = write_report(opened, output)
    if json:
        print_json({"run": str(opened.path), "report": str(written)})
    else:
        typer.echo(str(written))
    if browse:
        typer.launch(written.resolve().as_uri())


@app.command()
def show(run: RunArgument = RUNS, json: Json = False) -> None:
    """Say what a run is, how it stands and what it took; works while it is going on."""
    from hil.cli.show import print_json, print_run, run_document
    from hil.store import open_run

    opened = open_run(run)
    if json:
        print_json(run_document(opened))
    else:
        print_run(opened)


@app.command("runs")
def runs_command(
    root: Annotated[Path, typer.Argument(metavar="DIR", help="Where runs are kept.")] = RUNS,
    json: Json = False,
) -> None:
    """List the runs in a folder, oldest first."""
    from hil.cli.show import print_json, print_runs, runs_document
    from hil.store import list_runs

    found = list_runs(root)
    if json:
        print_json(runs_document(found))
    else:
        print_runs(found, root)


@app.command()
def virtual(
    bench: Annotated[Path, typer.Argument(metavar="BENCH.yaml", help="Bench file with virtual instruments.")],
    write_bench: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write the bench file that finds them where they are.")
    ] = None,
    bench_overrides: Annotated[
        list[str] | None, typer.Option("--bench-set", metavar="KEY=VALUE", help="Change a key of the bench.")
    ] = None,
) -> None:
    """Serve a bench's instruments without hardware, until Ctrl-C; devices keep their state meanwhile."""
    from hil.cli.virtual import serve_virtual

    serve_virtual(bench, write_bench, tuple(bench_overrides or ()))


@app.command()
def check(
    bench: Annotated[Path, typer.Argument(metavar="BENCH.yaml", help="Bench file.")],
    bench_overrides: Annotated[
        list[str] | None, typer.Option("--bench-set", metavar="KEY=VALUE", help="Change a key of the bench.")
    ] = None,
    json: Json = False,
) -> None:
    """Ask each instrument of a bench who it is and how it stands; nothing is output.

    Exit code 0: all are as the file says; 4: something is wrong with one, and it is said what to do.
    """
    from hil.cli.check import run_check

    raise typer.Exit(run_check(bench, tuple(bench_overrides or ()), json=json))


@app.command()
def safe(
    bench: Annotated[Path, typer.Argument(metavar="BENCH.yaml", help="Bench file.")],
    bench_overrides: Annotated[
        list[str] | None, typer.Option("--bench-set", metavar="KEY=VALUE", help="Change a key of the bench.")
    ] = None,
    json: Json = False,
) -> None:
    """Switch off the sources of a bench and open its relays, read back; what somebody left on.

    Exit code 0: all are safe, as they say themselves; 4: one could not be verified.
    """
    from hil.cli.safe import run_safe

    raise typer.Exit(run_safe(bench, tuple(bench_overrides or ()), json=json))


@app.command()
def wire(
    run: RunArgument = RUNS,
    role: Annotated[str | None, typer.Option(help="Only one instrument: smu, controller, …")] = None,
    last: Annotated[int | None, typer.Option(min=1, metavar="N", help="Only the last N.")] = None,
    grep: Annotated[str | None, typer.Option(metavar="TEXT", help="Only those with this text.")] = None,
    json: Json = False,
) -> None:
    """Show every message to and from the instruments of a run: > sent, < received, * happened."""
    from hil.cli.wire import Wanted, show_wire

    show_wire(run, Wanted(role, grep, last), json=json)


@app.command("list")
def list_command(
    kind: Annotated[Listed | None, typer.Argument(help="What to list; none: everything.")] = None,
    json: Json = False,
) -> None:
    """List what is installed: methods, drivers, device presets, data sets."""
    from hil.cli.listing import entries, print_entries
    from hil.cli.show import print_json

    listed = {each.value: entries(each.value) for each in (Listed if kind is None else [kind])}
    if json:
        print_json(listed)
    else:
        print_entries(listed)


@app.command()
def schema(
    what: Annotated[Described, typer.Argument(help="Which file.")],
    driver: Annotated[str, typer.Option(help="Driver of the bench file.")] = "sim",
) -> None:
    """Print the JSON Schema of a bench, experiment or study file: editors complete and check with it."""
    from hil.cli.listing import bench_schema, experiment_schema
    from hil.cli.show import print_json

    if what is Described.STUDY:
        from hil.compare.study import study_schema

        print_json(study_schema())
        return
    print_json(bench_schema(driver) if what is Described.BENCH else experiment_schema())


def _quoted(text: str) -> str:
    """Text as a YAML value that stays text, whatever it looks like."""
    import json

    return json.dumps(text)
