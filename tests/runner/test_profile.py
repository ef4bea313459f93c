"""``--profile`` and ``--json``: what bounded a run, for a person and for a script."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console
from typer.testing import CliRunner

from ctfast.cli import app
from ctfast.runner.console import print_report
from ctfast.runner.profile import Profile
from ctfast.runner.report import Report, Tally

Make = Callable[..., Path]


@pytest.mark.parametrize("bound", ["read", "compute", "write", "closing", "waiting"])
def test_the_largest_share_is_named_with_what_to_change(bound: str) -> None:
    seconds = {name: 6.0 if name == bound else 1.0 for name in ("read", "compute", "write", "closing", "waiting")}
    stages = {name: 2 * seconds[name] for name in ("read", "compute", "write")}
    profile = Profile.of(stages, 2, sum(seconds.values()), seconds["closing"])
    assert profile.bound == bound
    assert profile.shares == {name: round(spent / 10, 4) for name, spent in seconds.items()}
    assert f"{bound} 60%" in profile.text()


def test_no_time_at_all_is_no_division_by_zero() -> None:
    assert Profile.of({"read": 0.0, "compute": 0.0, "write": 0.0}, 1, 0.0, 0.0).bound == "waiting"


def test_json_alone_is_on_stdout(make_folder: Make, tmp_path: Path) -> None:
    folder = make_folder(3)
    (folder / "broken.tif").write_bytes(b"II*\0broken")
    words = ["run", str(folder), "--out", str(tmp_path / "out"), "--step", "median_filter size=3", "--pool", "threads"]
    done = CliRunner().invoke(app, [*words, "--json", "--profile"])
    assert done.exit_code == 1
    result = json.loads(done.stdout)
    assert (result["ok"], result["failed"], result["failures"][0]["input"]) == (3, 1, str(folder / "broken.tif"))
    assert result["profile"]["bound"] in result["profile"]["shares"]
    assert "bound by" in done.stderr


@pytest.mark.parametrize(
    ("files", "told"),
    [
        ([((64, 64), 20.0), ((64, 64), 20.1), ((64, 64), 0.01)], True),  # both workers waited for the first kernels
        ([((64, 64), 0.02), ((64, 64), 0.01)], False),
        ([((300, 64, 64), 30.0)], False),  # a volume by itself is long, and nothing was compiled
        ([((300, 64, 64), 30.0), ((64, 64), 0.1)], False),
        ([((64, 64), 3.0), ((64, 64), 4.0)], False),  # a slow pipeline
        ([], False),
    ],
)
def test_only_an_image_far_slower_than_another_waited_for_kernels(
    files: list[tuple[tuple[int, ...], float]], told: bool
) -> None:
    report = Report(out=Path("out"), pipeline="p", backend="cpu")
    for shape, seconds in files:  # each from a worker of its own
        tally = Tally()
        row: Any = {
            "status": "ok", "shape": list(shape), "input_bytes": 1, "notes": "", "orientation": "", "turned": "",
            "units": "hu", "read_seconds": 0.0, "compute_seconds": seconds, "write_seconds": 0.0,
        }  # fmt: skip
        tally.count(row, True)
        report.add(tally)
    assert report.waited_for_kernels is told
    json.dumps(report.to_dict(), allow_nan=False)
    shown = io.StringIO()
    print_report(report, Console(file=shown, width=100))
    assert ("kernels were compiled or loaded" in " ".join(shown.getvalue().split())) is told
