"""XLA's call targets without XLA: the frame of a call is built by hand, as xla/ffi/api/c_api.h lays it out."""

from __future__ import annotations

import ctypes
from typing import Any

import numpy as np
import pytest

from ctkernels.cpu import xla
from ctkernels.cpu.conv_relu_pool import conv_relu_pool, conv_relu_pool_backward

DTYPES = {"uint8": 6, "float32": 11, "float64": 12}


class Frame:
    """A call of arrays; the API has no thread pool, as in old versions, and remembers the errors it makes."""

    def __init__(self, arguments: list[Any], results: list[Any], *, metadata: Any = None) -> None:
        self.errors: list[str] = []
        self.kept: list[Any] = [arguments, results]

        @ctypes.CFUNCTYPE(ctypes.c_void_p, ctypes.c_void_p)
        def create(request: int) -> int:
            text = ctypes.c_char_p.from_address(request + 16).value
            self.errors.append((text or b"").decode())
            return 1

        self.kept.append(create)
        api = self.words(72, 0, 24, 0, 3 << 32, 0, ctypes.cast(create, ctypes.c_void_p).value or 0, 0, 0)
        extension = 0
        if metadata is not None:
            extension = self.words(32, 1, 0, metadata.ctypes.data)
        args, rets = (self.words(*map(self.buffer, arrays)) for arrays in (arguments, results))
        inputs, outputs = (40, 0, len(arguments), 0, args), (40, 0, len(results), 0, rets)
        self.address = self.words(168, extension, api, 0, 3, *inputs, *outputs, 40, 0, 0, 0, 0, 0, 0)

    def words(self, *values: int) -> int:
        memory = np.array(values or (0,), np.int64)
        self.kept.append(memory)
        return memory.ctypes.data

    def buffer(self, array: Any) -> int:
        dims = self.words(*array.shape)
        return self.words(48, 0, DTYPES[str(array.dtype)], array.ctypes.data, array.ndim, dims)


def call(name: str, dtype: str, frame: Frame) -> Any:
    function = ctypes.CFUNCTYPE(ctypes.c_void_p, ctypes.c_void_p)(xla.targets(dtype)[name])
    return function(frame.address)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_same_as_on_arrays_without_a_thread_pool(dtype: str) -> None:
    rng = np.random.default_rng(0)
    x, kernel, bias = (rng.standard_normal(s).astype(dtype) for s in ((2, 14, 15, 8), (3, 3, 8, 20), (20,)))
    argmax, expected_argmax = np.zeros((2, 2, 6, 6, 20), np.uint8)
    out = np.zeros((2, 6, 6, 20), dtype)
    assert not call("forward", dtype, Frame([x, kernel, bias], [out, argmax]))
    np.testing.assert_array_equal(out, conv_relu_pool(x, kernel, bias, argmax=expected_argmax))
    np.testing.assert_array_equal(argmax, expected_argmax)
    gradients = np.zeros_like(x), np.zeros_like(kernel), np.zeros_like(bias)
    turned = np.ascontiguousarray(kernel[::-1, ::-1].swapaxes(2, 3))
    assert not call("input_gradient", dtype, Frame([turned, argmax, out], [gradients[0]]))
    assert not call("weight_gradient", dtype, Frame([x, argmax, out], list(gradients[1:])))
    for found, expected in zip(gradients, conv_relu_pool_backward(x, kernel, argmax, out), strict=True):
        assert expected is not None
        np.testing.assert_allclose(found, expected, rtol=0, atol=1e-6 * np.abs(expected).max())


def all_blocks(dtype: str) -> list[Any]:
    """Images, and kernels and biases of three blocks: a plain sum's, and both forms of Winograd's."""
    rng = np.random.default_rng(1)
    shapes = ((3, 43, 46, 1), (3, 3, 1, 32), (32,), (3, 3, 32, 20), (20,), (3, 3, 20, 7), (7,))
    return [rng.standard_normal(s).astype(dtype) for s in shapes]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("blocks", [1, 2, 3])
def test_all_blocks_in_one_call_have_the_bits_of_one_after_another(dtype: str, blocks: int) -> None:
    arguments = all_blocks(dtype)[: 1 + 2 * blocks]
    expected = arguments[0]
    for kernel, bias in zip(arguments[1::2], arguments[2::2], strict=True):
        expected = conv_relu_pool(expected, kernel, bias)
    out = np.zeros_like(expected)
    assert not call("features", dtype, Frame(arguments, [out]))
    np.testing.assert_array_equal(out, expected)


def test_blocks_that_do_not_fit_are_told() -> None:
    x, *weights = all_blocks("float32")
    out = np.zeros((3, 3, 4, 7), np.float32)
    for arguments, words in (
        ([x], "number of arguments"),
        ([x, *weights[:5]], "number of arguments"),
        ([x, *weights[:2], weights[2].astype(np.float64), *weights[3:]], "wrong type"),
        ([x[0], *weights], "number of axes"),
        ([x, *weights[2:]], "do not fit"),
        ([x[:, :20], *weights], "do not fit"),  # 3 rows are left for the last block
        ([x[:2], *weights], "do not fit"),
    ):
        frame = Frame([np.ascontiguousarray(a) for a in arguments], [out])
        assert call("features", "float32", frame)
        assert words in frame.errors[0]
    assert not call("features", "float32", Frame([x, *weights], [out]))
    assert not call("features", "float32", Frame([x[:0], *weights], [out[:0]]))


def test_the_version_is_that_of_the_caller() -> None:
    metadata = np.zeros(6, np.int64)
    assert not call("forward", "float32", Frame([], [], metadata=metadata))
    assert metadata[3] == 3 << 32  # major 0, minor 3


def test_errors_say_what_is_wrong() -> None:
    x, kernel, bias = np.zeros((1, 8, 8, 2), np.float32), np.zeros((3, 3, 2, 4), np.float32), np.zeros(4, np.float32)
    out = np.zeros((1, 3, 3, 4), np.float32)
    for arguments, words in (
        ([x, kernel], "number of arguments"),
        ([x.astype(np.float64), kernel, bias], "wrong type"),
        ([x[0], kernel, bias], "number of axes"),
        ([x[:, :5], kernel, bias], "do not fit"),
        ([x[:, :, :3], kernel, bias], "do not fit"),
    ):
        frame = Frame([np.ascontiguousarray(a) for a in arguments], [out])
        assert call("forward", "float32", frame)
        assert words in frame.errors[0]


def test_targets_are_compiled_once_and_for_two_types() -> None:
    assert xla.targets("float32") == xla.targets("float32")
    with pytest.raises(ValueError, match="float32 and float64"):
        xla.targets("float16")
