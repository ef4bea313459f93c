"""Operations inside traced JAX programs: the bits of the same calls outside, gradients against finite differences."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

jax = pytest.importorskip("jax", reason="JAX is not installed")
jnp = jax.numpy

import ctfast  # noqa: E402
from ctfast.embed import _jax_handler  # noqa: E402
from ctfast.errors import ArgumentError, BackendUnavailableError, CTFastError, DTypeError, ShapeError  # noqa: E402

HU = np.random.default_rng(8).normal(40, 300, (3, 20, 17)).astype(np.float32)
IMAGES: dict[str, Callable[[Any], Any]] = {
    "rescale": lambda x: ctfast.rescale(x, slope=2.0, intercept=-3.0),
    "window": lambda x: ctfast.window(x, center=40, width=400, dtype="uint8"),
    "normalize": lambda x: ctfast.normalize(x, percentiles=(1, 99)),
    "standardize": ctfast.standardize,
    "match_histogram": lambda x: ctfast.match_histogram(x, ((-5.5, 0, 90), (1, 7, 2))),
    "median_filter": lambda x: ctfast.median_filter(x, 3),
    "rank_filter": lambda x: ctfast.rank_filter(x, -2, size=(2, 3), origin=(0, 1), mode=("wrap", "mirror")),
    "percentile_filter": lambda x: ctfast.percentile_filter(x, 20, footprint=np.eye(3)),
    "gaussian_filter order": lambda x: ctfast.gaussian_filter(x, 1.0, order=(0, 1), radius=3),
    "gaussian_filter": lambda x: ctfast.gaussian_filter(x, (1.0, 2.0), mode="mirror"),
    "clahe": lambda x: ctfast.clahe(x, tile_grid=(2, 2)),
    "label_tissue": ctfast.label_tissue,
    "pipeline": ctfast.Pipeline([ctfast.Step("median_filter", size=3), ctfast.Step("normalize")]),
}


@pytest.mark.parametrize("function", IMAGES.values(), ids=IMAGES)
def test_the_same_bits_in_jit_and_vmap(function: Callable[[Any], Any]) -> None:
    expected = function(HU)
    x = jnp.asarray(HU)
    for found in (
        jax.jit(function)(x),
        jax.vmap(function)(x),
        jnp.moveaxis(jax.jit(jax.vmap(function, in_axes=2, out_axes=1))(jnp.moveaxis(x, 0, 2)), 1, 0),
        jax.jit(lambda x: function(x[..., None]))(x)[..., 0],
        jax.lax.map(function, x),
    ):
        assert found.dtype == expected.dtype
        np.testing.assert_array_equal(found, expected)


def test_narrow_images_and_volumes_under_vmap() -> None:
    narrow = jnp.asarray(HU[:, :, :3])
    expected = np.stack([ctfast.median_filter(np.asarray(x), 3) for x in narrow])
    np.testing.assert_array_equal(jax.vmap(lambda x: ctfast.median_filter(x, 3))(narrow), expected)
    volumes = np.stack([HU, HU[::-1]])
    for function in (lambda x: ctfast.median_filter(x, (3, 3, 3)), lambda x: ctfast.normalize(x, axes=3)):
        np.testing.assert_array_equal(jax.jit(jax.vmap(function))(jnp.asarray(volumes)), function(volumes))


def test_integers_and_statistics() -> None:
    x = HU.astype(np.int16)
    traced = jnp.asarray(x)
    found = jax.jit(lambda x: ctfast.median_filter(x, 3))(traced)
    assert found.dtype == np.int16
    np.testing.assert_array_equal(found, ctfast.median_filter(x, 3))
    counts, edges = jax.jit(jax.vmap(lambda x: ctfast.histogram(x, 20, value_range=(-500, 500)).counts))(traced), None
    expected, edges = ctfast.histogram(x, 20, value_range=(-500, 500))
    np.testing.assert_array_equal(counts, expected)
    np.testing.assert_allclose(jax.jit(lambda x: ctfast.histogram(x, 20, value_range=(-500, 500)))(traced).edges, edges)
    summary, plain = jax.jit(ctfast.summary)(traced), ctfast.summary(x)
    for name in ("count", "mean", "std", "min", "max", "percentiles"):
        np.testing.assert_allclose(getattr(summary, name), getattr(plain, name), rtol=1e-6)
    np.testing.assert_array_equal(summary.median, plain.median)
    steps = ctfast.Pipeline([ctfast.Step("median_filter", size=3), ctfast.Step("summary")])
    np.testing.assert_array_equal(jax.jit(steps.run)(traced).summary.max, steps.run(x).summary.max)


GRADIENTS: dict[str, Callable[[Any], Any]] = {
    "rescale": lambda x: ctfast.rescale(x, slope=2.0, dtype="float64"),
    "window": lambda x: ctfast.window(x, center=60, width=601, slope=1.5, out_range=(-1, 2)),
    "sigmoid": lambda x: ctfast.window(x, center=40, width=400, function="sigmoid"),
    "normalize in_range": lambda x: ctfast.normalize(x, in_range=(-300, 500), out_range=(1, 3)),
    "standardize": lambda x: ctfast.standardize(x, dtype="float64"),
    "standardize value_range": lambda x: ctfast.standardize(x, value_range=(-400, None), dtype="float64"),
    "standardize mean": lambda x: ctfast.standardize(x, mean=30.0, dtype="float64"),
    "standardize std": lambda x: ctfast.standardize(x, std=90.0, dtype="float64"),
    "standardize mean std": lambda x: ctfast.standardize(x, mean=30.0, std=90.0, dtype="float64"),
    "normalize unclipped": lambda x: ctfast.normalize(x, in_range=(-300, 500), clip=False),
    **{
        f"gaussian_filter {mode}": lambda x, mode=mode: ctfast.gaussian_filter(x, (0.8, 1.5), mode=mode, cval=3.0)
        for mode in ("reflect", "mirror", "nearest", "wrap", "constant")
    },
    "gaussian_filter 3 axes": lambda x: ctfast.gaussian_filter(x, (0.5, 0.8, 1.1), mode="nearest"),
    "gaussian_filter order": lambda x: ctfast.gaussian_filter(x, (0.8, 1.5), order=(1, 2), mode=("wrap", "constant")),
    "gaussian_filter radius": lambda x: ctfast.gaussian_filter(
        x, (0.8, 1.5), radius=(1, 3), mode=("mirror", "nearest")
    ),
    "gaussian_filter far": lambda x: ctfast.gaussian_filter(x, 4.0, truncate=3.0, mode="mirror"),
}


@pytest.mark.parametrize("function", GRADIENTS.values(), ids=GRADIENTS)
def test_gradients_are_finite_differences(function: Callable[[Any], Any]) -> None:
    rng = np.random.default_rng(1)
    x = rng.normal(40, 200, (2, 6, 5))
    for end in (-400, -300, -160, 240, 500):  # of ranges: none there
        x[np.abs(x - end) < 5] += 10
    weights = rng.normal(size=x.shape)
    with jax.enable_x64(True):
        found = jax.jit(jax.grad(lambda x: jnp.vdot(function(x), weights)))(jnp.asarray(x))
    assert found.dtype == np.float64
    single = function(x).dtype == np.float32
    step = 1.0 if single else 1e-3
    expected = np.empty_like(x)
    for k in np.ndindex(x.shape):
        ends = []
        for way in (step, -step):
            moved = x.copy()
            moved[k] += way
            ends.append(np.vdot(function(moved).astype(np.float64), weights))
        expected[k] = (ends[0] - ends[1]) / (2 * step)
    np.testing.assert_allclose(found, expected, atol=(2e-5 if single else 1e-7) * max(1, np.abs(expected).max()))


def test_ranges_that_depend_on_the_image_have_gradients_too() -> None:
    x = jnp.asarray(HU[0])

    def spread(x: Any, **options: Any) -> Any:
        return (ctfast.normalize(x, **options) * jnp.arange(x.size).reshape(x.shape)).sum()

    for options in ({}, {"value_range": (-200, None)}, {"percentiles": (10, 90)}):
        gradient = np.asarray(jax.grad(spread)(x, **options))
        assert np.isfinite(gradient).all()
        # A constant more or a factor changes nothing.
        np.testing.assert_allclose(gradient.sum(dtype=float), 0, atol=2e-3 * np.abs(gradient).max())
    assert not np.asarray(jax.grad(lambda x: ctfast.normalize(x).sum())(jnp.ones((4, 4)))).any()
    twice = jax.grad(lambda x: jax.grad(lambda y: (ctfast.gaussian_filter(y, 1.0) ** 2).sum())(x).sum())(x)
    np.testing.assert_allclose(twice, 2 * np.ones_like(x), atol=1e-4)


def test_what_has_no_gradient_says_so() -> None:
    x = jnp.asarray(HU)
    for name in ("median_filter", "clahe"):
        with pytest.raises(ArgumentError, match=rf"{name} has no gradient.*stop_gradient"):
            jax.grad(lambda x, name=name: IMAGES[name](x).sum())(x)
    stopped = jax.grad(lambda x: (x * ctfast.median_filter(jax.lax.stop_gradient(x), 3)).sum())(x)
    np.testing.assert_array_equal(stopped, ctfast.median_filter(HU, 3))


@pytest.mark.parametrize(
    ("call", "error", "match"),
    [
        (lambda x: ctfast.median_filter(x, 0), ArgumentError, "size"),
        (lambda x: ctfast.median_filter(x[..., :3], 3), ShapeError, "ambiguous"),
        (lambda x: ctfast.median_filter(x.astype(jnp.bfloat16), 3), DTypeError, "bfloat16"),
        (lambda x: ctfast.median_filter(x, 3, out=HU.copy()), ArgumentError, "out="),
        (ctfast.histogram, ArgumentError, "value_range"),
        (lambda x: ctfast.median_filter(x, 3, backend="gpu"), BackendUnavailableError, "outside of jax.jit"),
        (lambda x: ctfast.window(x, center=0, width=9, dtype="int8"), DTypeError, "int8"),
    ],
)
def test_wrong_calls_are_refused_when_they_are_traced(call: Any, error: type[CTFastError], match: str) -> None:
    with pytest.raises(error, match=match):
        jax.jit(call)(jnp.asarray(HU))


def test_errors_of_a_running_program_are_xla_s(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: Any) -> None:
        raise ValueError("no such luck")

    function = jax.jit(lambda x: ctfast.median_filter(x, 5))
    monkeypatch.setattr(_jax_handler, "compute", broken)
    with pytest.raises(Exception, match="no such luck"):
        function(jnp.asarray(HU)).block_until_ready()


def test_xla_s_own_memory_is_read_and_written(monkeypatch: pytest.MonkeyPatch) -> None:
    """Zero-copy: the array that goes in and the one that comes out are those that the kernel sees."""
    seen: list[int] = []

    def watched(text: bytes, x: np.ndarray, results: list[np.ndarray]) -> None:
        seen.extend([x.ctypes.data, results[0].ctypes.data])
        results[0][...] = x

    monkeypatch.setattr(_jax_handler, "compute", watched)
    x = jnp.asarray(HU)
    result = jax.jit(lambda x: ctfast.median_filter(x, 3))(x).block_until_ready()
    assert seen == [x.unsafe_buffer_pointer(), result.unsafe_buffer_pointer()]


def test_shards() -> None:
    mesh = jax.make_mesh((1,), ("d",))
    spec = jax.sharding.PartitionSpec("d")
    function = jax.shard_map(lambda x: ctfast.gaussian_filter(x, 1.0), mesh=mesh, in_specs=spec, out_specs=spec)
    spread = jax.device_put(HU, jax.sharding.NamedSharding(mesh, spec))
    np.testing.assert_array_equal(jax.jit(function)(spread), ctfast.gaussian_filter(HU, 1.0))


def test_named_axes() -> None:
    x = np.moveaxis(HU, 0, -1)
    found = jax.jit(lambda x: ctfast.median_filter(x, (3, 5), axes=(0, 1)))(jnp.asarray(x))
    np.testing.assert_array_equal(found, np.moveaxis(ctfast.median_filter(HU, (3, 5)), 0, -1))
