"""Operations along three axes on a CT-like volume: SciPy, SimpleITK, DIPlib and scikit-image with the same windows and
taps (CLAHE: the same effect), on one thread and, where a library has more, on two. In volumes as users have them, which
peers would take minutes for, two threads of ours run in turns with one, and with two processes of half a volume each.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
import scipy.ndimage as ndi

import ctfast
from bench.images import image
from bench.peers import installed
from bench.two_cores import two_processes
from bench.volume_report import ALONE, HALVES, TWO

SMALL, LARGE, WHOLE, USERS = (24, 96, 96), (24, 192, 192), (24, 384, 384), (48, 384, 384)
THREADS = [1, 2]


@pytest.fixture
def volume(benchmark: Any) -> Callable[..., np.ndarray]:
    """Neighbouring parts of a phantom slice as planes, with edges in all directions; small where nothing is timed."""

    def make(dtype: str, shape: tuple[int, int, int] = SMALL) -> np.ndarray:
        x = image(dtype)
        first = 100 if shape[1] < 300 else 30
        side = 48 if benchmark.disabled else shape[1]
        return np.stack([x[first + 2 * z : first + 2 * z + side, first : first + side] for z in range(shape[0])])

    return make


@pytest.fixture(params=THREADS, ids=lambda n: f"threads{n}")
def threads(request: Any, benchmark: Any) -> Iterator[int]:
    """So many for ours and for every peer that has threads."""
    if benchmark.disabled and request.param > 1:
        pytest.skip("the same results: a matter of time alone")
    ctfast.set_num_threads(request.param)
    there, _ = installed(simpleitk="SimpleITK", diplib="diplib")
    for number in (request.param, None):
        if there["simpleitk"]:
            import SimpleITK

            SimpleITK.ProcessObject.SetGlobalDefaultNumberOfThreads(number or 1)
        if there["diplib"]:
            import diplib

            diplib.SetNumberOfThreads(number or 1)
        if number is not None:
            yield number


def viewed(call: Callable[[], Any]) -> Callable[[], np.ndarray]:
    """A call of SimpleITK whose result is looked at in place; the image lives until the next one."""
    import SimpleITK

    kept: list[Any] = []

    def run() -> np.ndarray:
        kept[:] = [call()]
        return SimpleITK.GetArrayViewFromImage(kept[0])

    return run


def peers_of(scipy: Callable[[], Any] | None, threads: int) -> tuple[dict[str, Callable[[], Any]], tuple[str, ...]]:
    """SciPy has one thread only: its time stands in that row."""
    _, absent = installed(simpleitk="SimpleITK", diplib="diplib")
    return ({} if scipy is None or threads > 1 else {"scipy": scipy}), absent


@pytest.mark.parametrize("kind", ["int16", "float32", "float32 with fractions", "float32 all distinct"])
@pytest.mark.parametrize("size", ["3", "5", "7", "9", "11"])
def bench_median(compare, volume, threads: int, kind: str, size: str) -> None:
    k = int(size)
    if threads > 1 and (kind not in ("int16", "float32 with fractions") or k > 7):
        pytest.skip("other cases tell what threads gain")
    if k > 5 and kind == "float32":
        pytest.skip("whole numbers: the time of int16")
    if k < 9 and "distinct" in kind:
        pytest.skip("networks ask for no ranks")
    x = volume(kind.split()[0], LARGE if k == 3 else SMALL)
    if "fractions" in kind:
        x = x + np.float32(0.25)
    if "distinct" in kind:
        x = x + np.random.default_rng(1).random(x.shape, np.float32)
    out = np.empty_like(x)
    there, _ = installed(simpleitk="SimpleITK", diplib="diplib")

    def ours() -> Any:
        return ctfast.median_filter(x, (k, k, k), out=out)

    peers, absent = peers_of(lambda: ndi.median_filter(x, k), threads)
    if there["simpleitk"]:
        import SimpleITK

        theirs = SimpleITK.GetImageFromArray(x)
        peers["SimpleITK"] = viewed(lambda: SimpleITK.Median(theirs, [k // 2] * 3))
    if there["diplib"]:
        import diplib

        peers["DIPlib"] = lambda: np.asarray(diplib.MedianFilter(x, diplib.Kernel(k, "rectangular")))
    inner = (slice(k, -k),) * 3
    expected = ndi.median_filter(x, k)

    def oracle(result: np.ndarray) -> None:
        np.testing.assert_array_equal(result, expected)

    compare(
        f"median {k} x {k} x {k}",
        f"volume, {kind}, {threads}",
        ours,
        peers,
        oracle=oracle,
        same=lambda a, b: np.array_equal(np.asarray(a)[inner], b[inner]),
        absent=absent,
        pixels=x.size,
        threads=threads,
    )


@pytest.mark.parametrize("sigma", ["1", "2"])
def bench_gaussian(compare, volume, threads: int, sigma: str) -> None:
    x, s = volume("float32", LARGE), float(sigma)
    out, theirs = np.empty_like(x), np.empty_like(x)
    there, _ = installed(simpleitk="SimpleITK", diplib="diplib")

    def ours() -> Any:
        return ctfast.gaussian_filter(x, (s, s, s), mode="mirror", out=out)

    peers, absent = peers_of(lambda: ndi.gaussian_filter(x, s, mode="mirror", output=theirs), threads)
    if there["diplib"]:
        import diplib

        peers["DIPlib"] = lambda: np.asarray(diplib.GaussFIR(x, s, truncation=4))
    if there["simpleitk"]:
        import SimpleITK

        held = SimpleITK.GetImageFromArray(x)
        peers["SimpleITK"] = viewed(
            lambda: SimpleITK.DiscreteGaussian(held, s * s, maximumKernelWidth=64, maximumError=3e-4)
        )
    exact = ndi.gaussian_filter(x.astype(np.float64), s, mode="mirror")
    r = int(4 * s)
    inner = (slice(r, -r),) * 3

    def oracle(result: np.ndarray) -> None:
        assert np.abs(result - exact).max() <= 2e-3

    def same(a: np.ndarray, b: np.ndarray) -> bool:
        # SimpleITK's taps are those of Lindeberg's discrete Gaussian, about as many.
        return bool(np.abs(np.asarray(a)[inner] - b[inner]).max() <= 60.0)

    compare(
        f"Gaussian sigma {sigma}",
        f"volume, float32, {threads}",
        ours,
        peers,
        oracle=oracle,
        same=same,
        absent=absent,
        pixels=x.size,
        threads=threads,
    )


@pytest.mark.parametrize("dtype", ["int16", "float32"])
def bench_clahe(compare, volume, dtype: str) -> None:
    x = volume(dtype, WHOLE)
    out = np.empty_like(x)
    unit = ((x.astype(np.float32) + 1024) / 4095).clip(0, 1)
    there, absent = installed(skimage="skimage")
    options: dict[str, Any] = {"clip_limit": 2.0, "tile_grid": (4, 8, 8), "value_range": (-1024, 3071)}

    def ours() -> Any:
        return ctfast.clahe(x, **options, out=out)

    peers: dict[str, Callable[[], Any]] = {}
    if there["skimage"]:
        from skimage.exposure import equalize_adapthist

        kernel = tuple(n // tiles for n, tiles in zip(x.shape, (4, 8, 8), strict=True))
        peers["scikit-image"] = lambda: equalize_adapthist(unit, kernel_size=kernel, clip_limit=2 / 256) is None
    reference = ctfast.clahe(x, **options, backend="reference")

    def oracle(result: np.ndarray) -> None:
        np.testing.assert_array_equal(result, reference)

    compare(
        "CLAHE 4 x 8 x 8",
        f"volume, {dtype}, 1",
        ours,
        peers,
        oracle=oracle,
        absent=absent,
        pixels=x.size,
    )


@pytest.mark.parametrize("kind", ["int16", "float32 with fractions"])
@pytest.mark.parametrize(
    ("row", "name", "params"),
    [
        *((f"median {k} x {k} x {k}", "median_filter", {"size": (k, k, k)}) for k in (3, 5, 7)),
        *((f"Gaussian sigma {s:.0f}", "gaussian_filter", {"sigma": (s, s, s), "mode": "mirror"}) for s in (1.0, 2.0)),
        ("CLAHE 4 x 8 x 8", "clahe", {"clip_limit": 2.0, "tile_grid": (4, 8, 8), "value_range": (-1024, 3071)}),
    ],
    ids=lambda p: p if isinstance(p, str) else "",
)
def bench_two_threads(compare, volume, benchmark, row: str, name: str, params: dict[str, Any], kind: str) -> None:
    if benchmark.disabled:
        pytest.skip("the same results: a matter of time alone")
    if name == "gaussian_filter" and kind == "int16":
        pytest.skip("float32 is what its goal is for")
    x = volume(kind.split()[0], USERS)
    if "fractions" in kind:
        x = x + np.float32(0.25)
    out = np.empty_like(x)

    def by(threads: int) -> Callable[[], np.ndarray]:
        def call() -> np.ndarray:
            ctfast.set_num_threads(threads)
            try:
                return getattr(ctfast, name)(x, **params, out=out)
            finally:
                ctfast.set_num_threads(1)

        return call

    expected = by(1)().copy()

    def oracle(result: np.ndarray) -> None:
        np.testing.assert_array_equal(result, expected)

    with two_processes(name, x, params) as halves:
        peers = {ALONE: by(1), HALVES: halves}
        compare(row, f"volume, {kind}, {TWO}", by(2), peers, oracle=oracle, pixels=x.size, threads=2)
