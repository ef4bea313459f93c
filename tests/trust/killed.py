"""Commands that are killed at random moments and called again: their results against those of an undisturbed call."""

from __future__ import annotations

import json
import os
import random
import re
import resource
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np

from ctfast.batch.held import CLAIM

ROOT: Final = Path(__file__).resolve().parents[2]
ENVIRONMENT: Final = {
    **os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT / "kernels"), str(ROOT)]), "JAX_PLATFORMS": "cpu",
}  # fmt: skip
STEPS: Final = (
    "--step", "window center=0 width=400 dtype=uint8", "--step", "median_filter size=5",
    "--step", "histogram bins=32 value_range=0,256", "--step", "summary",
)  # fmt: skip

# Not in the child of a fork, which JAX's threads in this process would not survive.
_LIMITED: Final = (
    "import os, resource, sys; resource.setrlimit(int(sys.argv[1]), (int(sys.argv[2]),) * 2); "
    "os.execv(sys.executable, [sys.executable, '-m', 'ctfast', *sys.argv[3:]])"
)


@dataclass(frozen=True)
class Command:
    """One command on prepared inputs.

    Attributes:
        name: of the command.
        words: from the place of its results, the words of the command line.
        results: what it left, without times and places.
    """

    name: str
    words: Callable[[Path], list[str]]
    results: Callable[[Path], Any]

    def start(self, out: Path, limit: tuple[int, int] | None = None, **options: Any) -> subprocess.Popen[str]:
        """The process, in a group of its own; ``limit`` is a resource of the system and how much there is of it."""
        command = [sys.executable, "-c", _LIMITED, *map(str, limit or (resource.RLIMIT_CORE, 0)), *self.words(out)]
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **options}
        return subprocess.Popen(command, env=ENVIRONMENT, text=True, start_new_session=True, **pipes)

    def finish(self, out: Path) -> tuple[int, str]:
        """Run to the end: exit code and everything that it said."""
        process = self.start(out)
        said = "".join(process.communicate(timeout=600))
        return process.returncode, said


def write_inputs(folder: Path, files: int = 40, seed: int = 0) -> Path:
    """Two classes of small slices, one of them brighter."""
    from ctfast.files import write_image

    rng = np.random.default_rng(seed)
    for k in range(files):
        label = ("dark", "bright")[k % 2]
        (folder / label).mkdir(parents=True, exist_ok=True)
        hu = rng.normal(-100 + 400 * (k % 2), 150, (48, 48)).astype(np.int16)
        write_image(folder / label / f"{label}{k:04d}.tif", hu, units="hu")
    return folder


def commands(work: Path) -> dict[str, Command]:
    """The commands that can be killed; ``work`` holds their inputs, made at the first call."""
    inputs, trained = work / "in", work / "trained"
    if not inputs.exists():
        write_inputs(inputs)
    training = ["train", str(inputs), "--size", "16", "--widths", "4", "--dense", "4", "--batch-size", "8",
                "--no-plots", "--validation", "0.3", "--path", "xla"]  # fmt: skip
    made = [
        Command("run", lambda out: ["run", str(inputs), "--out", str(out), *STEPS], run_results),
        Command("run --cluster local", lambda out: ["run", str(inputs), "--out", str(out), "--cluster", "local",
                                                    "--workers", "2", *STEPS], run_results),
        Command("report", lambda out: ["report", str(inputs), "--out", f"{out}.html", "--csv", f"{out}.csv", "--json",
                                       f"{out}.json", "--overwrite"], report_results),
        Command("train", lambda out: [*training, "--out", str(out), "--epochs", "6", "--resume"], train_results),
        Command("predict", lambda out: ["predict", str(trained), str(inputs), "--csv", f"{out}.csv", "--batch-size",
                                        "4"], predict_results),
        Command("evaluate", lambda out: ["evaluate", str(trained), str(inputs), "--out", str(out), "--no-plots",
                                         "--overwrite"], evaluate_results),
    ]  # fmt: skip
    return {command.name: command for command in made}


def prepare_model(work: Path) -> None:
    """The trained run that predictions and evaluations need."""
    if not (work / "trained").exists():
        code, said = commands(work)["train"].finish(work / "trained")
        assert code == 0, said


def run_results(out: Path) -> Any:
    """Rows, statistics, outputs and the names of everything that is there."""
    rows = [json.loads(line) for line in (out / "manifest.jsonl").read_text().splitlines()]
    for row in rows:
        for key in [k for k in row if k.endswith("seconds") or k in ("started", "output")]:
            del row[key]
    archive = np.load(out / "statistics.npz")
    files = sorted(p.relative_to(out).as_posix() for p in out.rglob("*") if p.is_file())
    pixels = {name: (out / name).read_bytes() for name in files if name.endswith(".tif")}
    return rows, archive["counts"].tolist(), (out / "failures.csv").read_text(), files, pixels


def report_results(out: Path) -> Any:
    """Table and flags; the page tells how long it took."""
    names = sorted(p.name for p in out.parent.iterdir() if p.name.startswith((out.name, ".ctfast")))
    page = re.sub(r"measured in [^<]*", "", Path(f"{out}.html").read_text())
    return names, len(page), Path(f"{out}.csv").read_text(), Path(f"{out}.json").read_text()


def train_results(out: Path) -> Any:
    """Every epoch's numbers, the evaluation, and which files there are."""
    history = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
    numbers = [{k: v for k, v in row.items() if "second" not in k} for row in history]
    names = sorted(p.name for p in out.iterdir() if p.name != CLAIM)
    return numbers, (out / "validation.json").read_text(), names, len(list((out / "checkpoints").iterdir()))


def predict_results(out: Path) -> Any:
    """The table, byte for byte."""
    return Path(f"{out}.csv").read_bytes()


def evaluate_results(out: Path) -> Any:
    """The record and the table, byte for byte."""
    names = sorted(p.name for p in out.iterdir() if p.name != CLAIM)
    return names, *((out / name).read_bytes() for name in ("evaluation.json", "predictions.csv"))


def kill_and_resume(
    command: Command, out: Path, seconds: float, chance: random.Random, kills_wanted: tuple[int, int]
) -> int:
    """Start, kill some times at random moments within ``seconds``, call again until it ends; how many kills hit.

    A call that ends before it is killed is made anew, and killed sooner.

    Raises:
        AssertionError: the last call failed.
    """
    kills, wanted = 0, chance.randint(*kills_wanted)
    for _ in range(4 * wanted):
        process = command.start(out, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        time.sleep(chance.uniform(0.05, 1.0) * seconds)
        if process.poll() is None:
            os.killpg(process.pid, chance.choice((signal.SIGKILL, signal.SIGKILL, signal.SIGTERM)))
            kills += 1
        elif not kills:
            seconds *= 0.6
            for left in (p for p in out.parent.iterdir() if re.fullmatch(rf"{out.name}(\.\w+)?", p.name)):
                shutil.rmtree(left) if left.is_dir() else left.unlink()
        process.wait(120)
        if kills == wanted:
            break
    code, said = command.finish(out)
    assert code == 0, f"{command.name} after {kills} kills: exit code {code}\n{said[-2000:]}"
    return kills


def kills_survived(
    name: str, work: Path, trials: int, seed: int = 0, kills_wanted: tuple[int, int] = (1, 2)
) -> tuple[int, int]:
    """Trials whose results equal an undisturbed call's, and kills in all of them.

    Raises:
        AssertionError: one does not.
    """
    if name in ("predict", "evaluate"):
        prepare_model(work)
    command, chance, kills = commands(work)[name], random.Random(f"{name}:{seed}"), 0
    start, alone = time.perf_counter(), work / f"{name.replace(' ', '')}-alone"
    code, said = command.finish(alone)
    seconds = time.perf_counter() - start
    assert code == 0, said
    expected = command.results(alone)
    for trial in range(trials):
        out = work / f"{name.replace(' ', '')}-{trial}"
        kills += kill_and_resume(command, out, seconds, chance, kills_wanted)
        expected_here = renamed(expected, alone.name, out.name)
        assert renamed(command.results(out), out.name, out.name) == expected_here, f"{name}, trial {trial}"
    return trials, kills


def renamed(results: Any, old: str, new: str) -> Any:
    """Results with the name of their place in it replaced."""
    if isinstance(results, str):
        return results.replace(old, new)
    return type(results)(renamed(r, old, new) for r in results) if isinstance(results, tuple | list) else results
