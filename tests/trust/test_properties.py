"""Any image, any layout, extreme values: every operation of the contract on every backend against the reference, and
relations that must hold whatever the pixels are. ``CTFAST_EXAMPLES=5000`` looks for longer."""

from __future__ import annotations

import os
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import ctfast
from ctfast import Pipeline, Step
from ctkernels.contract import IMAGE_DTYPES, MODES, OPERATIONS
from ctkernels.testing import assert_exact
from tests.cases import results_of, variants
from tests.test_parity import compare, usable_backends

EXAMPLES = int(os.environ.get("CTFAST_EXAMPLES", "80"))
LOOK = settings(
    max_examples=EXAMPLES, deadline=None, derandomize="CTFAST_EXAMPLES" not in os.environ, database=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)  # fmt: skip
KINDS = ("bits", "hu", "two", "constant", "extremes", "steps")
SIDES = st.integers(1, 40)
BATCHES = st.sampled_from([(), (1,), (3,), (2, 2)])


def pixels(kind: str, dtype: str, shape: tuple[int, ...], seed: int) -> np.ndarray:
    """Images of one kind; ``bits`` are any (also NaN, infinite and subnormal floats), ``extremes`` the ends of the
    type."""
    rng, real = np.random.default_rng(seed), np.dtype(dtype)
    if kind == "bits":
        return np.frombuffer(rng.bytes(int(np.prod(shape)) * real.itemsize), real).reshape(shape).copy()
    low, high = (float(np.iinfo(real).min), float(np.iinfo(real).max)) if real.kind in "iu" else (-2e30, 2e30)
    made = {
        "hu": lambda: rng.normal(100, 300, shape),
        "two": lambda: rng.choice([0.0, 7.0], shape),
        "constant": lambda: np.full(shape, rng.integers(0, 200), float),
        "extremes": lambda: rng.choice([low, high, 0.0, 1.0], shape),
        "steps": lambda: np.cumsum(rng.integers(0, 2, shape), -1).astype(float),
    }[kind]()
    return np.clip(made, low, high).astype(real)


@st.composite
def images(draw: Any, dtypes: tuple[str, ...] = IMAGE_DTYPES, kinds: tuple[str, ...] = KINDS) -> np.ndarray:
    batch = draw(BATCHES)
    sides = st.integers(5, 40) if batch else SIDES  # a short last axis of three may be channels
    shape = (*batch, draw(sides), draw(sides))
    return pixels(draw(st.sampled_from(kinds)), draw(st.sampled_from(dtypes)), shape, draw(st.integers(0, 1 << 32)))


@st.composite
def in_some_layout(draw: Any, image: np.ndarray) -> np.ndarray:
    """The same values in another memory."""
    layout = draw(st.sampled_from(["strided", "fortran", "backwards", "big endian", "read only"]))
    if layout == "strided":
        large = np.zeros((*image.shape[:-1], 2 * image.shape[-1]), image.dtype)
        large[..., ::2] = image
        return large[..., ::2]
    if layout == "fortran":
        return np.asfortranarray(image)
    if layout == "backwards":
        return image[..., ::-1].copy()[..., ::-1]
    other = image.astype(image.dtype.newbyteorder(">")) if layout == "big endian" else image.copy()
    other.setflags(write=layout != "read only")
    return other


@pytest.mark.parametrize("name", OPERATIONS)
@LOOK
@given(data=st.data())
def test_any_image_equals_the_reference(name: str, data: Any) -> None:
    image, params = data.draw(images()), data.draw(st.sampled_from(variants(name)))
    result = data.draw(st.sampled_from(results_of(name)))
    params = params if result is None else {**params, "dtype": result}
    if result is not None and np.dtype(result).kind in "iu":
        image = np.where(np.isnan(image), 0, image).astype(image.dtype)  # the exact result is no integer
    for backend in usable_backends():
        with np.errstate(invalid="ignore"):  # signalling NaN, in the reference
            compare(name, image, params, backend, f"{name} {image.shape} {image.dtype} {params}")


@pytest.mark.parametrize("name", OPERATIONS)
@settings(LOOK, max_examples=EXAMPLES // 4)
@given(data=st.data())
def test_the_layout_in_memory_changes_nothing(name: str, data: Any) -> None:
    image = data.draw(images(kinds=("hu", "two", "extremes")))
    params = data.draw(st.sampled_from(OPERATIONS[name].examples))
    other, before = data.draw(in_some_layout(image)), image.copy()
    same(getattr(ctfast, name)(other, **params), getattr(ctfast, name)(image, **params))
    assert_exact(image, before, "what comes in is never changed")


def same(got: Any, expected: Any) -> None:
    """Equal in every bit, images and statistics alike."""
    if isinstance(expected, np.ndarray):
        assert_exact(got, expected)
        return
    for field in (
        ("counts", "edges") if hasattr(expected, "counts") else ("count", "min", "max", "mean", "std", "percentiles")
    ):
        assert_exact(getattr(got, field), getattr(expected, field), field)


def alone(name: str) -> list[dict[str, Any]]:
    """Examples whose result for an image is known without the others: not a range that is found from a batch."""
    return [params for params in OPERATIONS[name].examples if name != "histogram" or "value_range" in params]


@pytest.mark.parametrize("name", [name for name, spec in OPERATIONS.items() if not spec.is_statistic])
@settings(LOOK, max_examples=EXAMPLES // 4)
@given(data=st.data())
def test_a_batch_is_its_images_one_by_one(name: str, data: Any) -> None:
    image = data.draw(images(kinds=("hu", "bits", "steps")).filter(lambda image: image.ndim > 2))
    params, call = data.draw(st.sampled_from(alone(name))), getattr(ctfast, name)
    batch = image.reshape(-1, *image.shape[-2:])
    if image.dtype.kind == "f" and not np.isfinite(image).all():
        batch = np.nan_to_num(batch, nan=0.0, posinf=0.0, neginf=0.0)
    assert_exact(call(batch, **params), np.stack([call(each, **params) for each in batch]))


TURNS = {
    "columns": lambda x: x[..., ::-1],
    "rows": lambda x: x[..., ::-1, :],
    "transposed": lambda x: x.swapaxes(-1, -2),
}


@pytest.mark.parametrize("turn", TURNS)
@LOOK
@given(image=images(), size=st.sampled_from([3, 5, 9]), mode=st.sampled_from(MODES))
def test_medians_and_pixelwise_operations_turn_with_the_image(
    turn: str, image: np.ndarray, size: int, mode: str
) -> None:
    turned, back = np.ascontiguousarray(TURNS[turn](image)), TURNS[turn]
    assert_exact(ctfast.median_filter(turned, size, mode=mode), back(ctfast.median_filter(image, size, mode=mode)))
    for name in ("window", "label_tissue", "rescale"):
        params = OPERATIONS[name].examples[0]
        assert_exact(getattr(ctfast, name)(turned, **params), back(getattr(ctfast, name)(image, **params)))
    counted = {"bins": 64, "value_range": (-1000, 1000)}
    assert_exact(ctfast.histogram(turned, **counted).counts, ctfast.histogram(image, **counted).counts)


@LOOK
@given(image=images(("int16", "float64"), ("hu", "steps", "two")), offset=st.integers(-500, 500), data=st.data())
def test_offsets_and_scales_go_through(image: np.ndarray, offset: int, data: Any) -> None:
    mode = data.draw(st.sampled_from([mode for mode in MODES if mode != "constant"]))
    shift = image.dtype.type(offset)
    assert_exact(ctfast.median_filter(image + shift, 5, mode=mode), ctfast.median_filter(image, 5, mode=mode) + shift)
    assert_exact(
        ctfast.median_filter(image * image.dtype.type(2), 3), ctfast.median_filter(image, 3) * image.dtype.type(2)
    )
    near = 1.0 if image.dtype.kind == "i" else 1e-2
    smooth, moved = ctfast.gaussian_filter(image, 1.5, mode=mode), ctfast.gaussian_filter(image + shift, 1.5, mode=mode)
    assert np.abs(moved.astype(float) - smooth - offset).max() <= near
    counts = ctfast.histogram(image, 50, value_range=(-1500, 1500)).counts
    if image.dtype.kind == "i":
        moved_range = (-1500 + offset, 1500 + offset)
        assert_exact(ctfast.histogram(image + shift, 50, value_range=moved_range).counts, counts)


@st.composite
def pipelines(draw: Any) -> Pipeline:
    names = draw(st.lists(st.sampled_from([n for n in OPERATIONS if n != "histogram"]), min_size=1, max_size=4))
    chosen = [name for k, name in enumerate(names) if not OPERATIONS[name].is_statistic or name not in names[:k]]
    return Pipeline([Step(name, **draw(st.sampled_from(OPERATIONS[name].examples))) for name in chosen])


@LOOK
@given(image=images(("uint8", "int16", "float32"), ("hu", "two", "steps")), pipeline=pipelines())
def test_a_chain_is_its_steps_one_by_one(image: np.ndarray, pipeline: Pipeline) -> None:
    result, step_by_step = pipeline.run(image), image
    for step in pipeline.steps:
        more = {} if step.dtype is None else {"dtype": step.dtype}
        if step.is_statistic:
            same(getattr(result, step.operation), getattr(ctfast, step.operation)(step_by_step, **step.params))
        else:
            step_by_step = getattr(ctfast, step.operation)(step_by_step, **step.params, **more)
    assert_exact(result.image, step_by_step)
    assert_exact(Pipeline.from_dict(pipeline.to_dict())(image), result.image)
