"""Functions that compiled code calls: linked into it, on the disk for the next caller, whole when Python calls them."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numba
import numpy as np
import pytest

import ctfast
from ctkernels.cpu._core.jit import jit, jit_reassociate
from ctkernels.cpu._core.kernel import Kernel, PartLibrary
from ctkernels.cpu._core.viewed import flat, viewed

ROOT = Path(ctfast.__file__).parents[1]


@pytest.fixture(autouse=True)
def _nothing_on_the_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(numba.config, "CACHE_DIR", str(tmp_path / "compiled"))


def parts(kernel: Kernel) -> list[bool]:
    return [isinstance(made.library, PartLibrary) for made in kernel.overloads.values()]


def test_python_calls_what_compiled_code_called_first() -> None:
    @jit
    def scaled(x, factor):
        total = 0.0
        for i in range(x.size):
            total += x[i] * factor
        return total

    @jit
    def both(x):
        return scaled(x, 2.0) + scaled(x, 3.0)

    x = np.arange(5.0)
    assert both(x) == 50.0
    assert parts(scaled) == [True]
    assert parts(both) == [False]
    assert scaled(x, 2.0) == 20.0
    assert parts(scaled) == [False]
    assert both(x) == 50.0

    @jit
    def again(x):
        return scaled(x, 4.0)

    assert again(x) == 40.0
    assert parts(scaled) == [False], "what is compiled whole is taken as it is"
    assert scaled(x.astype(np.int64), 2.0) == 20.0, "other types"


def test_errors_of_parts_reach_python() -> None:
    @jit
    def refused(n):
        if n > 2:
            raise ValueError("too many", n)
        return n

    @jit
    def asked(n):
        return refused(n) + 1

    assert asked(1) == 2
    with pytest.raises(ValueError, match="too many") as error:
        asked(7)
    assert error.value.args == ("too many", 7)


def test_sums_in_an_order_of_their_own_are_compiled_by_themselves() -> None:
    @jit_reassociate
    def total(x):
        s = 0.0
        for i in range(x.size):
            s += x[i]
        return s

    @jit
    def mean(x):
        return total(x) / x.size

    x = np.random.default_rng(0).normal(size=1001)
    assert mean(x) == total(x) / 1001
    assert parts(total) == [False]


def test_the_next_process_finds_parts_on_the_disk(tmp_path: Path) -> None:
    (tmp_path / "some.py").write_text(
        "import numpy as np\n"
        "from ctkernels.cpu._core.jit import jit\n"
        "@jit\ndef inner(x):\n    return x[0] + x[1]\n"
        "@jit\ndef first(x):\n    return inner(x)\n"
        "@jit\ndef second(x):\n    return 2 * inner(x)\n"
    )
    code = (
        "import sys, numpy as np; sys.path.insert(0, sys.argv[1]); import some;"
        "print(getattr(some, sys.argv[2])(np.array([3.0, 4.0])), sum(some.inner.stats.cache_misses.values()))"
    )
    paths = os.pathsep.join([str(ROOT / "kernels"), str(ROOT)])
    environment = {**os.environ, "PYTHONPATH": paths, "NUMBA_CACHE_DIR": str(tmp_path / "cache")}

    def said(name: str) -> str:
        command = [sys.executable, "-c", code, str(tmp_path), name]
        return subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout

    assert [said("first"), said("second"), said("inner")] == ["7.0 1\n", "14.0 0\n", "7.0 1\n"]


def test_memory_as_one_row() -> None:
    @jit
    def rows(x, like):
        return flat(x), viewed(x, like)

    x = np.arange(30, dtype=np.uint8).reshape(2, 3, 5)
    row, words = rows(x, np.uint64(0))
    np.testing.assert_array_equal(row, x.reshape(-1))
    np.testing.assert_array_equal(words, x.reshape(-1)[:24].view(np.uint64))
    words[0] = 0
    assert not x.reshape(-1)[:8].any(), "the same memory"
    del x
    assert row[29] == 29, "which lives as long as any of them"
