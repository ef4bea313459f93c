"""What a run imports: nothing that its files do not need, as each package costs every process part of a second."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import ctfast
from tests.files.files_build import DEFLATED, EXPLICIT, IMPLICIT, data_set, save, slice_hu

ROOT = Path(ctfast.__file__).parents[1]

RUN = """
import sys
from ctfast import Pipeline
from ctfast.runner import run

if __name__ == "__main__":
    pool, backend, format = sys.argv[3:]
    steps = Pipeline([{"operation": "window", "center": 40, "width": 400, "dtype": "uint8"}])
    report = run(sys.argv[1], sys.argv[2], steps, pool=pool, workers=1, backend=backend, format=format)
    assert (report.ok, report.failed) == (2, 0), report
    print(*sys.modules)
"""


COMMAND = """
import sys
from ctfast.cli import main

if __name__ == "__main__":
    sys.exit(main())
"""
"""As installers write it."""


def folder_of(tmp_path: Path, syntaxes: list[str]) -> Path:
    folder = tmp_path / "in"
    folder.mkdir()
    for number, syntax in enumerate(syntaxes):
        ds = data_set(slice_hu())
        ds.file_meta.TransferSyntaxUID = syntax
        save(ds, folder / f"{number}.dcm")
    return folder


def run_script(tmp_path: Path, script: str, *words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    (tmp_path / "script").write_text(script)
    env = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT / "kernels"), str(ROOT)]), **environment}
    command = [sys.executable, str(tmp_path / "script"), *words]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=env, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    return done


def imported(tmp_path: Path, syntaxes: list[str], *words: str) -> set[str]:
    folder = folder_of(tmp_path, syntaxes)
    done = run_script(tmp_path, RUN, str(folder), str(tmp_path / "out"), *words)
    return {name.partition(".")[0] for name in done.stdout.split()}


def test_plain_dicom_needs_no_pydicom(tmp_path: Path) -> None:
    found = imported(tmp_path, [EXPLICIT, IMPLICIT], "threads", "reference", "npy")
    assert not found & {"pydicom", "tifffile", "numba", "scipy", "requests", "typer", "rich"}


def test_other_dicom_imports_it(tmp_path: Path) -> None:
    assert "pydicom" in imported(tmp_path, [EXPLICIT, DEFLATED], "threads", "reference", "npy")


def test_who_starts_processes_reads_and_computes_nothing(tmp_path: Path) -> None:
    found = imported(tmp_path, [EXPLICIT, IMPLICIT], "processes", "cpu", "tif")
    assert not found & {"pydicom", "tifffile", "numba", "scipy", "requests"}


def test_worker_processes_of_the_command_need_no_command_line(tmp_path: Path) -> None:
    folder = folder_of(tmp_path, [EXPLICIT, IMPLICIT])
    words = ["--step", "window center=40 width=400 dtype=uint8", "--pool", "processes", "--workers", "1"]
    done = run_script(
        tmp_path, COMMAND, "run", str(folder), "--out", str(tmp_path / "out"), *words, PYTHONPROFILEIMPORTTIME="1"
    )
    lines = [line.rpartition("|")[2].strip() for line in done.stderr.splitlines() if line.startswith("import time:")]
    assert lines.count("ctfast.runner.work") == 2  # by who starts the processes, and by the server that forks them
    assert lines.count("ctfast.cli") == 1
