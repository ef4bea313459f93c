"""Our device functions in somebody's own kernel: through NVRTC, and run on the host."""

from __future__ import annotations

import numpy as np
import pytest

from ctkernels.gpu import OPTIONS, include_source
from ctkernels.gpu._core.source import HEADERS
from tests.cuda_on_host import nvrtc
from tests.cuda_on_host.counts import NO_NVRTC
from tests.cuda_on_host.simulation import Simulation

KERNEL = """
extern "C" __global__ void __launch_bounds__(64) differences(const short* __restrict__ x, int* out, int n) {
    __shared__ int room[2];
    const int i = int(threadIdx.x);
    const int d = i < n ? x[ctk_border(i + 3, n, CTK_REFLECT)] - x[i] : 0;
    const int most = ctk_block_max(d, room);
    if (i < n) out[i] = d;
    if (i == 0) out[n] = most;
}
"""


def test_a_kernel_of_the_user_s_own(host_gpu: Simulation) -> None:
    import cupy

    x = np.random.default_rng(0).integers(-1000, 1000, 50).astype(np.int16)
    out = cupy.empty(51, np.int32)
    module = cupy.RawModule(code=include_source("border", "common") + KERNEL, options=OPTIONS, backend="nvrtc")
    module.get_function("differences")((1,), (64,), (cupy.asarray(x), out, np.int32(50)))
    further = np.pad(x, (0, 3), "symmetric")[3:].astype(int)  # NumPy's word for reflect
    np.testing.assert_array_equal(out.get(), [*(further - x), (further - x).max()])


@pytest.mark.parametrize("headers", [(), *((name,) for name in HEADERS)], ids=lambda names: "-".join(names) or "all")
def test_every_header_compiles(headers: tuple[str, ...]) -> None:
    if nvrtc.library_path() is None:
        pytest.skip(NO_NVRTC)
    text = include_source(*headers)
    assert "#include" not in text
    empty = 'extern "C" __global__ void k(int* x) { x[0] = 1; }'
    assert set(nvrtc.compile_unit(text + empty, "90", OPTIONS)) == {"k"}


def test_other_headers_are_refused() -> None:
    with pytest.raises(ValueError, match=r"headers=\['median_tile'\]: border, common, line are there"):
        include_source("common", "median_tile")
