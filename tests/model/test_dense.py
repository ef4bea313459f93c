"""The dense layer's product: against NumPy's in float64, and its bits in batches of any size."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ctfast.model.config import ModelConfig
from ctfast.model.network.convolution import choose_path
from ctfast.model.network.dense import as_bytes, dense
from ctfast.model.network.explain import class_activation
from ctfast.model.network.sequential4 import Sequential4


def sample(n: int, k: int, m: int, dtype: Any = np.float32) -> tuple[jax.Array, jax.Array]:
    rng = np.random.default_rng(0)
    return jnp.asarray(rng.standard_normal((n, k)), dtype), jnp.asarray(rng.standard_normal((k, m)) / np.sqrt(k), dtype)


def close(found: Any, expected: Any, roundings: int = 16) -> None:
    """Within so many roundings of the largest value."""
    found, eps = np.asarray(found), np.finfo(found.dtype).eps
    assert np.abs(found - expected).max() <= roundings * eps * np.abs(expected).max()


# one image, few, more than a job takes; inputs of less than a step, no whole steps, several parts
@pytest.mark.parametrize("shape", [(1, 5, 32), (1, 2100, 96), (3, 1000, 64), (70, 1031, 32)], ids=str)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_product_is_numpys(shape: tuple[int, int, int], dtype: str) -> None:
    with jax.enable_x64(True):
        x, kernel = sample(*shape, dtype)
        found = dense(x, kernel, path="ffi")
        assert found.dtype == dtype
        close(found, np.asarray(x, np.float64) @ np.asarray(kernel, np.float64))


def narrowed(kernel: jax.Array, dtype: str) -> jax.Array:
    """The weights in this dtype; int8 without what its columns are multiplied with."""
    return as_bytes(kernel)[0] if dtype == "int8" else kernel.astype(dtype)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "int8"])
def test_an_image_has_the_same_bits_in_every_batch(dtype: str) -> None:
    x, kernel = sample(67, 3000, 64)
    kernel = narrowed(kernel, dtype)
    together = np.asarray(dense(x, kernel, path="ffi"))
    for first, last in ((0, 1), (3, 5), (10, 17), (66, 67), (1, 66)):
        np.testing.assert_array_equal(dense(x[first:last], kernel, path="ffi"), together[first:last])


@pytest.mark.parametrize("outputs", [2, 10, 100])
def test_products_of_few_columns_too(outputs: int) -> None:
    x, kernel = sample(32, 128, outputs)
    together = np.asarray(dense(x, kernel, path="ffi"))
    assert together.shape == (32, outputs)
    close(together, np.asarray(x, np.float64) @ np.asarray(kernel, np.float64))
    for many in (1, 3, 8):
        parts = [dense(x[k : k + many], kernel, path="ffi") for k in range(0, 32, many)]
        np.testing.assert_array_equal(np.concatenate(parts), together)


@pytest.mark.parametrize("hidden", [16, 128])
def test_logits_of_an_image_do_not_depend_on_its_batch(hidden: int) -> None:
    model = Sequential4(ModelConfig(image_size=(64, 64), widths=(8, 16), dense=hidden, classes=3), path="ffi")
    x = jnp.asarray(np.random.default_rng(0).random((33, 64, 64), np.float32))
    program = jax.jit(lambda x: model(x, at_a_time=8))
    together = np.asarray(program(x))
    for many in (1, 3, 11):
        parts = [program(x[k : k + many]) for k in range(0, 33, many)]
        np.testing.assert_array_equal(np.concatenate(parts), together)


@pytest.mark.parametrize("dtype", ["bfloat16", "int8"])
@pytest.mark.parametrize("n", [1, 5])
def test_narrow_weights_are_widened_and_sums_are_not_rounded(n: int, dtype: str) -> None:
    x, kernel = sample(n, 2500, 128)
    narrow = narrowed(kernel, dtype)
    assert narrow.dtype == dtype
    np.testing.assert_array_equal(dense(x, narrow, path="ffi"), dense(x, narrow.astype(jnp.float32), path="ffi"))
    close(dense(x, narrow, path="xla"), np.asarray(dense(x, narrow, path="ffi")), 32)


def test_bytes_are_within_half_a_step_of_their_column() -> None:
    kernel = jnp.asarray([[0.0, 1.0, -3.0], [0.0, 0.4, 127.0], [0.0, -0.9, 63.6]], jnp.float32)
    narrow, scale = as_bytes(kernel)
    # by hand: steps of 0, 1/127 and 1
    np.testing.assert_array_equal(narrow, [[0, 127, -3], [0, 51, 127], [0, -114, 64]])
    np.testing.assert_allclose(scale, [0, 1 / 127, 1], rtol=1e-6)


def test_gradients_and_vmap_are_those_of_the_plain_product() -> None:
    x, kernel = sample(6, 300, 32)

    def loss(path: str, *arguments: jax.Array) -> jax.Array:
        return jnp.sin(dense(*arguments, path=path)).sum()

    ours, theirs = (jax.grad(lambda *a, p=path: loss(p, *a), (0, 1))(x, kernel) for path in ("ffi", "xla"))
    for a, b in zip(ours, theirs, strict=True):
        close(a, np.asarray(b))
    pairs = jax.vmap(lambda a: dense(a, kernel, path="ffi"))(x.reshape(3, 2, 300))
    np.testing.assert_array_equal(pairs.reshape(6, 32), dense(x, kernel, path="ffi"))
    halves = jnp.stack([kernel, -kernel]).astype(jnp.bfloat16)
    each = jax.vmap(lambda w: dense(x, w, path="ffi"))(halves)
    np.testing.assert_array_equal(each[1], -each[0])


# images that fill half a block of columns, a whole one, one and some; inputs of no whole step, several tasks
@pytest.mark.parametrize("shape", [(1, 5, 32), (16, 1031, 64), (21, 40, 32), (37, 2100, 32)], ids=str)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_gradients_are_numpys(shape: tuple[int, int, int], dtype: str) -> None:
    with jax.enable_x64(True):
        x, kernel = sample(*shape, dtype)
        gradient = jnp.asarray(np.random.default_rng(1).standard_normal((shape[0], shape[2])), dtype)
        found = jax.jit(lambda *a: jax.vjp(lambda *b: dense(*b, path="ffi"), *a[:2])[1](a[2]))(x, kernel, gradient)
        wide_x, wide_kernel, wide = (np.asarray(a, np.float64) for a in (x, kernel, gradient))
        for ours, numpys in zip(found, (wide @ wide_kernel.T, wide_x.T @ wide), strict=True):
            assert ours.dtype == dtype
            close(ours, numpys)


def test_gradients_under_vmap_are_those_one_by_one() -> None:
    x, kernel = sample(6, 100, 32)
    gradients = jax.grad(lambda a, w: jnp.sin(dense(a, w, path="ffi")).sum(), (0, 1))
    together = jax.vmap(gradients, (0, None))(x.reshape(3, 2, 100), kernel)
    for n in range(3):
        for ours, alone in zip(together, gradients(x[2 * n : 2 * n + 2], kernel), strict=True):
            close(ours[n], np.asarray(alone))


def test_other_widths_and_types_take_the_plain_product() -> None:
    x, kernel = sample(2, 100, 30)
    np.testing.assert_array_equal(dense(x, kernel, path="ffi"), x @ kernel)
    half = x.astype(jnp.bfloat16)
    assert dense(half, kernel.astype(jnp.bfloat16), path="ffi").dtype == jnp.bfloat16


def test_a_wrong_compiled_call_is_an_error_and_no_crash() -> None:
    choose_path("ffi", "cpu", np.float32)
    x, kernel = sample(2, 40, 32)
    for arguments, shape in (((x, kernel[:39]), (2, 32)), ((x, kernel[:, :20]), (2, 20)), ((x[0], kernel), (2, 32))):
        call = jax.ffi.ffi_call("ctfast_dense_float32", jax.ShapeDtypeStruct(shape, jnp.float32))
        with pytest.raises(jax.errors.JaxRuntimeError, match="multiple of 32"):
            jax.block_until_ready(call(*arguments))
    gradient = jnp.zeros((2, 32), jnp.float32)
    for name, arguments, shape in (
        ("input", (kernel, gradient[:, :20]), (2, 40)),
        ("input", (kernel, gradient), (3, 40)),
        ("weight", (x, gradient[:1]), (40, 32)),
        ("weight", (x, gradient), (39, 32)),
        ("weight", (x, gradient, gradient), (40, 32)),
    ):
        call = jax.ffi.ffi_call(f"ctfast_dense_{name}_gradient_float32", jax.ShapeDtypeStruct(shape, jnp.float32))
        with pytest.raises(jax.errors.JaxRuntimeError, match="gradients"):
            jax.block_until_ready(call(*arguments))


@pytest.mark.parametrize("precision", ["bfloat16", "int8"])
def test_narrow_weights_of_a_network_change_its_probabilities_little(precision: str) -> None:
    model = Sequential4(ModelConfig((32, 32), 1, (8, 16, 16), 32, 2))
    x = np.random.default_rng(1).random((5, 32, 32), np.float32)
    narrow = model.with_precision(precision)
    assert narrow.dense.kernel[...].dtype == precision
    assert model.with_precision("float32").dense.kernel[...].dtype == model.dense.kernel[...].dtype == jnp.float32
    assert model.dense.scale is None
    difference = np.abs(np.asarray(narrow.probabilities(x) - model.probabilities(x))).max()
    assert 0 < difference < 1e-2
    maps, same = (class_activation(m, x, target=np.zeros(5, int)).maps for m in (narrow, model))
    np.testing.assert_allclose(maps, same, atol=0.05 * np.abs(same).max())
