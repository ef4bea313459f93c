"""Operations in torch's graphs, under vmap and autograd: the values of the same calls outside, checked gradients."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="torch is not installed")

import ctfast  # noqa: E402
from ctfast.embed import torch_ops  # noqa: E402
from ctfast.errors import ArgumentError  # noqa: E402

HU = torch.from_numpy(np.random.default_rng(8).normal(40, 300, (3, 20, 17)).astype(np.float32))
IMAGES: dict[str, Callable[[Any], Any]] = {
    "window": lambda x: ctfast.window(x, center=40, width=400, dtype="uint8"),
    "normalize": lambda x: ctfast.normalize(x, percentiles=(1, 99)),
    "match_histogram": lambda x: ctfast.match_histogram(x, ((-5.5, 0, 90), (1, 7, 2))),
    "rank_filter": lambda x: ctfast.rank_filter(x, -2, size=(2, 3), origin=(0, 1), mode=("wrap", "mirror")),
    "median_filter": lambda x: ctfast.median_filter(x, 3),
    "clahe": lambda x: ctfast.clahe(x, tile_grid=(2, 2)),
}
SMOOTH: dict[str, Callable[[Any], Any]] = {
    "rescale": lambda x: ctfast.rescale(x, slope=2.0, intercept=1.0, dtype="float64"),
    "window": lambda x: ctfast.window(x, center=60, width=601, slope=1.5, out_range=(-1, 2)),
    "sigmoid": lambda x: ctfast.window(x, center=40, width=400, function="sigmoid"),
    "normalize in_range": lambda x: ctfast.normalize(x, in_range=(-300, 500)),
    "normalize": lambda x: ctfast.normalize(x, out_range=(1, 3)),
    "normalize own unclipped": lambda x: ctfast.normalize(x, value_range=(-400, None), clip=False),
    "normalize value_range": lambda x: ctfast.normalize(x, value_range=(-400, None)),
    "standardize": lambda x: ctfast.standardize(x, dtype="float64"),
    "standardize value_range": lambda x: ctfast.standardize(x, value_range=(-400, None), dtype="float64"),
    "standardize mean": lambda x: ctfast.standardize(x, mean=30.0, dtype="float64"),
    "standardize std": lambda x: ctfast.standardize(x, std=90.0, dtype="float64"),
    "standardize mean std": lambda x: ctfast.standardize(x, mean=30.0, std=90.0, dtype="float64"),
    "normalize unclipped": lambda x: ctfast.normalize(x, in_range=(-300, 500), clip=False),
    **{
        f"gaussian {mode}": lambda x, mode=mode: ctfast.gaussian_filter(x, (0.8, 1.5), mode=mode, cval=3.0)
        for mode in ("reflect", "nearest", "constant")
    },
    "gaussian order": lambda x: ctfast.gaussian_filter(x, (0.8, 1.5), order=(1, 2), mode=("wrap", "constant")),
    "gaussian 3 axes": lambda x: ctfast.gaussian_filter(x, (0.5, 0.8, 1.1), mode="mirror"),
    "pipeline": ctfast.Pipeline(
        [ctfast.Step("gaussian_filter", sigma=1.0), ctfast.Step("standardize", dtype="float64")]
    ),
}


@pytest.mark.parametrize("function", IMAGES.values(), ids=IMAGES)
def test_one_graph_without_a_break(function: Callable[[Any], Any]) -> None:
    torch_ops.register()
    torch.compiler.reset()
    compiled = torch.compile(lambda x: function(x * 2) + 1, backend="aot_eager", fullgraph=True)
    assert torch.equal(compiled(HU), function(HU * 2) + 1)


def test_numbers_that_change_between_calls_of_a_compiled_graph() -> None:
    """torch.compile takes the second number for a symbol, whose value the graph must not keep."""
    torch_ops.register()
    torch.compiler.reset()

    def function(x: Any, size: int, top: float) -> Any:
        return ctfast.normalize(ctfast.median_filter(x, size), in_range=(0, top)) * top

    compiled = torch.compile(function, backend="aot_eager", fullgraph=True)
    for size, top in ((3, 40.0), (5, 50.0), (5, 60.5), (3, 40.0)):
        assert torch.equal(compiled(HU, size, top), function(HU, size, top))


def test_gradients_through_a_compiled_graph() -> None:
    torch_ops.register()
    torch.compiler.reset()
    compiled = torch.compile(lambda x: (ctfast.gaussian_filter(x, 1.0) ** 2).sum(), backend="aot_eager", fullgraph=True)
    x, y = HU.clone().requires_grad_(), HU.clone().requires_grad_()
    compiled(x).backward()
    (ctfast.gaussian_filter(y, 1.0) ** 2).sum().backward()
    torch.testing.assert_close(x.grad, y.grad)


@pytest.mark.parametrize("function", IMAGES.values(), ids=IMAGES)
def test_vmap(function: Callable[[Any], Any]) -> None:
    expected = function(HU)
    assert torch.equal(torch.vmap(function)(HU), expected)
    assert torch.equal(torch.vmap(function, in_dims=1)(HU.movedim(0, 1).contiguous()), expected)


@pytest.mark.parametrize("name", SMOOTH)
def test_gradients_are_finite_differences(name: str) -> None:
    function = SMOOTH[name]
    rng = np.random.default_rng(1)
    x = rng.normal(40, 200, (2, 6, 5))
    for end in (-400, -300, -160, 240, 500):  # of ranges: none there
        x[np.abs(x - end) < 5] += 10
    weights = rng.normal(size=x.shape)
    tensor = torch.from_numpy(x.copy()).requires_grad_()
    result = function(tensor)
    (found,) = torch.autograd.grad((result * torch.from_numpy(weights)).sum(), tensor)
    single = result.dtype == torch.float32
    step = 1.0 if single else 1e-3
    expected = np.empty_like(x)
    for k in np.ndindex(x.shape):
        ends = []
        for way in (step, -step):
            moved = x.copy()
            moved[k] += way
            ends.append(np.vdot(np.asarray(function(moved), np.float64), weights))
        expected[k] = (ends[0] - ends[1]) / (2 * step)
    # The ends of a range move by whole steps too, which is not straight.
    close = 1e-7 if not single else 2e-3 if "normalize" in name else 2e-5
    np.testing.assert_allclose(found, expected, atol=close * max(1, np.abs(expected).max()))


def test_what_has_no_gradient_says_so_and_no_grad_needs_none() -> None:
    x = HU.clone().requires_grad_()
    for call in (lambda: ctfast.median_filter(x, 3), lambda: ctfast.summary(x), lambda: ctfast.clahe(x)):
        with pytest.raises(ArgumentError, match=r"x\.detach"):
            call()
    with torch.no_grad():
        assert torch.equal(ctfast.median_filter(x, 3), ctfast.median_filter(HU, 3))
        assert torch.equal(ctfast.gaussian_filter(torch.nn.Parameter(HU), 1.0), ctfast.gaussian_filter(HU, 1.0))
    with pytest.raises(ArgumentError, match="out="):
        ctfast.gaussian_filter(x, 1.0, out=torch.empty_like(HU))


@pytest.mark.filterwarnings("ignore:.*torch.jit.script:DeprecationWarning")  # of torch.func.jvp itself
def test_tangents_are_refused_as_the_operator_would_lose_them() -> None:
    tangent = torch.ones_like(HU)
    for function in (SMOOTH["gaussian reflect"], SMOOTH["pipeline"], IMAGES["median_filter"]):
        with pytest.raises(ArgumentError, match="of a tensor with a tangent"):
            torch.func.jvp(function, (HU,), (tangent,))
        with torch.autograd.forward_ad.dual_level():
            dual = torch.autograd.forward_ad.make_dual(HU, tangent)
            for x in (dual, dual[:1]):
                with pytest.raises(ArgumentError, match="of a tensor with a tangent"):
                    function(x)
            function(HU)  # has none


def test_torch_finds_the_operator_sound() -> None:
    text = '["gaussian_filter", {"sigma": [1, 1], "truncate": 4.0, "mode": "reflect", "cval": 0.0}, null, null]'
    torch.library.opcheck(torch_ops.image, (HU.clone().requires_grad_(), text, "float32", 2))


def test_named_axes() -> None:
    x = HU.movedim(0, -1).contiguous()
    expected = ctfast.gaussian_filter(HU, 1.0).movedim(0, -1)
    torch_ops.register()
    torch.compiler.reset()
    function = lambda x: ctfast.gaussian_filter(x, 1.0, axes=(0, 1))  # noqa: E731
    assert torch.equal(torch.compile(function, backend="aot_eager", fullgraph=True)(x), expected)
    assert torch.equal(function(x.clone().requires_grad_()), expected)
