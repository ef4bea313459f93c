"""The command line as a user types it: exit codes, words, files."""

from __future__ import annotations

import importlib
import json
import os
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import pytest
import typer
from typer.core import TyperCommand
from typer.testing import CliRunner

import ctfast
from ctfast.backend import NAMES
from ctfast.batch.choices import ON_ERROR, POOLS, UNITS
from ctfast.cli import app
from ctfast.cli.commands import COMMANDS, Commands
from ctfast.cli.examples import EXAMPLES
from ctfast.cli.group import in_words_of_options
from ctfast.cli.help import Command
from ctfast.cli.options import words
from ctfast.files import read_image, read_overview, write_image
from ctfast.files.formats import WRITTEN
from ctfast.tools.doctor import Finding, verdict

ROOT = Path(ctfast.__file__).parents[1]


def ctfast_command(*words: str | Path, **extra: str) -> subprocess.CompletedProcess[str]:
    env = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT / "kernels"), str(ROOT)]), "COLUMNS": "200", **extra}
    return subprocess.run(
        [sys.executable, "-m", "ctfast", *map(str, words)], capture_output=True, text=True, check=False, env=env
    )


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "in"
    folder.mkdir()
    for i in range(3):
        write_image(folder / f"s{i}.tif", np.full((20, 30), 100 * i, np.int16), units="hu")
    return folder


def test_run(folder: Path, tmp_path: Path) -> None:
    done = ctfast_command("run", folder, "--out", tmp_path / "out", "--preset", "mediastinum", "--backend", "cpu")
    assert done.returncode == 0, done.stderr
    assert "3 done, 0 failed" in done.stdout
    assert "Not a medical device" in done.stdout
    rows = [json.loads(line) for line in (tmp_path / "out" / "manifest.jsonl").read_text().splitlines()]
    assert [r["status"] for r in rows] == ["ok"] * 3
    assert all(Path(r["output"]).suffix == ".tif" for r in rows)


def test_exit_code_of_failures(folder: Path, tmp_path: Path) -> None:
    (folder / "bad.tif").write_text("no")
    done = ctfast_command("run", folder, "--out", tmp_path / "out", "--step", "median_filter size=3")
    assert done.returncode == 1
    assert "1 failed" in done.stdout
    assert "bad.tif" in done.stdout


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--preset", "moon"], "preset 'moon'"),
        ([], "exactly one is needed"),
        (["--preset", "lung", "--step", "summary"], "exactly one is needed"),
        (["--step", "median_filter size=0"], "size=0"),
        (["--pipeline", "nowhere.toml"], "nowhere.toml"),
        (["--preset", "lung", "--shard", "9/2"], "--shard"),
        (["--preset", "lung", "--on-error", "panic"], "--on-error 'panic'"),
        (["--preset", "lung", "--pool", "swimming"], "--pool 'swimming'"),
        (["--preset", "lung", "--backend", "cuda"], "cpu, gpu, reference"),
        (["--preset", "lung", "--format", "jpg"], "--format 'jpg'"),
    ],
)
def test_wrong_usage_is_exit_code_2_and_one_line(folder: Path, tmp_path: Path, words: list[str], message: str) -> None:
    done = ctfast_command("run", folder, "--out", tmp_path / "out", *words)
    assert done.returncode == 2
    assert message in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert not (tmp_path / "out").exists()


def test_a_gpu_that_is_not_there_is_never_replaced_in_silence(folder: Path, tmp_path: Path) -> None:
    if ctfast.backends()["gpu"].usable:
        return
    done = ctfast_command("run", folder, "--out", tmp_path / "out", "--preset", "lung", "--backend", "gpu")
    assert done.returncode == 2
    assert "can't be used here" in done.stderr


def test_dry_run(folder: Path, tmp_path: Path) -> None:
    done = ctfast_command("run", folder, "--out", tmp_path / "out", "--preset", "lung", "--dry-run")
    assert done.returncode == 0
    assert "3 files to do" in done.stdout
    assert str(tmp_path / "out" / "s0.tif") in done.stdout
    assert not (tmp_path / "out").exists()


def test_unknown_units_are_reported(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    np.save(tmp_path / "in" / "a.npy", np.ones((9, 9), np.int16))
    done = ctfast_command("run", tmp_path / "in", "--out", tmp_path / "out", "--preset", "lung")
    assert done.returncode == 0
    assert "1 files do not say that their values are HU" in done.stdout
    done = ctfast_command("run", tmp_path / "in", "--out", tmp_path / "o2", "--preset", "lung", "--values", "hu")
    assert "do not say" not in done.stdout


def test_pipeline_file(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "p.toml").write_text(ctfast.preset("bone").to_toml())
    done = ctfast_command("run", folder, "--out", tmp_path / "out", "--pipeline", tmp_path / "p.toml")
    assert done.returncode == 0, done.stderr
    assert ctfast.preset("bone").hash in done.stdout


def test_help_names_every_command() -> None:
    result = CliRunner().invoke(app, ["--help"])
    assert result.exit_code == 0
    shown = " ".join(result.output.split())
    network = ("train", "evaluate", "predict", "export")
    for command in ("run", "merge", "presets", "doctor", "synth", "demo", "bench", "warm", "report", *network):
        assert command in shown
    assert "Not a medical device" in shown


@pytest.mark.parametrize("command", list(COMMANDS))
def test_the_list_of_commands_says_what_their_help_begins_with(command: str) -> None:
    entry = COMMANDS[command]
    function = getattr(importlib.import_module(f"ctfast.cli.{entry.module}"), command)
    assert entry.text == function.__doc__.splitlines()[0]


def test_commands_can_be_added_and_taken_away() -> None:
    commands = Commands({})
    commands["more"] = commands["presets"]
    assert (list(commands), len(commands)) == ([*COMMANDS, "more"], len(COMMANDS) + 1)
    del commands["more"], commands["run"]
    assert ("more" in commands, "run" in commands, "presets" in commands) == (False, False, True)
    with pytest.raises(KeyError):
        commands["unknown"]


def test_values_of_options_are_those_that_typer_makes() -> None:
    made: list[tuple[Any, ...]] = []

    def command(
        several: list[str],
        path: Path | None = None,
        word: str = "a",
        number: int = 1,
        limited: Annotated[int, typer.Option(min=2)] = 2,
        real: float = 0.5,
        more: Annotated[list[str] | None, typer.Option()] = None,
        flag: bool = False,
    ) -> None:
        made.append((several, path, word, number, limited, real, more, flag))

    for kind in (Command, TyperCommand):
        alone = typer.Typer(rich_markup_mode=None)
        alone.command(cls=kind)(command)
        for typed in (
            ["x"],
            ["x", "y", "--path", "p/q", "--word", "", "--number", "-3", "--real", "7", "--flag"],
            ["x", "--more", "1", "--more", "b", "--limited", "4"],
        ):
            assert CliRunner().invoke(alone, typed).exit_code == 0
        refused = [
            CliRunner().invoke(alone, ["x", *typed]) for typed in (["--number", "z"], ["--limited", "1"], ["--real"])
        ]
        made.append(tuple((done.exit_code, done.stderr) for done in refused))
    half = len(made) // 2
    assert made[:half] == made[half:]
    assert [[type(value) for value in row] for row in made[:half]] == [[type(v) for v in row] for row in made[half:]]
    assert made[1] == (["x", "y"], Path("p/q"), "", -3, 2, 7.0, None, True)


def test_help_names_what_is_allowed() -> None:
    shown = " ".join(CliRunner().invoke(app, ["run", "--help"], env={"COLUMNS": "200"}).output.split())
    for allowed in (("auto", *NAMES), POOLS, ON_ERROR, UNITS, [row.word for row in WRITTEN]):
        assert words(allowed) in shown


@pytest.mark.parametrize("command", ["run", "report", "train", "evaluate", "predict"])
def test_values_is_units(command: str) -> None:
    parameters = typer.main.get_command(app).commands[command].params  # type: ignore[attr-defined]
    assert ["--units", "--values"] in [p.opts for p in parameters]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("on_error='halt': one of skip, stop is allowed", "--on-error 'halt': one of skip, stop is allowed"),
        ("units='HU': one of", "--units 'HU': one of"),
        ("x.html exists: give overwrite=True", "x.html exists: give --overwrite"),
        ("which one? Give pool= one of", "which one? Give --pool one of"),
        ("seed=1 and a.units='x'", "seed=1 and a.units='x'"),
        ("--step 'clahe units=3': units=3: no", "--step 'clahe units=3': units=3: no"),
    ],
)
def test_errors_speak_of_options(text: str, expected: str) -> None:
    parameters = typer.main.get_command(app).commands["run"].params  # type: ignore[attr-defined]
    assert in_words_of_options(text, parameters) == expected


def test_an_interrupted_command_says_whether_it_resumes(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def interrupt(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("ctfast.runner.plan", interrupt)
    monkeypatch.setattr("ctfast.tools.warm.compile_all", interrupt)
    runs = CliRunner().invoke(app, ["run", str(tmp_path), "--out", str(tmp_path / "out"), "--preset", "lung"])
    assert (runs.exit_code, "again to continue" in runs.stderr) == (130, True)
    other = CliRunner().invoke(app, ["warm"])
    assert (other.exit_code, other.stderr) == (130, "ctfast: interrupted\n")


def test_a_folder_that_cannot_be_written_is_one_line(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    done = ctfast_command("run", folder, "--out", tmp_path / "file" / "sub", "--preset", "lung")
    assert done.returncode == 2
    assert "Not a directory" in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_version_and_presets() -> None:
    assert ctfast_command("--version").stdout.strip() == f"ctfast {ctfast.__version__}"
    shown = ctfast_command("presets").stdout
    for name, preset in ctfast.PRESETS.items():
        assert f"\n{name} " in shown
        assert preset.use in shown
    one = ctfast_command("presets", "liver").stdout
    assert ctfast.PRESETS["liver"].source in one
    assert ctfast.PRESETS["liver"].limits in one
    assert "did you mean mediastinum-plain?" in ctfast_command("presets", "mediastinum-plane").stderr


def test_doctor_tells_every_backend_and_extra() -> None:
    done = ctfast_command("doctor")
    assert done.returncode == 0, done.stderr
    for word in ("backend cpu", "backend gpu", "extra dicom", "extra codecs", "cores", "thread pool", "numba"):
        assert word in done.stdout, word
    assert "differs" not in done.stdout
    assert done.stdout.splitlines()[-1].startswith("ctfast can be used here, on the CPU")


def test_the_doctor_names_what_ctfast_cannot_do_without() -> None:
    found = [Finding("numba", False, "not installed"), Finding("extra nn", False, "missing jax")]
    assert verdict(found) == "ctfast can't be used here as it should: numba, see above"
    assert verdict([*found[1:], Finding("backend gpu", True, "")]).startswith("ctfast can be used here, on the CPU and")


def test_synth_makes_the_kaggle_layout(tmp_path: Path) -> None:
    done = ctfast_command("synth", tmp_path / "set", "--count", "6", "--seed", "3", "--size", "96")
    assert done.returncode == 0, done.stderr
    records = read_overview(tmp_path / "set" / "overview.csv")
    assert len(records) == 6
    tiffs = sorted((tmp_path / "set" / "tiff_images").iterdir())
    dicoms = sorted((tmp_path / "set" / "dicom_dir").iterdir())
    assert [t.stem for t in tiffs] == [d.stem for d in dicoms]
    import tifffile

    for tiff, dicom in zip(tiffs, dicoms, strict=True):
        assert tifffile.imread(tiff).dtype == np.float64
        a, b = read_image(tiff), read_image(dicom)
        assert a.units == b.units == "hu"
        np.testing.assert_array_equal(a.pixels, b.pixels)
        if (b.pixels < -1024).any():
            assert b.padding == b.pixels.min()
    again = ctfast_command("synth", tmp_path / "again", "--count", "2", "--seed", "3", "--size", "96", "--no-dicom")
    assert again.returncode == 0
    for path in (tmp_path / "again" / "tiff_images").iterdir():
        assert path.read_bytes() == (tmp_path / "set" / "tiff_images" / path.name).read_bytes()
    refused = ctfast_command("synth", tmp_path / "set")
    assert refused.returncode == 2
    assert "not an empty folder" in refused.stderr


def test_bench_recommends_what_run_then_takes(folder: Path, tmp_path: Path) -> None:
    cache = {"XDG_CACHE_HOME": str(tmp_path / "cache")}
    words = ("bench", "--size", "64", "--images", "2", "--dtype", "uint8", "--operation", "median_filter")
    done = ctfast_command(*words, "--operation", "window", **cache)
    assert done.returncode == 0, done.stderr
    assert "recommended: cpu" in done.stdout
    assert "exact" in done.stdout
    kept = tmp_path / "cache" / "ctfast" / "recommendation.json"
    assert {t["error"] for t in json.loads(kept.read_text())["timings"]} == {0.0}
    kept.write_text(json.dumps({"backend": "reference"}))
    run = ctfast_command("run", folder, "--out", tmp_path / "a", "--step", "median_filter size=3", **cache)
    assert "backend reference" in run.stdout
    words = ("run", folder, "--out", tmp_path / "b", "--step", "median_filter size=3", "--backend", "cpu")
    assert "backend cpu" in ctfast_command(*words, **cache).stdout
    kept.write_text("broken")
    run = ctfast_command("run", folder, "--out", tmp_path / "c", "--step", "median_filter size=3", **cache)
    assert "backend cpu" in run.stdout
    refused = ctfast_command("bench", "--dtype", "int64", **cache)
    assert refused.returncode == 2
    assert "uint8, int16" in refused.stderr


def test_report(folder: Path, tmp_path: Path) -> None:
    page = tmp_path / "r.html"
    done = ctfast_command("report", folder, "--out", page, "--csv", tmp_path / "t.csv")
    assert done.returncode == 0, done.stderr
    assert "medical device" in page.read_text(encoding="utf-8")
    assert len((tmp_path / "t.csv").read_text().splitlines()) == 4
    refused = ctfast_command("report", folder, "--out", page)
    assert refused.returncode == 2
    assert "exists" in refused.stderr


WITHOUT_JAX = """
from ctfast import cli

def without_jax(**_):
    raise ModuleNotFoundError("No module named 'jax'", name="jax")

cli.app = without_jax
cli.main()
"""


def test_a_missing_extra_is_named() -> None:
    # In a process of its own, because from its end on a command lets signals do as the system has it.
    done = subprocess.run([sys.executable, "-c", WITHOUT_JAX], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert 'pip install "ctfast[nn]"' in done.stderr


def test_a_run_without_statistics_says_so(folder: Path, tmp_path: Path) -> None:
    without = ctfast_command("run", folder, "--out", tmp_path / "a", "--step", "median_filter size=3")
    assert "no summary.csv and statistics.npz" in without.stdout
    having = ctfast_command("run", folder, "--out", tmp_path / "b", "--step", "summary")
    assert "no summary.csv" not in having.stdout
    assert (tmp_path / "b" / "summary.csv").exists()


def _commands() -> dict[str, Any]:
    commands: dict[str, Any] = typer.main.get_command(app).commands  # type: ignore[attr-defined]
    return commands


@pytest.mark.parametrize("columns", [60, 80, 100])
@pytest.mark.parametrize("command", [None, *_commands()])
def test_help_is_complete_on_every_screen(command: str | None, columns: int) -> None:
    typed = [] if command is None else [command]
    shown = CliRunner().invoke(app, [*typed, "--help"], terminal_width=columns).output
    assert max(map(len, shown.splitlines())) <= columns
    if command is None:
        assert all(name in shown for name in _commands())
        return
    for option in _commands()[command].params:
        if option.param_type_name == "option":
            assert all(name in shown for name in option.opts), option.opts
            assert option.help.split()[-1] in shown.replace("\n", " "), option.help


def test_every_command_with_inputs_has_an_example_and_all_parse() -> None:
    commands = _commands()
    assert {"run", "report", "train", "evaluate", "predict", "export"} <= set(EXAMPLES) <= set(commands)
    for name, lines in EXAMPLES.items():
        for typed in "\n".join(lines).replace("\\\n", " ").splitlines():
            program, command, *rest = shlex.split(typed.partition(" > ")[0])
            assert (program, command) == ("ctfast", name)
            assert commands[command].make_context(command, rest).params, typed


def test_presets_as_toml(tmp_path: Path) -> None:
    for name in ("lung", "denoise"):
        (tmp_path / "p.toml").write_text(CliRunner().invoke(app, ["presets", name, "--toml"]).output)
        assert ctfast.Pipeline.from_file(tmp_path / "p.toml") == ctfast.preset(name)
    assert "--toml" in ctfast_command("presets", "--toml").stderr
    refused = ctfast_command("presets", "moon")
    assert (refused.returncode, "'moon'" in refused.stderr) == (2, True)


@pytest.mark.parametrize(
    ("words", "expected"),
    [("run --preset li", {"liver", "liver-plain"}), ("pr", {"presets", "predict"}), ("export --over", {"--overwrite"})],
)
def test_tab_completes(words: str, expected: set[str]) -> None:
    typed = f"ctfast {words}"
    done = ctfast_command(_CTFAST_COMPLETE="complete_bash", COMP_WORDS=typed, COMP_CWORD=str(len(typed.split()) - 1))
    assert set(done.stdout.split()) == expected


@pytest.mark.parametrize("words", ["--workers=0", "--workers=-1", "--workers=two", "--workers=1.5", "--offset=-1_"])
def test_numbers_that_are_none_or_not_allowed_are_refused(words: str) -> None:
    done = CliRunner().invoke(app, ["run", "nowhere", "--out", "nothing", words])
    assert done.exit_code == 2
    assert words.partition("=")[0] in done.output
