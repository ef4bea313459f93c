"""The three paths of the convolution block: against Keras, against each other, under JAX's transformations."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from typing import Any

os.environ.setdefault("KERAS_BACKEND", "jax")

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.test_util import check_grads

from ctfast.errors import ArgumentError, BackendUnavailableError, DTypeError, ShapeError
from ctfast.model.network.convolution import PATHS, blocks_together, choose_path, conv_relu_pool

FAST = ("ffi", "lax")
SHAPES = [(3, 17, 20, 5, 12), (2, 16, 17, 1, 32), (2, 15, 16, 3, 32), (1, 14, 14, 16, 32)]


@pytest.fixture(autouse=True)
def _strict() -> Iterator[None]:
    """Nothing is promoted or broadcast unasked."""
    with jax.numpy_dtype_promotion("strict"), jax.numpy_rank_promotion("raise"):
        yield


def sample(shape: tuple[int, ...], dtype: Any = np.float32, seed: int = 0) -> tuple[jax.Array, jax.Array, jax.Array]:
    n, h, w, c, f = shape
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((n, h, w, c))
    kernel, bias = rng.standard_normal((3, 3, c, f)) / np.sqrt(9 * c), rng.standard_normal(f) / 4
    return jnp.asarray(x, dtype), jnp.asarray(kernel, dtype), jnp.asarray(bias, dtype)


def gradients(path: str, x: jax.Array, kernel: jax.Array, bias: jax.Array) -> Any:
    def loss(*args: jax.Array) -> jax.Array:
        out = conv_relu_pool(*args, path=path)
        return (out * jnp.cos(jnp.arange(out.size, dtype=out.dtype)).reshape(out.shape)).sum()

    return jax.jit(jax.value_and_grad(loss, (0, 1, 2)))(x, kernel, bias)


def close(ours: Any, theirs: Any, roundings: float = 16) -> None:
    """Within so many roundings of the largest value."""
    for a, b in zip(jax.tree.leaves(ours), jax.tree.leaves(theirs), strict=True):
        assert a.shape == b.shape
        assert a.dtype == b.dtype
        a, b = np.asarray(a, np.float64), np.asarray(b, np.float64)
        eps = float(jnp.finfo(ours[0].dtype if isinstance(ours, tuple) else ours.dtype).eps)
        assert np.abs(a - b).max() <= roundings * eps * max(np.abs(b).max(), 1e-30)


def test_equal_to_keras() -> None:
    import keras

    assert keras.backend.backend() == "jax"
    shape = SHAPES[0]
    x, kernel, bias = sample(shape)
    convolution = keras.layers.Conv2D(shape[4], 3, activation="relu")
    convolution.build(x.shape)
    convolution.set_weights([np.asarray(kernel), np.asarray(bias)])
    with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        expected = keras.layers.MaxPooling2D(2)(convolution(x))
    for path in PATHS:
        close(conv_relu_pool(x, kernel, bias, path=path), expected)


def test_equal_to_torch() -> None:
    torch = pytest.importorskip("torch", reason="torch is not installed: the convolution is not compared with it")
    x, kernel, bias = sample(SHAPES[0])
    # jax.Array memory is read-only, which torch warns about: copies.
    leaves = [torch.tensor(np.array(a)).requires_grad_() for a in (x, kernel, bias)]
    out = torch.nn.functional.conv2d(leaves[0].permute(0, 3, 1, 2), leaves[1].permute(3, 2, 0, 1), leaves[2])
    out = torch.nn.functional.max_pool2d(torch.relu(out), 2).permute(0, 2, 3, 1)
    weights = np.cos(np.arange(out.numel(), dtype=np.float32)).reshape(out.shape)
    (out * torch.tensor(weights)).sum().backward()
    expected = tuple(jnp.asarray(leaf.grad.numpy()) for leaf in leaves)
    for path in FAST:
        close(conv_relu_pool(x, kernel, bias, path=path), jnp.asarray(out.detach().numpy()))
        close(gradients(path, x, kernel, bias)[1], expected, 64)


@pytest.mark.parametrize("path", FAST)
@pytest.mark.parametrize("shape", SHAPES[1:], ids=str)
def test_equal_to_the_plain_path(path: str, shape: tuple[int, ...]) -> None:
    x, kernel, bias = sample(shape)
    close(conv_relu_pool(x, kernel, bias, path=path), conv_relu_pool(x, kernel, bias, path="xla"))
    close(gradients(path, x, kernel, bias)[1], gradients("xla", x, kernel, bias)[1], 64)


def test_gradients_where_images_are_constant() -> None:
    """Air is one value, and so is what a window cuts off: of equals, any maximum gives weights the same gradients."""
    radius = np.hypot(*np.meshgrid(np.linspace(-1, 1, 66), np.linspace(-1, 1, 66)))
    rough = np.random.default_rng(3).uniform(0.3, 0.7, (66, 66))
    image = np.where(radius > 0.8, 0.0, np.where(radius < 0.4, 1.0, rough))
    x = jnp.asarray(np.stack([image, image[::-1, 5:].repeat(2, 1)[:, :66]])[..., None], np.float32)
    weights = [sample((1, 4, 4, c, f), seed=c)[1:] for c, f in ((1, 32), (32, 32), (32, 64))]

    def loss(weights: Any, path: str) -> jax.Array:
        y = x
        for kernel, bias in weights:
            y = conv_relu_pool(y, kernel, bias, path=path)
        return (y * jnp.cos(jnp.arange(y.size, dtype=y.dtype)).reshape(y.shape)).sum()

    ours, plain = (jax.tree.leaves(jax.grad(loss)(weights, path)) for path in ("ffi", "xla"))
    for a, b in zip(ours, plain, strict=True):
        close(a, b, 64)


@pytest.mark.parametrize("path", PATHS[1:])
def test_gradients_in_float64(path: str) -> None:
    """Against differences of the function itself, and against the plain path to float64's rounding."""
    with jax.enable_x64(True):
        for shape in SHAPES[:2]:
            args = sample(shape, np.float64)
            close(gradients(path, *args)[1], gradients("xla", *args)[1])
        small = sample((2, 7, 6, 2, 3), np.float64)
        check_grads(lambda *a: conv_relu_pool(*a, path=path), small, order=1, modes=["rev"], eps=1e-6)


@pytest.mark.parametrize("path", FAST)
def test_vmap_over_batches_and_over_kernels(path: str) -> None:
    x, kernel, bias = sample((6, 12, 12, 2, 8))
    batches, kernels = x.reshape(3, 2, 12, 12, 2), jnp.stack([kernel, 2 * kernel, -kernel])

    def block(batch: jax.Array, weights: jax.Array) -> jax.Array:
        return conv_relu_pool(batch, weights, bias, path=path)

    flat = conv_relu_pool(x, kernel, bias, path="xla")
    close(jax.vmap(block, (0, None))(batches, kernel).reshape(flat.shape), flat)
    one_by_one = jnp.stack([conv_relu_pool(b, k, bias, path="xla") for b, k in zip(batches, kernels, strict=True)])
    close(jax.vmap(block)(batches, kernels), one_by_one)

    def loss(batch: jax.Array, weights: jax.Array) -> jax.Array:
        return (block(batch, weights) ** 2).sum()

    per_batch = jax.vmap(jax.grad(loss, (0, 1)), (0, None))(batches, kernel)
    expected = [jax.grad(loss, (0, 1))(b, kernel) for b in batches]
    close(per_batch, tuple(jnp.stack(g) for g in zip(*expected, strict=True)))


@pytest.mark.parametrize("path", PATHS)
def test_images_one_at_a_time(path: str) -> None:
    """The third layer's shape, where jaxlib 0.10.2 errs if a convolution and the maximum after it have five axes."""
    x, kernel, bias = sample((2, 62, 62, 64, 128))
    together = conv_relu_pool(x, kernel, bias, path="xla")

    def one(image: jax.Array) -> jax.Array:
        return conv_relu_pool(image[None], kernel, bias, path=path)[0]

    by_map = jax.jit(lambda images: jax.lax.map(jax.vmap(one), images[:, None])[:, 0])
    close(by_map(x), together, 32)
    close(jax.jit(jax.vmap(one))(x[:1]), together[:1], 32)


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_half_width_floats(path: str, dtype: str) -> None:
    args = sample(SHAPES[0], dtype)
    exact = conv_relu_pool(*(a.astype(jnp.float32) for a in args), path="xla")
    result = conv_relu_pool(*args, path=path)
    assert result.dtype == dtype
    close(result, exact.astype(dtype), 2)
    assert all(g.dtype == dtype for g in gradients(path, *args)[1])


def test_the_same_bits_every_time_and_from_many_threads() -> None:
    path = "ffi"
    samples = [sample(shape) for shape in SHAPES[:2]]
    expected = [jax.tree.map(np.asarray, gradients(path, *args)) for args in samples]
    wrong: list[int] = []

    def work(first: int) -> None:
        for k in range(6):
            number = (first + k) % len(samples)
            found = jax.tree.map(np.asarray, gradients(path, *samples[number]))
            pairs = zip(jax.tree.leaves(found), jax.tree.leaves(expected[number]), strict=True)
            if not all(np.array_equal(a, b) for a, b in pairs):
                wrong.append(number)

    threads = [threading.Thread(target=work, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_the_first_layer_does_not_compute_the_gradient_of_its_images() -> None:
    x, kernel, bias = sample(SHAPES[1])
    program = jax.jit(jax.grad(lambda k: conv_relu_pool(x, k, bias, path="ffi").sum())).lower(kernel)
    assert "weight_gradient" in program.compile().as_text()
    assert "input_gradient" not in program.compile().as_text()


def test_auto_takes_what_there_is(monkeypatch: pytest.MonkeyPatch) -> None:
    assert choose_path("auto", "cpu", np.float32) == "ffi"
    assert choose_path("auto", "gpu", np.float32) == choose_path("auto", "tpu", jnp.bfloat16) == "xla"
    monkeypatch.setattr("ctfast.model.network.convolution.why_no_ffi", lambda dtype: "no compiler today")
    assert choose_path("auto", "cpu", np.float32) == "lax"
    with pytest.raises(BackendUnavailableError, match="no compiler today"):
        choose_path("ffi", "cpu", np.float32)
    with pytest.raises(BackendUnavailableError, match="CPU only"):
        choose_path("ffi", "gpu", np.float32)
    with pytest.raises(ArgumentError, match="winograd"):
        choose_path("winograd", "cpu", np.float32)


def test_wrong_arguments_are_named() -> None:
    x, kernel, bias = sample(SHAPES[0])
    with pytest.raises(ShapeError, match="N, H, W, C"):
        conv_relu_pool(x[0], kernel, bias)
    with pytest.raises(ShapeError, match="at least 4"):
        conv_relu_pool(x[:, :3], kernel, bias)
    with pytest.raises(ShapeError, match="fit x"):
        conv_relu_pool(x, kernel[:, :, :4], bias)
    with pytest.raises(ShapeError, match="fit x"):
        conv_relu_pool(x, kernel, bias[:3])
    with pytest.raises(DTypeError, match="one dtype"):
        conv_relu_pool(x, kernel.astype(jnp.bfloat16), bias)
    with pytest.raises(DTypeError, match="int32"):
        conv_relu_pool(*(a.astype(jnp.int32) for a in (x, kernel, bias)))


def test_a_wrong_compiled_call_is_an_error_and_no_crash() -> None:
    """What the public function checks, the call target checks again: it is known to XLA by name, to anyone."""
    choose_path("ffi", "cpu", np.float32)
    x, kernel, bias = sample(SHAPES[0])
    out = jax.ShapeDtypeStruct((3, 7, 9, 12), jnp.float32)
    name = "ctfast_convolution_{}_float32".format
    wrong = [
        (name("forward"), out, (x, kernel), "number of arguments"),
        (name("forward"), out, (x, kernel.astype(jnp.bfloat16), bias), "wrong type"),
        (name("forward"), out, (x[0], kernel, bias), "number of axes"),
        (name("forward"), out, (x, kernel, bias[:5]), "do not fit"),
        (name("forward"), jax.ShapeDtypeStruct((3, 8, 9, 12), jnp.float32), (x, kernel, bias), "do not fit"),
        (name("forward"), (out, out), (x, kernel, bias), "wrong type"),
        (name("input_gradient"), jax.ShapeDtypeStruct(x.shape, x.dtype), (kernel, bias, x), "wrong type"),
        (name("weight_gradient"), (out, out), (x, x), "number of arguments"),
    ]
    for target, results, args, words in wrong:
        with pytest.raises(jax.errors.JaxRuntimeError, match=words):
            jax.block_until_ready(jax.ffi.ffi_call(target, results)(*args))


def all_blocks(images: int, dtype: Any, channels: int = 3) -> list[jax.Array]:
    """Images, and kernels and biases of two blocks."""
    x, *first = sample((images, 21, 24, channels, 32), dtype)
    return [x, *first, *sample((1, 9, 11, 32, 8), dtype)[1:]]


def one_by_one(x: jax.Array, *weights: jax.Array) -> jax.Array:
    for kernel, bias in zip(weights[::2], weights[1::2], strict=True):
        x = conv_relu_pool(x, kernel, bias, path="ffi")
    return x


# images that are shared out evenly between two threads, none such, and some that are left; a first block whose kernel
# is packed before any of its bands
@pytest.mark.parametrize(("images", "channels"), [(1, 3), (2, 3), (5, 3), (1, 5), (3, 5)])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_blocks_together_have_the_bits_of_one_after_another(images: int, channels: int, dtype: Any) -> None:
    with jax.enable_x64(True):
        arguments = all_blocks(images, dtype, channels)
        found = jax.jit(blocks_together)(*arguments)
        assert found.dtype == dtype
        np.testing.assert_array_equal(found, one_by_one(*arguments))


def test_blocks_together_have_gradients_and_batches() -> None:
    arguments = all_blocks(2, np.float32)

    def loss(function: Any) -> Any:
        return jax.jit(jax.grad(lambda *a: jnp.sin(function(*a)).sum(), tuple(range(5))))

    for ours, theirs in zip(loss(blocks_together)(*arguments), loss(one_by_one)(*arguments), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    several = jnp.stack([arguments[0], arguments[0] + 1])
    found = jax.vmap(blocks_together, (0, None, None, None, None))(several, *arguments[1:])
    for k in (0, 1):
        np.testing.assert_array_equal(found[k], one_by_one(several[k], *arguments[1:]))
