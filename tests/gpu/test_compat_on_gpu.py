"""Drop-ins for CuPy and cuCIM on the stand-in: the originals are SciPy and scikit-image, brought there and back."""

from __future__ import annotations

import importlib
import inspect
import sys
from collections.abc import Callable, Iterator
from types import ModuleType
from typing import Any

import numpy as np
import pytest

pytest.importorskip("scipy.ndimage", reason="SciPy is not installed")
pytest.importorskip("skimage", reason="scikit-image is not installed")

from scipy import ndimage
from skimage import exposure, filters

from ctfast import compat
from tests.cuda_on_host.simulation import Simulation

HU = np.random.default_rng(2).normal(40, 300, (23, 31)).clip(-1024, 3000)
DTYPES = ("uint8", "int16", "uint16", "float32", "float64")
FILTERS = ("median_filter", "rank_filter", "percentile_filter", "gaussian_filter", "gaussian_filter1d")


def there_and_back(original: Callable[..., Any]) -> Callable[..., Any]:
    """A function of the host for arrays of the stand-in."""
    import cupy

    names = list(inspect.signature(original).parameters)  # some of which only the GPU's function takes by place

    def called(*args: Any, **options: Any) -> Any:
        given = {**dict(zip(names, args, strict=False)), **options}
        result = original(**{k: a.get() if isinstance(a, cupy.ndarray) else a for k, a in given.items()})
        return tuple(map(cupy.asarray, result)) if isinstance(result, tuple) else cupy.asarray(result)

    return called


def module(name: str, **members: Any) -> ModuleType:
    made = ModuleType(name)
    made.__dict__.update(members)
    return made


@pytest.fixture
def drop_ins(host_gpu: Simulation, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Any, Any]]:
    """``compat.cupyx`` and ``compat.cucim`` upon originals that are SciPy's and scikit-image's."""
    from ctfast.compat import _calls
    from ctfast.compat._homes import DEVICE

    def median(image: Any, footprint: Any, out: Any, mode: str, cval: float, behavior: str, **_: Any) -> Any:
        window = np.ones(footprint) if isinstance(footprint, tuple) else footprint
        return filters.median(image, window, out, mode, cval, behavior)

    def gaussian(
        image: Any, sigma: Any, mode: str, cval: float, preserve_range: bool, truncate: float, **options: Any
    ) -> Any:
        options |= {"mode": mode, "cval": cval, "preserve_range": preserve_range, "truncate": truncate}
        return filters.gaussian(image, sigma, **options)

    skimage = {name: there_and_back(getattr(exposure, name)) for name in
               ("rescale_intensity", "histogram", "match_histograms")}  # fmt: skip
    fakes = [
        module("cupyx.scipy.ndimage", **{name: there_and_back(getattr(ndimage, name)) for name in FILTERS}),
        module("cucim.skimage.exposure", **skimage),
        module("cucim.skimage.filters", median=there_and_back(median), gaussian=there_and_back(gaussian)),
    ]
    packages = ("cupyx", "cupyx.scipy", "cucim", "cucim.skimage")
    made = {name: module(name) for name in packages} | {fake.__name__: fake for fake in fakes}
    for name, fake in made.items():
        above, _, last = name.rpartition(".")
        if above:
            setattr(made[above], last, fake)
        monkeypatch.setitem(sys.modules, name, fake)
    _calls._OURS.clear()
    _calls._THEIRS.clear()
    DEVICE.__dict__.pop("xp", None)
    yield tuple(importlib.import_module(f"ctfast.compat.{name}") for name in ("cupyx", "cucim"))  # type: ignore[misc]
    DEVICE.__dict__.pop("xp", None)
    for name in ("cupyx", "cucim"):
        del sys.modules[f"ctfast.compat.{name}"], compat.__dict__[name]


def served(name: str) -> tuple[int, int]:
    return tuple(compat.calls()[name])  # type: ignore[return-value]


def close(found: Any, expected: np.ndarray, allowed: float = 0.0) -> None:
    """On the GPU, with the dtype, and values to ``allowed`` of the largest; integers to ``allowed`` itself."""
    import cupy

    assert isinstance(found, cupy.ndarray)
    assert found.dtype == expected.dtype
    assert found.shape == expected.shape
    largest = 1.0 if expected.dtype.kind in "iub" else max(float(np.abs(expected).max()), 1e-300)
    np.testing.assert_allclose(found.get().astype(float), expected.astype(float), rtol=0, atol=allowed * largest)


@pytest.mark.parametrize("dtype", [*DTYPES, "bool", "int8"])
def test_ranks_are_the_original_s(drop_ins: tuple[Any, Any], dtype: str) -> None:
    import cupy

    ours, _ = drop_ins
    x = (HU / 10 if dtype in ("int8", "bool") else np.abs(HU) % 200 if dtype[0] == "u" else HU).astype(dtype)
    on_gpu, cross = cupy.asarray(x), np.array([[0, 1, 0], [1, 1, 1], [0, 1, 0]])
    calls: list[tuple[str, tuple[Any, ...], dict[str, Any]]] = [
        ("median_filter", (3,), {}),
        ("median_filter", (), {"size": (2, 5), "mode": "mirror", "origin": (-1, 1)}),
        ("median_filter", (), {"footprint": cross, "mode": "wrap"}),
        ("median_filter", (), {"size": 3, "axes": (0,), "mode": "nearest"}),
        ("rank_filter", (2, 3), {"mode": "constant", "cval": 1}),
        ("rank_filter", (-2,), {"footprint": cross}),
        ("percentile_filter", (20, (3, 5)), {}),
        ("percentile_filter", (-20,), {"size": (4, 2)}),
    ]
    for name, given, options in calls:
        there = {k: cupy.asarray(v) if k == "footprint" else v for k, v in options.items()}
        close(getattr(ours, name)(on_gpu, *given, **there), getattr(ndimage, name)(x, *given, **options))
    assert all(call.original == 0 for call in compat.calls().values())


@pytest.mark.parametrize("dtype", DTYPES)
def test_gaussians_are_the_original_s(drop_ins: tuple[Any, Any], dtype: str) -> None:
    import cupy

    ours, _ = drop_ins
    x = (np.abs(HU) % 200 if dtype[0] == "u" else HU).astype(dtype)
    volume = np.stack([x, x[::-1], x]).transpose(1, 2, 0)
    allowed = 2 if x.dtype.kind in "iu" else 2e-6 if dtype == "float32" else 1e-12
    for image in (x, volume):
        for options in ({}, {"mode": "wrap", "truncate": 2.0}, {"radius": 2, "mode": "constant", "cval": 5.0}):
            close(ours.gaussian_filter(cupy.asarray(image), 1.3, **options),
                  ndimage.gaussian_filter(image, 1.3, **options), allowed)  # fmt: skip
        close(ours.gaussian_filter1d(cupy.asarray(image), 1.3, 0), ndimage.gaussian_filter1d(image, 1.3, 0), allowed)
    floats = HU.astype(np.float32)
    derivative = ours.gaussian_filter(cupy.asarray(floats), 1.3, 1)
    close(derivative, ndimage.gaussian_filter(floats, 1.3, 1), 2e-6)
    assert all(call.original == 0 for call in compat.calls().values())


def test_outputs_and_errors(drop_ins: tuple[Any, Any]) -> None:
    import cupy

    ours, _ = drop_ins
    x = HU.astype(np.int16)
    expected, out = ndimage.median_filter(x, 3), cupy.zeros(x.shape, np.int16)
    assert ours.median_filter(cupy.asarray(x), 3, output=out) is out
    close(out, expected)
    close(ours.median_filter(cupy.asarray(x), 3, output=np.int16), expected)
    with pytest.raises(RuntimeError):
        ours.median_filter(cupy.asarray(x), 3, mode="round")
    before = served("cupyx.scipy.ndimage.median_filter")
    close(ours.median_filter(cupy.asarray(x), 3, mode="grid-constant"), ndimage.median_filter(x, 3, mode="constant"))
    assert served("cupyx.scipy.ndimage.median_filter") == (before[0], before[1] + 1), "which CuPy refuses"


@pytest.mark.parametrize("dtype", DTYPES)
def test_cucim(drop_ins: tuple[Any, Any], dtype: str) -> None:
    import cupy

    _, ours = drop_ins
    x = (np.abs(HU) % 200 if dtype[0] == "u" else HU).astype(dtype)
    other = (x[::-1, :20] // 2 + 9).astype("uint8" if dtype[0] == "u" else "int16")
    on_gpu = cupy.asarray(x)
    for channel_axis in (None, -1):
        pair = (x, other) if channel_axis is None else (np.stack([x, x + 1], -1), np.stack([other, other // 2], -1))
        expected = exposure.match_histograms(*pair, channel_axis=channel_axis)
        allowed = 1 if expected.dtype.kind in "iu" else 2e-7
        close(ours.match_histograms(*map(cupy.asarray, pair), channel_axis=channel_axis), expected, allowed)
    assert served("cucim.skimage.exposure.match_histograms")[1] == 0
    for normalize in (False, True):
        found = ours.histogram(on_gpu, normalize=normalize)
        for got, want in zip(found, exposure.histogram(x, normalize=normalize), strict=True):
            close(got, want)
    assert served("cucim.skimage.exposure.histogram") == ((0, 2) if dtype[0] == "f" else (2, 0))
    for ranges in ({}, {"in_range": (-50, 90)}, {"out_range": (3, 7)}):
        if dtype == "float32":
            close(ours.rescale_intensity(on_gpu, **ranges), exposure.rescale_intensity(x, **ranges), 1e-6)
    for footprint in (None, (3, 5), np.eye(3)):
        window = np.ones(footprint) if isinstance(footprint, tuple) else footprint
        there = cupy.asarray(footprint) if isinstance(footprint, np.ndarray) else footprint
        close(ours.median(on_gpu, there), filters.median(x, window))
    assert served("cucim.skimage.filters.median") == (3, 0)
    close(ours.median(on_gpu, (3, 3), behavior="ndimage", algorithm="sorting"), filters.median(x, np.ones((3, 3))))
    assert served("cucim.skimage.filters.median") == (3, 1)
    close(ours.gaussian(on_gpu, 1.5), filters.gaussian(x, 1.5), 2e-6)
    assert served("cucim.skimage.filters.gaussian") == ((1, 0) if dtype[0] == "f" else (0, 1))


def test_patched(drop_ins: tuple[Any, Any]) -> None:
    their_filters, their_exposure = sys.modules["cupyx.scipy.ndimage"], sys.modules["cucim.skimage.exposure"]
    before = their_filters.median_filter, their_exposure.histogram
    with compat.patched("cupyx.scipy.ndimage", "cucim.skimage"):
        assert their_filters.median_filter is drop_ins[0].median_filter
        assert their_exposure.histogram is drop_ins[1].histogram
    assert (their_filters.median_filter, their_exposure.histogram) == before


@pytest.mark.parametrize("name", FILTERS)
def test_signatures_are_cupy_s(name: str) -> None:
    theirs = pytest.importorskip("cupyx.scipy.ndimage", reason="CuPy is not installed", exc_type=ImportError)
    ours = importlib.import_module("ctfast.compat.cupyx")
    assert parameters(getattr(ours, name)) == parameters(getattr(theirs, name))


@pytest.mark.parametrize("name", ["gaussian", "histogram", "match_histograms", "median", "rescale_intensity"])
def test_signatures_are_cucim_s(name: str) -> None:
    pytest.importorskip("cucim.skimage", reason="cuCIM is not installed", exc_type=ImportError)
    ours = importlib.import_module("ctfast.compat.cucim")
    assert parameters(getattr(ours, name)) == parameters(ours._ORIGINALS[name])


def parameters(function: Callable[..., Any]) -> list[tuple[str, Any, Any]]:
    return [(p.name, p.kind, p.default) for p in inspect.signature(function).parameters.values()]
