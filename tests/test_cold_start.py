"""Compiled code on disk: found again, shared by processes that start together, kept when the package is read-only."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

import ctfast

ROOT = Path(ctfast.__file__).parents[1]

CALL = """
import numpy as np, ctfast
x = np.random.default_rng(0).integers(-1024, 3071, (70, 80)).astype(np.int16)
ctfast.window(x, center=40, width=400, dtype="uint8")
print(int(ctfast.median_filter(x, 3).astype(np.int64).sum()), int(ctfast.histogram(x, 64).counts[3]))
"""

COUNT = """
from numba.core.dispatcher import Dispatcher
import gc
own = [d for d in gc.get_objects() if isinstance(d, Dispatcher) and d.py_func.__module__.startswith("ctkernels")]
print(sum(sum(d.stats.cache_misses.values()) for d in own), sum(sum(d.stats.cache_hits.values()) for d in own))
import sys
print(int("numba.np.linalg" in sys.modules))
"""


def environment(cache: Path) -> dict[str, str]:
    paths = os.pathsep.join([str(ROOT / "kernels"), str(ROOT)])
    return {**os.environ, "PYTHONPATH": paths, "NUMBA_CACHE_DIR": str(cache)}


def test_processes_that_start_together_on_a_cold_cache_all_work(tmp_path: Path) -> None:
    """Two: faults of a shared cache are between a writer and another process, and CI has no core for a third."""
    command = [sys.executable, "-c", CALL]
    together = [
        subprocess.Popen(command, env=environment(tmp_path), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    said = [process.communicate(timeout=300) for process in together]
    assert [process.returncode for process in together] == [0] * 2, said
    assert len({out for out, _ in said}) == 1


THREADS = """
import sys, threading
import numpy as np
import ctfast
sys.setswitchinterval(1e-6)  # threads take turns within an import, as they sometimes do without it
x = np.arange(4096, dtype=np.int16).reshape(64, 64)
calls = [
    lambda: ctfast.summary(x),
    lambda: ctfast.median_filter(x, 3),
    lambda: ctfast.window(x, center=40, width=400),
    lambda: ctfast.set_num_threads(1),
    lambda: ctfast.histogram(x, 64),
    lambda: __import__("ctfast.compat.skimage", fromlist=["median"]),
]
together = threading.Barrier(len(calls))
def first(call):
    together.wait()
    try:
        call()
    except BaseException as error:
        print(f"{type(error).__name__}: {error}")
threads = [threading.Thread(target=first, args=[call]) for call in calls]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
"""


def test_first_calls_of_several_threads_find_numba_whole(tmp_path: Path) -> None:
    """A pool of threads that begins with ctfast, as ``ctfast report`` does: none may import half of what it needs."""
    paths = environment(tmp_path)["PYTHONPATH"]
    done = subprocess.run(
        [sys.executable, "-c", THREADS],
        env={**os.environ, "PYTHONPATH": paths},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert (done.returncode, done.stdout) == (0, ""), done


TWO_AT_ONCE = """
import sys, time
import numpy as np
from numba import njit
from numba.core.caching import IndexDataCacheFile as Files
from ctkernels.cpu._core import cache
sys.path.insert(0, sys.argv[2])
import summing
def after(pause, do):
    def later(*arguments):
        time.sleep(pause)
        return do(*arguments)
    return later
Files._save_index = after(float(sys.argv[3]), Files._save_index)
Files._save_data = after(float(sys.argv[4]), Files._save_data)
print(float(cache.cached(njit(summing.total))(np.arange(1, 6).astype(sys.argv[1]))))
"""


def test_two_dtypes_compiled_at_the_same_time_never_get_each_other_s_code(tmp_path: Path) -> None:
    (tmp_path / "summing.py").write_text("def total(x):\n    s = x[0] - x[0]\n    for v in x: s += v\n    return s\n")

    def start(dtype: str, *pauses: float) -> subprocess.Popen[str]:
        command = [sys.executable, "-c", TWO_AT_ONCE, dtype, str(tmp_path), *map(str, pauses)]
        return subprocess.Popen(command, env=environment(tmp_path / "cache"), stdout=subprocess.PIPE, text=True)

    # Each writes its index after both have read it; the first one's code comes last (so Numba's own files mix them).
    together = [start("int32", 2, 4), start("float32", 3, 0)]
    assert [float(process.communicate(timeout=100)[0]) for process in together] == [15.0, 15.0]
    afterwards = [start("int32", 0, 0), start("float32", 0, 0)]
    assert [float(process.communicate(timeout=100)[0]) for process in afterwards] == [15.0, 15.0]


def test_the_second_process_compiles_nothing(tmp_path: Path) -> None:
    outs = []
    for _ in range(2):
        done = subprocess.run(
            [sys.executable, "-c", CALL + COUNT], env=environment(tmp_path), capture_output=True, text=True, check=True
        )
        outs.append([int(n) for n in done.stdout.split()])
    assert outs[0][:2] == outs[1][:2]
    assert outs[0][2] > 0, "the first process compiles"
    assert outs[1][2] == 0, "the second finds everything on disk"
    assert outs[1][3] > 0
    assert [out[4] for out in outs] == [1, 0], "what Numba needs to compile, half a second, is not loaded for it"


def test_a_read_only_installation_keeps_its_cache_elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import numba

    from ctkernels.cpu._core import cache

    package = str(Path(cache.__file__).parents[1])
    access = os.access
    monkeypatch.setattr(numba.config, "CACHE_DIR", "")
    monkeypatch.setattr(os, "access", lambda path, mode: str(path) != package and access(path, mode))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    cache.choose_cache_folder()
    assert str(tmp_path / "cache" / "ctfast" / "numba") == numba.config.CACHE_DIR
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    monkeypatch.setattr(numba.config, "CACHE_DIR", "")
    cache.choose_cache_folder()
    assert "ctfast-numba" in numba.config.CACHE_DIR, "no home to write to: the temporary folder"
    monkeypatch.setattr(numba.config, "CACHE_DIR", "/chosen/by/the/user")
    cache.choose_cache_folder()
    assert numba.config.CACHE_DIR == "/chosen/by/the/user"


@pytest.mark.skipif(not hasattr(os, "getuid"), reason="folders have no owner here")
def test_only_a_folder_of_our_own_is_trusted(tmp_path: Path) -> None:
    from ctkernels.cpu._core.cache import is_private

    assert is_private(tmp_path / "new")
    assert (tmp_path / "new").stat().st_mode & 0o777 == 0o700
    assert is_private(tmp_path / "new"), "and again by the next process"
    for mode in (0o770, 0o702, 0o777):
        (tmp_path / "new").chmod(mode)
        assert not is_private(tmp_path / "new")
    (tmp_path / "real").mkdir(mode=0o700)
    (tmp_path / "link").symlink_to(tmp_path / "real")
    assert not is_private(tmp_path / "link")
    (tmp_path / "file").write_text("")
    assert not is_private(tmp_path / "file")
    (tmp_path / "shared").mkdir()
    (tmp_path / "shared").chmod(0o777)
    assert not is_private(tmp_path / "shared" / "ours"), "others may rename it"
    (tmp_path / "shared").chmod(0o1777)
    assert is_private(tmp_path / "shared" / "ours")


def test_a_taken_name_gives_a_fresh_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import numba

    from ctkernels.cpu._core import cache

    taken = tmp_path / "taken"
    taken.mkdir()
    taken.chmod(0o777)
    monkeypatch.setattr(cache.os, "access", lambda path, mode: False)
    monkeypatch.setattr(cache, "_candidates", lambda: iter([taken]))
    monkeypatch.setattr(cache.tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr(numba.config, "CACHE_DIR", "")
    cache.choose_cache_folder()
    chosen = Path(numba.config.CACHE_DIR)
    assert chosen != taken
    assert chosen.parent == tmp_path
    assert chosen.stat().st_mode & 0o777 == 0o700


def test_no_home_and_no_name(monkeypatch: pytest.MonkeyPatch) -> None:
    from ctkernels.cpu._core import cache

    def homeless() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setattr(cache.Path, "home", homeless)
    assert [folder.name[:12] for folder in cache._candidates()] == ["ctfast-numba"]


def test_a_cache_that_fails_costs_no_result(monkeypatch: pytest.MonkeyPatch, recwarn: pytest.WarningsRecorder) -> None:
    import warnings

    from ctkernels.cpu._core import cache, jit

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(cache.FunctionCache, "save_overload", full)
    monkeypatch.setattr(cache.FunctionCache, "load_overload", full)
    warnings.simplefilter("always")
    twice = jit.jit(lambda x: 2 * x)
    assert twice(3) == 6
    assert twice(1.5) == 3.0
    assert cache.c_function("int64(int64)", lambda x: 3 * x).ctypes(4) == 12
    told = [str(w.message) for w in recwarn if "compiled code" in str(w.message)]
    assert len(told) == 1
    assert twice._cache.cache_path in told[0]


WITHOUT_ROOM = """
import resource
from pathlib import Path
import numpy as np, ctfast
image = np.zeros((64, 64), np.int16)
ctfast.Pipeline.from_dict({"steps": [{"operation": "summary"}]})  # what is imported
import ctkernels.cpu.window
occupied = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
for more in (8 << 20, 100 << 20):
    resource.setrlimit(resource.RLIMIT_AS, (occupied + more, resource.RLIM_INFINITY))
    try:
        print(ctfast.window(image, center=0, width=400).sum())
    except MemoryError as error:
        print(error)
resource.setrlimit(resource.RLIMIT_AS, (resource.RLIM_INFINITY,) * 2)
print(ctfast.window(image, center=0, width=400).shape)
"""


def test_code_that_finds_no_room_is_an_error_and_no_end_of_the_process(tmp_path: Path) -> None:
    """LLVM aborts, and OpenBLAS, which Numba imports then, waits for memory for ever."""
    command = [sys.executable, "-c", WITHOUT_ROOM]
    done = subprocess.run(command, env=environment(tmp_path), capture_output=True, text=True, timeout=100, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    loading, compiling, *afterwards = done.stdout.splitlines()
    assert loading == "there is not enough memory for compiled code, which takes 16 MB: leave it more (ulimit -v)"
    assert "which takes 192 MB" in compiling
    assert afterwards == ["(64, 64)"]


def test_compiled_code_depends_on_the_sources_that_it_is_made_of(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from ctkernels.cpu._core import sources

    assert {"cpu/_median/plan.py", "cpu/_median/emit.py", "shared/networks.py"} <= sources.sources_of(
        "ctkernels.cpu._median.small"
    )
    assert "cpu/_median/small.py" in sources.sources_of("ctkernels.cpu._chain_bytes")
    assert sources.fingerprint("tests.cases") == ""

    monkeypatch.setattr(sources, "ROOT", tmp_path)
    (tmp_path / "a.py").write_text("from ctkernels import b\n")
    (tmp_path / "b.py").write_text("def f():\n    import ctkernels.a\n    from ctkernels.c.d import x, y\n")
    (tmp_path / "c").mkdir()
    (tmp_path / "c" / "d.py").write_text("x = y = 1\n")

    def now() -> str:
        for function in (sources.fingerprint, sources.sources_of, sources._file, sources._imported, sources._digest):
            function.cache_clear()
        return sources.fingerprint("ctkernels.a")

    before = now()
    assert sources.sources_of("ctkernels.a") == {"a.py", "b.py", "c/d.py"}
    assert now() == before
    (tmp_path / "c" / "d.py").write_text("x = y = 2\n")
    assert now() != before
    monkeypatch.undo()
    now()
