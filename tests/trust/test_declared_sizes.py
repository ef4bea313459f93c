"""A size that a file declares is held against what is there before memory is taken, in every format."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.trust.lying_files import lies

ROOT = Path(__file__).resolve().parents[2]
MOST = 100 << 20
WHOLE = {"longer.nrrd"}
"""Have all their pixels, and more."""


@pytest.mark.skipif(not os.access("/proc/self/clear_refs", os.W_OK), reason="peaks of memory are not told here")
def test_lies_cost_no_memory(tmp_path: Path) -> None:
    env = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT / "kernels"), str(ROOT)])}
    command = [sys.executable, "-m", "tests.trust.lying_files", str(tmp_path)]
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=True)
    answers = [line.split("\t") for line in done.stdout.splitlines()]
    assert [name for name, *_ in answers] == list(lies())
    for name, peak, _, answer in answers:
        assert int(peak) < MOST, (name, peak, answer)
        assert answer == "nothing" if name in WHOLE else answer.startswith("FileFormatError: "), (name, answer)


def test_a_peak_is_seen(tmp_path: Path) -> None:
    """An honest file costs the memory of its pixels."""
    code = (
        "import sys, numpy as np\nfrom pathlib import Path\nfrom tests.trust.lying_files import peak_after_reading\n"
        f"path = Path({str(tmp_path / 'a.npy')!r})\nnp.save(path, np.ones((8192, 8192), np.int16))\n"
        "peak_after_reading(path)\nprint(peak_after_reading(path)[1])"
    )
    env = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT / "kernels"), str(ROOT)])}
    done = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, check=True)
    assert int(done.stdout) > MOST
