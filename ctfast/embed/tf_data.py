"""Pipelines and operations in ``tf.data``, and wherever else TensorFlow traces.

>>> from ctfast.embed.tf_data import traced
>>> dataset = dataset.map(traced(pipeline, "float32"), num_parallel_calls=tf.data.AUTOTUNE)

The kernels run on the tensors' memory, on a CPU, between TensorFlow's own operations; there are no gradients.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow
from numpy.typing import DTypeLike


def traced(function: Callable[[Any], Any], dtype: DTypeLike) -> Callable[[Any], Any]:
    """``function`` for tensors without values: its result has the shape of the image and this dtype.

    Args:
        function: a ``Pipeline``, or anything that takes an array and gives an image of its shape.
        dtype: of the result, which TensorFlow has to know before there is one.

    Raises:
        TypeError: later, when an image is computed and has another dtype.
    """
    wanted = np.dtype(dtype)

    def compute(x: Any) -> Any:
        result = np.asarray(function(x))
        if result.dtype != wanted:
            raise TypeError(f"the result has dtype {result.dtype}, dtype={wanted.name!r} was said: say what it has")
        return result

    def call(image: Any) -> Any:
        result = tensorflow.numpy_function(compute, [image], wanted, stateful=False)
        result.set_shape(image.shape)
        return result

    return tensorflow.autograph.experimental.do_not_convert(call)
