"""The network as ONNX: opset 17, IR 8 (ONNX Runtime 1.12 and later), a free batch size, gray kernels folded.

Input ``images`` float32 ``(N, H, W)`` (RGB: ``(N, H, W, 3)``), 0 to 1: the preprocessed 16-bit slice / 65535. Outputs
``probabilities`` and ``logits``, float32 ``(N, classes)``. Classes, preprocessing and the weights' hash are in the
model's metadata. ONNX is channels first: the rows of the first dense kernel are put in that order here, so that no
transpose is left in the graph of a gray network.
"""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from ctfast import __version__
from ctfast.batch.atomic import write_bytes
from ctfast.batch.notice import NOT_A_DEVICE
from ctfast.errors import missing_extra
from ctfast.model.exchange.jax_export import metadata

if TYPE_CHECKING:
    from ctfast.model.config import ModelConfig
    from ctfast.model.network.sequential4 import Sequential4
    from ctfast.model.run_folder import TrainedModel

OPSET: Final = 17
IR_VERSION: Final = 8


def export_onnx(run: TrainedModel, path: str | Path) -> Path:
    """Write the network as an ONNX file, checked by onnx, whole or not at all; an existing file is replaced.

    Raises:
        MissingDependencyError: If onnx is not installed.
    """
    path = Path(path)
    write_bytes(path, onnx_model(run).SerializeToString())
    return path


def onnx_model(run: TrainedModel) -> Any:
    """The same as an ``onnx.ModelProto``."""
    try:
        import onnx
        from onnx import TensorProto, helper
    except ImportError as error:
        raise missing_extra("ONNX export needs onnx", "nn") from error
    graph = _Graph()
    size, channels = run.preprocessing.image_size, run.preprocessing.channels
    value = graph.channels_first("images", channels)
    broken = graph.sum_of_seen(value, run.config)
    if not run.others:
        value = graph.nan_where_nan(graph.network(value, run.model, channels), broken)
        graph.add("Softmax", [value], "probabilities", axis=1)
    else:
        each = []
        for k, member in enumerate(run.members, 1):
            output = graph.network(value, member, channels, f"member{k}_")
            each.append(graph.add("Softmax", [output], f"member{k}_probabilities", axis=1))
        # Logits of an ensemble are what a softmax turns into its probabilities.
        logits = graph.add("Log", [graph.add("Mean", each, "mean")], "log_mean")
        value = graph.nan_where_nan(logits, broken)
        graph.add("Softmax", [value], "probabilities", axis=1)
    shape = ["N", *size, *((3,) if channels == 3 else ())]
    outputs = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, ["N", len(run.classes)])
        for name in ("probabilities", "logits")
    ]
    inputs = [helper.make_tensor_value_info("images", TensorProto.FLOAT, shape)]
    made = helper.make_model(
        helper.make_graph(graph.nodes, "ctfast", inputs, outputs, graph.weights),
        opset_imports=[helper.make_opsetid("", OPSET)],
        producer_name="ctfast",
        producer_version=__version__,
        doc_string=NOT_A_DEVICE,
    )
    made.ir_version = IR_VERSION
    facts = metadata(run)
    helper.set_model_props(made, {k: v if isinstance(v, str) else json.dumps(v) for k, v in facts.items()})
    onnx.checker.check_model(made, full_check=True)
    return made


def _weights(model: Sequential4, name: str) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    layer = model.layer(name)
    return np.asarray(layer.kernel[...]), np.asarray(layer.bias[...])


def _channels_first(kernel: NDArray[np.float32], rows: int, columns: int) -> NDArray[np.float32]:
    """A dense kernel whose inputs are (row, column, channel) for inputs (channel, row, column)."""
    outputs = kernel.shape[1]
    return kernel.reshape(rows, columns, -1, outputs).transpose(2, 0, 1, 3).reshape(-1, outputs)


class _Graph:
    """Nodes and weights as they are put together."""

    def __init__(self) -> None:
        self.nodes: list[Any] = []
        self.weights: list[Any] = []

    def constant(self, name: str, values: NDArray[Any]) -> str:
        from onnx import numpy_helper

        self.weights.append(numpy_helper.from_array(np.ascontiguousarray(values), name))
        return name

    def add(self, kind: str, inputs: list[str], name: str, **attributes: Any) -> str:
        from onnx import helper

        self.nodes.append(helper.make_node(kind, inputs, [name], name=f"{name}_node", **attributes))
        return name

    def channels_first(self, images: str, channels: int) -> str:
        if channels == 3:
            return self.add("Transpose", [images], "channels_first", perm=[0, 3, 1, 2])
        axis = self.constant("channel_axis", np.array([1], np.int64))
        return self.add("Unsqueeze", [images, axis], "channels_first")

    def sum_of_seen(self, value: str, config: ModelConfig) -> str:
        """The sum of each image's pixels that the network looks at, ``(N, 1)``: NaN where one of them is."""
        corners = {"from": [0, 0], "to": config.seen_size, "axes": [2, 3]}
        cut = [self.constant(f"seen_{k}", np.array(v, np.int64)) for k, v in corners.items()]
        value = self.add("Slice", [value, *cut], "seen")
        flat = self.add("Flatten", [value], "seen_flat", axis=1)
        axis = self.constant("seen_axis", np.array([1], np.int64))
        return self.add("ReduceSum", [flat, axis], "seen_sum", keepdims=1)

    def nan_where_nan(self, value: str, total: str) -> str:
        """The logits, NaN for images with NaN: the pooling of ONNX Runtime drops it or keeps it, by its place."""
        broken = self.add("IsNaN", [total], "is_broken")
        nan = self.constant("nan", np.array(np.nan, np.float32))
        return self.add("Where", [broken, nan, value], "logits")

    def network(self, value: str, model: Sequential4, channels: int, prefix: str = "") -> str:
        """All layers up to the logits."""
        blocks, dense = model.block_names, model.layer_names[len(model.block_names) :]
        for k, (kernel, bias) in enumerate(map(partial(_weights, model), blocks), 1):
            kernel = kernel.sum(axis=2, keepdims=True) if k == 1 and channels == 1 else kernel
            value = self.block(value, kernel, bias, f"{prefix}conv{k}")
        value = self.add("Flatten", [value], f"{prefix}flatten", axis=1)
        for k, (kernel, bias) in enumerate(map(partial(_weights, model), dense), 1):
            if k == 1:
                kernel = _channels_first(kernel, *model.config.block_sizes[-1])
            name = f"{prefix}output" if k == len(dense) else f"{prefix}dense{k}"
            weights = [self.constant(f"{name}_kernel", kernel), self.constant(f"{name}_bias", bias)]
            value = self.add("Gemm", [value, *weights], name)
            if k < len(dense):
                value = self.add("Relu", [value], f"{name}_relu")
        return value

    def block(self, value: str, kernel: NDArray[np.float32], bias: NDArray[np.float32], name: str) -> str:
        """Valid convolution, ReLU, 2 x 2 maximum (an odd last row or column is dropped, as everywhere here)."""
        weight = self.constant(f"{name}_kernel", kernel.transpose(3, 2, 0, 1))
        offset = self.constant(f"{name}_bias", bias)
        value = self.add("Conv", [value, weight, offset], name, kernel_shape=[3, 3])
        value = self.add("Relu", [value], f"{name}_relu")
        return self.add("MaxPool", [value], f"{name}_pool", kernel_shape=[2, 2], strides=[2, 2])
