"""Runs from and to a storage that speaks S3 are those of a disk, whatever happens to it meanwhile."""

from __future__ import annotations

import csv
import io
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile

from ctfast.errors import MachineError
from ctfast.files import read_image, write_image
from ctfast.runner import merge, run
from tests.remote.conftest import PIPELINE, STEPS, Cli, Server, ctfast

RECORDS = {"manifest.jsonl", "statistics.jsonl"}
"""What holds times."""


def rows(manifest: bytes) -> list[dict[str, Any]]:
    """Lines without times."""
    lines = [json.loads(line) for line in manifest.splitlines()]
    return [
        {k: v for k, v in line.items() if "seconds" not in k and k not in ("started", "input_mtime")} for line in lines
    ]


def on_disk(folder: Path) -> dict[str, bytes]:
    files = (path for path in folder.rglob("*") if path.is_file() and path.name != "manifest.lock")
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


def same(remote: dict[str, bytes], local: dict[str, bytes]) -> None:
    assert sorted(remote) == sorted(local)
    assert {name: data for name, data in remote.items() if name not in RECORDS} == {
        name: data for name, data in local.items() if name not in RECORDS
    }
    assert rows(remote["manifest.jsonl"]) == rows(local["manifest.jsonl"])


@pytest.mark.parametrize("pool", ["threads", "processes"])
def test_a_run_equals_that_on_a_disk(s3: Server, folder: Path, tmp_path: Path, pool: str) -> None:
    local = run(folder, tmp_path / "out", PIPELINE)
    s3.fill("scans", folder)
    report = run("s3://scans/in", "s3://scans/out", PIPELINE, workers=2, pool=pool)
    assert (report.ok, report.failed, report.ignored) == (local.ok, local.failed, local.ignored) == (6, 1, 2)
    same(s3.contents("scans/out"), on_disk(tmp_path / "out"))
    again = run("s3://scans/in", "s3://scans/out", PIPELINE)
    assert (again.ok, again.done_before, again.failed, list(again.gone)) == (0, 6, 1, [])
    same(s3.contents("scans/out"), on_disk(tmp_path / "out"))


def test_from_a_disk_and_to_a_disk(s3: Server, folder: Path, tmp_path: Path) -> None:
    s3.fill("scans", folder)
    run(folder, tmp_path / "out", PIPELINE)
    assert run(folder, "s3://scans/sent", PIPELINE).ok == 6
    assert run("s3://scans/in", tmp_path / "fetched", PIPELINE).ok == 6
    images = {name: data for name, data in on_disk(tmp_path / "out").items() if name.endswith(".tif")}
    for found in (s3.contents("scans/sent"), on_disk(tmp_path / "fetched")):
        assert {name: data for name, data in found.items() if name.endswith(".tif")} == images
    assert run("s3://scans/in", tmp_path / "fetched", PIPELINE, verify=True).done_before == 6


def test_patterns_and_single_files(s3: Server, folder: Path, tmp_path: Path) -> None:
    s3.fill("scans", folder)
    assert run("s3://scans/in/sub/*.tif", tmp_path / "one", PIPELINE).ok == 2
    assert run(["s3://scans/in/a.tif", folder / "b.tif"], tmp_path / "two", PIPELINE).ok == 2
    image = read_image("s3://scans/in/sub/c.tif")
    np.testing.assert_array_equal(image.pixels, read_image(folder / "sub" / "c.tif").pixels)
    assert str(image.source) == "s3://scans/in/sub/c.tif"


def test_what_changed_is_done_again(s3: Server, folder: Path) -> None:
    s3.fill("scans", folder)
    run("s3://scans/in", "s3://scans/out", PIPELINE)
    write_image(folder / "a.tif", np.zeros((9, 8), np.int16), units="hu")
    files = s3.files
    files.pipe_file("scans/in/a.tif", (folder / "a.tif").read_bytes())
    files.pipe_file("scans/in/b.tif", b"II*\0broken")
    files.rm_file("scans/out/e.tif")
    time.sleep(1.1)  # times of objects are whole seconds
    files.pipe_file("scans/in/sub/c.tif", (folder / "sub" / "c.tif").read_bytes())
    report = run("s3://scans/in", "s3://scans/out", PIPELINE)
    assert (report.ok, report.failed, report.done_before) == (2, 2, 3), "the same bytes with a new time are not done"
    assert any(row["error"].endswith("its earlier output is now b.tif.stale") for row in report.failures)
    there = s3.contents("scans/out")
    assert "b.tif" not in there
    assert "b.tif.stale" in there
    files.pipe_file("scans/in/b.tif", (folder / "b.tif").read_bytes())
    assert run("s3://scans/in", "s3://scans/out", PIPELINE).ok == 1
    assert "b.tif.stale" not in s3.contents("scans/out")


def test_shards_are_merged(s3: Server, folder: Path, tmp_path: Path) -> None:
    s3.fill("scans", folder)
    run(folder, tmp_path / "out", PIPELINE)
    run("s3://scans/in", "s3://scans/out", PIPELINE, shard=(1, 2))
    assert merge("s3://scans/out").missing == (2,)
    run("s3://scans/in", "s3://scans/out", PIPELINE, shard=(2, 2))
    merged = merge("s3://scans/out")
    assert (merged.missing, merged.files) == ((), {"skipped": 2, "ok": 6, "failed": 1})
    found = {name: data for name, data in s3.contents("scans/out").items() if "-of-2" not in name}
    local = on_disk(tmp_path / "out")
    del local["statistics.jsonl"]  # each shard's has its own
    same(found, local)


def test_a_copy_on_a_disk_goes_on(s3: Server, folder: Path, tmp_path: Path) -> None:
    s3.fill("scans", folder)
    run("s3://scans/in", "s3://scans/out", PIPELINE)
    s3.files.get("scans/", str(tmp_path / "copy"), recursive=True)
    report = run(tmp_path / "copy" / "in", tmp_path / "copy" / "out", PIPELINE)
    assert (report.ok, report.done_before, list(report.gone)) == (0, 6, [])


def many(folder: Path) -> Path:
    """More images than are at work at once."""
    image = (folder / "a.tif").read_bytes()
    for path in folder.rglob("*"):
        if path.is_file():
            path.unlink()
    for i in range(40):
        (folder / f"{i:02d}.tif").write_bytes(image)
    return folder


@pytest.mark.parametrize("trouble", ["no bucket", "no access"])
def test_a_storage_that_goes_away_ends_the_run_and_nothing_is_lost(
    s3: Server, folder: Path, tmp_path: Path, trouble: str
) -> None:
    s3.fill("scans", many(folder))

    def progress(done: int, **_: Any) -> None:
        if done >= 4:
            if trouble == "no bucket":
                s3.ask("reset")
            else:
                s3.ask("reset-auth", b"0")

    with pytest.raises(
        MachineError, match=r"s3://scans/.*bucket does not exist|s3://scans/.*(Access|credentials)"
    ) as failed:
        run("s3://scans/in", "s3://scans/out", PIPELINE, workers=1, progress=progress)
    assert "then run the same command again" in str(failed.value)
    s3.ask("reset-auth", b"inf")
    if trouble == "no bucket":
        s3.fill("scans", folder)
    else:
        for name, data in s3.contents("scans/out").items():
            if name.endswith(".tif"):
                tifffile.imread(io.BytesIO(data))
    report = run("s3://scans/in", "s3://scans/out", PIPELINE)
    assert (report.ok + report.done_before, report.failed) == (40, 0)
    run(folder, tmp_path / "out", PIPELINE)
    same(s3.contents("scans/out"), on_disk(tmp_path / "out"))


def test_a_killed_run_goes_on(s3: Server, folder: Path, tmp_path: Path) -> None:
    s3.fill("scans", many(folder))
    command = ctfast("run", "s3://scans/in", "--out", "s3://scans/out", *STEPS, "--pool", "threads", "--workers", "1")
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(map(os.path.abspath, sys.path))}
    victim = subprocess.Popen(command, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    files, deadline = s3.files, time.monotonic() + 60
    while time.monotonic() < deadline and len(files.find("scans/out", refresh=True)) < 6 and victim.poll() is None:
        files.invalidate_cache()
    victim.send_signal(signal.SIGKILL)
    victim.wait()
    report = run("s3://scans/in", "s3://scans/out", PIPELINE)
    assert (report.ok + report.done_before, report.failed) == (40, 0)
    run(folder, tmp_path / "out", PIPELINE)
    same(s3.contents("scans/out"), on_disk(tmp_path / "out"))


def test_credentials_that_do_not_fit(s3: Server, folder: Path, cli: Cli, tmp_path: Path) -> None:
    s3.fill("scans", folder)
    s3.ask("reset-auth", b"0")
    refused = cli("run", "s3://scans/in", "--out", "s3://scans/out", *STEPS)
    assert refused.returncode == 3, refused.stdout + refused.stderr
    assert "credentials" in refused.stderr
    assert "Traceback" not in refused.stderr
    assert not list((tmp_path / "here").iterdir()), "no folder named s3:"


def test_report_and_predict_read_from_it(s3: Server, folder: Path, tmp_path: Path) -> None:
    pytest.importorskip("jax", reason="the network needs JAX, which is not installed")
    from ctfast.analysis.scan.scan_set import collect
    from ctfast.model.commands.predict import predict_files
    from tests.model.serving_build import tiny_run

    s3.fill("scans", folder)
    there, here = (collect([source]) for source in ("s3://scans/in", folder))
    assert [(r.name, r.hash, r.stats) for r in there.records] == [(r.name, r.hash, r.stats) for r in here.records]
    assert len(there.unread) == len(here.unread) == 1
    network = tiny_run()
    tables = [tmp_path / "there.csv", tmp_path / "here.csv"]
    reports = [predict_files(network, source, table) for source, table in zip(("s3://scans/in", folder), tables)]
    assert [(r.ok, r.failed) for r in reports] == [(6, 1), (6, 1)]
    rows = [[row[:4] for row in csv.reader(io.StringIO(table.read_text()))] for table in tables]
    assert [row[1:] for row in rows[0]] == [row[1:] for row in rows[1]]
    assert rows[0][1][0].startswith("s3://scans/in/")
    again = predict_files(network, "s3://scans/in", tables[0])
    assert (again.done_before, again.ok, again.failed) == (6, 0, 1)
