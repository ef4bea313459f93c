"""The host shim itself: it runs correct kernels correctly in every order, and finds every kind of bug it claims to."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.cuda_on_host import builder, elf, planting, runtime
from tests.cuda_on_host.counts import NO_COMPILER, counted
from tests.cuda_on_host.simulation import Simulation
from tests.cuda_on_host.small_kernels import BAD, GOOD, kernel, together

N = 64
ROOT = Path(__file__).resolve().parents[2]
X = np.arange(N, dtype=np.int32)


def run(sim: Simulation, source: str, blocks: int = 1, shared: int = 0, name: str = "k", **settings: Any) -> np.ndarray:
    import cupy as cp

    for setting, value in settings.items():
        setattr(sim, setting, value)
    y = cp.empty(N, np.int32)
    if not settings.get("fresh"):
        y.fill(0)
    launched = cp.RawModule(code=source, options=("-std=c++17",), backend="nvrtc").get_function(name)
    launched((blocks,), (N,), (cp.asarray(X), y, np.int32(N)), shared_mem=shared)
    result: np.ndarray = y.get()
    return result


EXPECTED = {
    "reversed in shared memory": X[::-1],
    "dynamic shared memory": X[::-1],
    "warp reduction": np.r_[X.sum(), np.zeros(63)],
    "shared memory ordered by the warp": X ^ 1,
    "half a warp": np.where(X % 32 < 16, X // 32 * 32 + 3, 0),
    "the last block sums": np.r_[np.arange(5), np.zeros(45), 10, np.zeros(9), 5, 0, 0, 0],
    "votes of the block": np.full(N, 60 + 1 + 1),
    "vector loads": X,
}


@pytest.mark.parametrize("variant", ["plain", "checked"])
@pytest.mark.parametrize("what", GOOD)
def test_correct_kernels_in_every_order(host_gpu: Simulation, what: str, variant: str) -> None:
    blocks, name = 5 if "last block" in what else 1, f"k{list(GOOD).index(what)}"
    for seed, preempt in ((0, 0), (1, 0), (2, 0), (3, 3)):
        got = run(host_gpu, together(GOOD), blocks, 256, name, variant=variant, seed=seed, preempt=preempt)
        np.testing.assert_array_equal(got, EXPECTED[what], f"seed {seed}")


@pytest.mark.parametrize("what", BAD)
def test_every_kind_of_bug_is_found(host_gpu: Simulation, what: str) -> None:
    blocks, name, fresh = 5 if "last block" in what else 2, f"k{list(BAD).index(what)}", "global memory before" in what
    for seed in (0, 1, 2):
        with pytest.raises(runtime.HostFault, match=BAD[what][1]):
            run(host_gpu, together(BAD), blocks, 256, name, variant="checked", seed=seed, fresh=fresh)


def test_a_fault_leaves_the_process_usable(host_gpu: Simulation) -> None:
    for _ in range(3):
        with pytest.raises(runtime.HostFault):
            run(host_gpu, kernel(BAD["beyond the input"][0]), variant="checked")
        good = run(host_gpu, kernel(GOOD["reversed in shared memory"]), variant="checked")
        np.testing.assert_array_equal(good, X[::-1])


def test_a_fault_names_the_source_line(host_gpu: Simulation) -> None:
    with pytest.raises(runtime.HostFault, match=r"line 3: y\[t\] = x\[t \+ 1\];"):
        run(host_gpu, kernel(BAD["beyond the input"][0]), variant="checked")


def test_guard_zones_find_a_stray_write_without_checks(host_gpu: Simulation) -> None:
    with pytest.raises(runtime.HostFault, match="beside an allocation"):
        run(host_gpu, kernel("y[n + t / 32] = 1;"))


def test_a_thread_that_needs_a_huge_stack_is_found(host_gpu: Simulation) -> None:
    body = "volatile char a[66000]; for (int i = 0; i < 66000; i += 8) a[i] = 1; y[t] = a[t];"
    with pytest.raises(runtime.HostFault, match="stack"):
        run(host_gpu, kernel(body))


def test_shared_memory_is_poisoned_before_each_block(host_gpu: Simulation) -> None:
    got = run(host_gpu, kernel("__shared__ int s[64]; y[t] = s[t]; s[t] = x[t];"), 2)
    assert (got == np.int32(0xA5A5A5A5 - (1 << 32))).all()


def test_counters(host_gpu: Simulation) -> None:
    def counters(body: str) -> dict[str, int]:
        run(host_gpu, kernel(body), variant="checked", counters=True)
        return host_gpu.launches[-1].counters

    together = counters("y[t] = x[t];")
    assert together["read_requests"] == together["write_requests"] == 2
    assert together["read_sectors"] == together["read_ideal"] == 8
    assert together["read_bytes"] == together["unique_read"] == together["unique_written"] == 4 * N
    apart = counters("if (t < 8) y[t * 8] = x[t * 8];")
    assert (apart["read_sectors"], apart["read_ideal"], apart["write_sectors"]) == (8, 1, 8)
    column = counters("__shared__ int s[64][32]; s[t][0] = x[t]; __syncthreads(); y[t] = s[t][0];")
    assert (column["shared_requests"], column["shared_wavefronts"], column["shared_ideal"]) == (4, 128, 4)
    padded = counters("__shared__ int s[64][33]; s[t][0] = x[t]; __syncthreads(); y[t] = s[t][0];")
    assert padded["shared_wavefronts"] == padded["shared_ideal"] == 4
    assert counters("atomicAdd(&y[0], x[t]);")["atomic_global"] == N


def test_intrinsics_give_what_a_gpu_gives(host_gpu: Simulation) -> None:
    checks = [
        "__float2int_rn(2.5f) == 2",
        "__float2int_rn(3e9f) == 2147483647",
        "__float2int_rz(__int_as_float(0x7fc00000)) == 0",
        "__double2int_rd(-0.5) == -1",
        "__float2uint_rn(-5.0f) == 0u",
        "__float2int_ru(-3e9f) == -2147483647 - 1",
        "__float_as_int(fminf(0.0f, -0.0f)) == (int)0x80000000",
        "__float_as_int(fmaxf(-0.0f, 0.0f)) == 0",
        "min(1.0f, __int_as_float(0x7fc00000)) == 1.0f",
        "min(-1, 1u) == 1u",
        "max((short)3, (short)-3) == 3",
        "__vminu2(0x00010005u, 0x00020003u) == 0x00010003u",
        "__vmins2(0xffff0005u, 0x00010003u) == 0xffff0003u",
        "__vmaxu4(0x01ff0305u, 0x02000403u) == 0x02ff0405u",
        "__byte_perm(0x33221100u, 0x77665544u, 0x7410u) == 0x77441100u",
        "__popc(0xf0u) == 4",
        "__clz(1) == 31",
        "__ffs(8) == 4",
        "__brev(1u) == 0x80000000u",
        "__umulhi(1u << 31, 4u) == 2u",
        "__funnelshift_r(2u, 1u, 1) == 0x80000001u",
        "__clzll(1) == 63",
        "__float2int_rn(-2147483648.0f) == -2147483647 - 1",
        "sizeof(uint4) == 16 && alignof(short4) == 8 && sizeof(uchar3) == 3 && alignof(double4) == 16",
    ]
    body = "if (t == 0) {" + "".join(f"y[{i}] = {check};\n" for i, check in enumerate(checks)) + "}"
    got = run(host_gpu, kernel(body))
    assert [check for check, ok in zip(checks, got, strict=False) if not ok] == []


def test_explicit_rounding_resists_contraction(host_gpu: Simulation) -> None:
    """``plain`` contracts as NVRTC does (where this CPU has FMA); ``__fmul_rn`` and ``__fadd_rn`` must not be."""
    sums = {"plain": "a[t] * b[t] + c[t]", "explicit": "__fadd_rn(__fmul_rn(a[t], b[t]), c[t])"}
    head = (
        'extern "C" __global__ void k(const float* a, const float* b, const float* c, float* r) {'
        " int t = threadIdx.x; r[t] = "
    )
    import cupy as cp

    rng = np.random.default_rng(0)
    a, b = (rng.random(256, np.float32) for _ in range(2))
    for host_gpu.variant in ("plain", "checked"):
        for how, sum_ in sums.items():
            r = cp.empty(256, np.float32)
            arrays = (cp.asarray(a), cp.asarray(b), cp.asarray(-(a * b)), r)
            cp.RawModule(code=head + sum_ + ";}", options=(), backend="nvrtc").get_function("k")((1,), (256,), arrays)
            contracted = how == "plain" and "-ffp-contract=fast" in builder.variant_flags(host_gpu.variant)
            assert r.get().any() == contracted


def test_contexts_on_other_machines(tmp_path: Path) -> None:
    """The portable way to switch contexts, which is compiled in where the processor is no x86-64."""
    if builder.compiler() is None:
        pytest.skip(NO_COMPILER)
    script = (
        "import numpy, sys\nfrom tests.cuda_on_host.test_machine import *\n"
        "from tests.cuda_on_host.install import standin_for_cupy\n"
        "with standin_for_cupy() as sim:\n"
        "    for what in GOOD:\n"
        "        name, blocks = f'k{list(GOOD).index(what)}', 5 if 'last block' in what else 1\n"
        "        got = run(sim, together(GOOD), blocks, 256, name, variant='checked', seed=2)\n"
        "        assert (got == EXPECTED[what]).all(), what\n"
    )
    env = {**os.environ, "CTFAST_HOST_UCONTEXT": "1", "PYTHONPATH": os.pathsep.join([str(ROOT / "kernels"), str(ROOT)])}
    env["CTFAST_HOST_CACHE"] = str(builder.cache_folder())
    done = subprocess.run([sys.executable, "-c", script], env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_the_elf_reader_refuses_other_files() -> None:
    with pytest.raises(ValueError, match="ELF"):
        elf.read(b"MZ" + bytes(100))


def test_planted_bugs_are_live_by_their_number(host_gpu: Simulation) -> None:
    source = kernel(GOOD["reversed in shared memory"])
    bugs = [*planting.everywhere(source), planting.by_hand(source, "one too far", "s[«63 - t»]", "64 - t")]
    assert [bug.what for bug in bugs] == ["barrier removed", "barrier for one warp alone", "one too far"]
    host_gpu.edit = lambda text: planting.planted(text, bugs)
    np.testing.assert_array_equal(run(host_gpu, source, variant="checked"), X[::-1])
    for host_gpu.planted in (1, 2, 3):
        with pytest.raises(runtime.HostFault):
            run(host_gpu, source)
    host_gpu.planted = 0
    np.testing.assert_array_equal(run(host_gpu, source), X[::-1])


def test_bugs_are_planted_where_a_kernel_comes_by() -> None:
    unused = "__device__ void f(int* p) {\n__syncthreads();\n}\n"
    used = kernel("// __syncthreads();\n__syncthreads(); atomicAdd(&y[0], 1); y[1] = __shfl_sync(FULL, x[t], 3);")
    assert [(bug.what, bug.line(unused + used)) for bug in planting.everywhere(unused + used)] == [
        ("barrier removed", 7),
        ("barrier for one warp alone", 7),
        ("plain add for atomic", 7),
        ("half a mask", 7),
    ]


def test_a_changed_source_needs_its_bugs_planted_anew() -> None:
    with pytest.raises(ValueError, match=r"there is no 'a < b' any more, where 'too far' was planted"):
        planting.by_hand("if (a <= b) c();", "too far", "«a < b»", "a <= b")


def test_bugs_of_the_table_are_counted() -> None:
    counted["kinds of bugs that the host shim is proven to find"] = len(BAD)
