"""``--profile`` and ``--json``: what bounded a run, for a person and for a script."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner

from ctfast.cli import app
from ctfast.runner.profile import Profile

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
