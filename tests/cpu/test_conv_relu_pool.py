"""The convolution block on NumPy arrays, against a plain float64 sum and its plain derivative."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ctkernels.cpu._core import parallel
from ctkernels.cpu.conv_relu_pool import conv_relu_pool, conv_relu_pool_backward, pooled_shape

ROOT = Path(__file__).resolve().parents[2]

# images, height, width, input and output channels: odd and even, one window, more tiles than a chunk, channels that
# fill no register, exactly one, and one and a bit
SHAPES = [
    (1, 4, 4, 1, 1),
    (2, 9, 12, 3, 5),
    (1, 13, 12, 16, 32),
    (2, 30, 29, 1, 32),
    (2, 17, 18, 3, 64),
    (1, 31, 145, 5, 40),
    (3, 16, 20, 32, 64),
    (1, 20, 140, 16, 20),
]


def plain(x: Any, kernel: Any, bias: Any) -> tuple[Any, Any]:
    """Result and argmax, in float64, by the definition."""
    x, kernel, bias = (np.asarray(a, np.float64) for a in (x, kernel, bias))
    patches = np.lib.stride_tricks.sliding_window_view(x, (3, 3), axis=(1, 2))  # n, y, x, c, dy, dx
    y = np.einsum("nyxcab,abcf->nyxf", patches, kernel) + bias
    n, high, wide, f = y.shape
    y = y[:, : high // 2 * 2, : wide // 2 * 2].reshape(n, high // 2, 2, wide // 2, 2, f)
    windows = y.transpose(0, 1, 3, 5, 2, 4).reshape(n, high // 2, wide // 2, f, 4)
    return np.maximum(windows.max(-1), 0), np.where(windows.max(-1) > 0, windows.argmax(-1), 4)


def plain_backward(x: Any, kernel: Any, argmax: Any, gradient: Any) -> tuple[Any, Any, Any]:
    """Gradients of x, kernel and bias, one window and tap after the other."""
    x, kernel, gradient = (np.asarray(a, np.float64) for a in (x, kernel, gradient))
    dx, dk = np.zeros_like(x), np.zeros_like(kernel)
    high, wide = gradient.shape[1:3]
    for index in range(4):
        g = np.where(argmax == index, gradient, 0)
        for dy in range(3):
            for dx_ in range(3):
                rows = slice(index // 2 + dy, index // 2 + dy + 2 * high - 1, 2)
                columns = slice(index % 2 + dx_, index % 2 + dx_ + 2 * wide - 1, 2)
                dk[dy, dx_] += np.einsum("nyxc,nyxf->cf", x[:, rows, columns], g)
                dx[:, rows, columns] += g @ kernel[dy, dx_].T
    return dx, dk, np.where(argmax < 4, gradient, 0).sum((0, 1, 2))


def sample(shape: tuple[int, ...], dtype: Any, seed: int = 0) -> tuple[Any, ...]:
    n, h, w, c, f = shape
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((n, h, w, c)).astype(dtype)
    kernel = (rng.standard_normal((3, 3, c, f)) / np.sqrt(9 * c)).astype(dtype)
    bias = (rng.standard_normal(f) / 4).astype(dtype)
    gradient = rng.standard_normal(pooled_shape(x.shape, kernel.shape)).astype(dtype)
    return x, kernel, bias, gradient


def close(result: Any, expected: Any, dtype: Any, roundings: int = 8) -> None:
    """Within so many roundings of the largest value.

    8 for sums of up to some hundred terms in the order of Winograd's form, 32 for gradients summed over all windows.
    """
    assert result.dtype == dtype
    assert result.shape == expected.shape
    assert np.abs(result - expected).max() <= roundings * np.finfo(dtype).eps * max(np.abs(expected).max(), 1e-30)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_forward_and_backward_are_the_definition(shape: tuple[int, ...], dtype: Any) -> None:
    x, kernel, bias, gradient = sample(shape, dtype)
    argmax = np.empty(gradient.shape, np.uint8)
    result = conv_relu_pool(x, kernel, bias, argmax=argmax)
    expected, expected_argmax = plain(x, kernel, bias)
    # From 16 input channels on by F(4 x 4, 3 x 3), whose rounding of random numbers is up to three times a plain sum's.
    close(result, expected, dtype, 24 if shape[3] >= 16 else 8)
    np.testing.assert_array_equal(argmax, expected_argmax)  # random values have no near-ties at these seeds
    np.testing.assert_array_equal(conv_relu_pool(x, kernel, bias), result)
    found = conv_relu_pool_backward(x, kernel, argmax, gradient)
    for ours, theirs in zip(found, plain_backward(x, kernel, argmax, gradient), strict=True):
        assert ours is not None
        close(ours, theirs, dtype, 32)
    nothing, dk, db = conv_relu_pool_backward(x, kernel, argmax, gradient, input_gradient=False)
    assert nothing is None
    np.testing.assert_array_equal(dk, found[1])
    np.testing.assert_array_equal(db, found[2])


@pytest.mark.parametrize("channels", [1, 8, 32])
def test_of_equal_values_the_first_is_the_maximum(channels: int) -> None:
    """Air and padding are constant: all four outputs of a window are equal, in every bit."""
    kernel, bias = sample((1, 4, 4, channels, 32), np.float32)[1:3]
    flat = np.full((1, 12, 12, channels), 0.3, np.float32)
    stripes = np.repeat(np.linspace(0, 1, 12, dtype=np.float32)[None, :, None, None], 12, 2).repeat(channels, 3)
    for x, allowed in ((flat, {0, 4}), (stripes, {0, 2, 4}), (stripes.transpose(0, 2, 1, 3), {0, 1, 4})):
        argmax = np.empty((1, 5, 5, 32), np.uint8)
        conv_relu_pool(x, kernel, bias, argmax=argmax)
        assert set(np.unique(argmax)) <= allowed
        assert len(np.unique(argmax)) > 1


def test_the_same_bits_on_any_number_of_threads() -> None:
    x, kernel, bias, gradient = sample((2, 40, 40, 16, 32), np.float32)
    argmax = np.empty(gradient.shape, np.uint8)
    found = []
    for threads in (1, 2, 4):
        before = parallel.get_num_threads()
        parallel.set_num_threads(threads)
        try:
            result = conv_relu_pool(x, kernel, bias, argmax=argmax)
            found.append(
                [result, conv_relu_pool(x, kernel, bias), *conv_relu_pool_backward(x, kernel, argmax, gradient)]
            )
        finally:
            parallel.set_num_threads(before)
    for others in found[1:]:
        for a, b in zip(found[0], others, strict=True):
            np.testing.assert_array_equal(a, b)


def test_calls_from_several_threads_do_not_disturb_each_other() -> None:
    samples = [sample(shape, np.float32) for shape in SHAPES[1:5]]
    expected = [conv_relu_pool(*s[:3]) for s in samples]
    wrong = []

    def work(number: int) -> None:
        for k in range(20):
            s = (number + k) % len(samples)
            if not np.array_equal(conv_relu_pool(*samples[s][:3]), expected[s]):
                wrong.append(s)

    threads = [threading.Thread(target=work, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_views_read_only_arrays_and_empty_batches() -> None:
    x, kernel, bias, _ = sample((2, 12, 14, 3, 8), np.float32)
    expected = conv_relu_pool(x, kernel, bias)
    wide = np.repeat(x, 2, axis=2)[:, :, ::2]
    for a in (x, kernel):
        a.flags.writeable = False
    np.testing.assert_array_equal(conv_relu_pool(wide, kernel, bias), expected)
    np.testing.assert_array_equal(conv_relu_pool(x, kernel, bias), expected)
    assert conv_relu_pool(x[:0], kernel, bias).shape == (0, 5, 6, 8)
    dx, dk, _ = conv_relu_pool_backward(x[:0], kernel, np.empty((0, 5, 6, 8), np.uint8), expected[:0])
    assert dx is not None
    assert dx.shape == (0, 12, 14, 3)
    assert not dk.any()


def test_not_a_number_does_not_disappear() -> None:
    x, kernel, bias, _ = sample((1, 12, 12, 8, 16), np.float32)
    x[0, 5, 5, 3] = np.nan
    result = conv_relu_pool(x, kernel, bias)
    expected = plain(x, kernel, bias)[0]
    assert np.isnan(result[np.isnan(expected)]).all()
    assert np.isfinite(result[0, 4:, 4:]).all()


@pytest.mark.parametrize(
    ("change", "error", "words"),
    [
        ({"x": np.zeros((2, 8, 8, 3), np.int16)}, TypeError, "float32 or float64"),
        ({"x": np.zeros((8, 8, 3), np.float32)}, ValueError, "N, H, W, C"),
        ({"x": np.zeros((1, 3, 8, 3), np.float32)}, ValueError, "4 x 4"),
        ({"kernel": np.zeros((5, 5, 3, 8), np.float32)}, ValueError, r"\(3, 3, 3, F\)"),
        ({"kernel": np.zeros((3, 3, 3, 8))}, TypeError, "kernel is float64"),
        ({"bias": np.zeros(7, np.float32)}, ValueError, "bias has shape"),
        ({"argmax": np.zeros((2, 3, 3, 8), np.int8)}, ValueError, "uint8"),
    ],
)
def test_wrong_arguments_are_named(change: dict[str, Any], error: type[Exception], words: str) -> None:
    arguments = {
        "x": np.zeros((2, 8, 8, 3), np.float32),
        "kernel": np.zeros((3, 3, 3, 8), np.float32),
        "bias": np.zeros(8, np.float32),
        "argmax": None,
    } | change
    argmax = arguments.pop("argmax")
    with pytest.raises(error, match=words):
        conv_relu_pool(**arguments, argmax=argmax)


NARROW = """
import numpy as np
from ctkernels.cpu._conv import lanes
from tests.cpu.test_conv_relu_pool import SHAPES, close, conv_relu_pool, conv_relu_pool_backward
from tests.cpu.test_conv_relu_pool import plain, plain_backward, sample
assert lanes.REGISTER_BYTES == {width}, lanes.REGISTER_BYTES
for shape in SHAPES[1:6]:
    x, kernel, bias, gradient = sample(shape, np.float32)
    argmax = np.empty(gradient.shape, np.uint8)
    close(conv_relu_pool(x, kernel, bias, argmax=argmax), plain(x, kernel, bias)[0], np.float32)
    close(conv_relu_pool(x, kernel, bias), plain(x, kernel, bias)[0], np.float32, 16)
    found = conv_relu_pool_backward(x, kernel, argmax, gradient)
    for ours, theirs in zip(found, plain_backward(x, kernel, argmax, gradient)):
        close(ours, theirs, np.float32, 32)
print("agreed")
"""


@pytest.mark.parametrize(("width", "features"), [(32, "+avx2,+fma"), (16, "")])
def test_narrower_processors(width: int, features: str, tmp_path: Path) -> None:
    """What AVX2 and plain SSE machines run, compiled for such a target on this one."""
    script = NARROW.format(width=width)
    paths = [str(ROOT / "kernels"), str(ROOT)]
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(paths), "NUMBA_CPU_FEATURES": features}
    env |= {"NUMBA_CPU_NAME": "generic", "NUMBA_CACHE_DIR": str(tmp_path)}
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, env=env, check=False)
    assert done.stdout == "agreed\n", done.stderr
