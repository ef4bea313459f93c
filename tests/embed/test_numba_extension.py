"""Numba finds our functions by itself: by its entry point, which imports nothing before it is needed."""

from __future__ import annotations

import os
import subprocess
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[2]
ENTRY_POINTS = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["entry-points"]

SCRIPT = """
import sys
import numba, numpy as np

@numba.njit
def called(f, x):
    return f(x)

@numba.njit
def other(x):
    return x + 1

assert other(1) == 2
try:
    called(lambda x: x, 1)
except numba.core.errors.TypingError:
    pass
assert not {"ctfast.ops", "ctfast.embed.numba_overloads", "ctkernels.cpu"} & set(sys.modules)

import ctfast

@numba.njit
def ours(x):
    return ctfast.rescale(x, slope=2.0)

print(ours(np.full((2, 2), 3, np.int16)).sum())
"""


def test_installed_ctfast_is_known_to_numba(tmp_path: Path) -> None:
    # As an installer leaves it, whether or not this tree is installed.
    meta = tmp_path / "site" / "ctfast_entry-0.dist-info"
    meta.mkdir(parents=True)
    (meta / "METADATA").write_text("Metadata-Version: 2.1\nName: ctfast-entry\nVersion: 0\n")
    lines = [f"[{group}]\n{name} = {target}\n" for group, of in ENTRY_POINTS.items() for name, target in of.items()]
    (meta / "entry_points.txt").write_text("".join(lines))
    script = tmp_path / "user.py"
    script.write_text(SCRIPT)
    path = os.pathsep.join([str(ROOT), str(ROOT / "kernels"), str(tmp_path / "site")])
    run = subprocess.run(
        [sys.executable, "-W", "error", script],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": path},
    )
    assert run.returncode == 0, run.stderr
    assert run.stdout.split() == ["24.0"]
