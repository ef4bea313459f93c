"""PyTorch, ONNX Runtime and OpenVINO as candidates of `bench_cnn.py`; see `cnn_candidates.py`."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from bench.cnn_network import BIASES, KERNELS, LEARNING_RATE, Candidate, Train, Weights, features_side


def torch_network(*, compiled: bool) -> Callable[[Weights], Candidate]:
    def build(weights: Weights) -> Candidate:
        import torch
        from torch import nn

        torch.set_num_threads(len(os.sched_getaffinity(0)))
        side = features_side(weights)

        def network() -> Any:
            blocks: list[Any] = []
            for n in "123":
                c, f = weights[f"k{n}"].shape[2:]
                blocks += [nn.Conv2d(c, f, 3), nn.ReLU(), nn.MaxPool2d(2)]
            head = [nn.Flatten(), nn.Linear(*weights["d1"].shape), nn.ReLU(), nn.Linear(*weights["d2"].shape)]
            model = nn.Sequential(*blocks, *head)
            layers = [m for m in model if hasattr(m, "weight")]
            with torch.no_grad():
                for layer, kernel, bias in zip(layers, KERNELS, BIASES, strict=True):
                    w = weights[kernel]
                    if kernel == "d1":  # torch flattens channels first
                        w = w.reshape(side, side, -1, w.shape[1]).transpose(2, 0, 1, 3).reshape(-1, w.shape[1])
                    w = w.transpose(3, 2, 0, 1) if w.ndim == 4 else w.T
                    layer.weight.copy_(torch.tensor(np.ascontiguousarray(w)))
                    layer.bias.copy_(torch.tensor(weights[bias]))
            model = model.to(memory_format=torch.channels_last)
            return torch.compile(model) if compiled else model

        def images(x: np.ndarray) -> Any:
            # Channels last is how x lies in memory: no copy.
            return torch.from_numpy(x).permute(0, 3, 1, 2)

        still = network().eval()

        def forward(x: np.ndarray) -> np.ndarray:
            with torch.inference_mode():
                return still(images(x)).numpy()

        def trainer() -> Train:
            model = network()
            adam = torch.optim.Adam(model.parameters(), LEARNING_RATE, fused=True)
            cross_entropy = nn.CrossEntropyLoss()

            def train(x: np.ndarray, y: np.ndarray) -> float:
                adam.zero_grad(set_to_none=True)
                loss = cross_entropy(model(images(x)), torch.from_numpy(y).long())
                loss.backward()
                adam.step()
                return float(loss)

            return train

        return Candidate(forward, trainer)

    return build


def _onnx_file(weights: Weights) -> Path:
    """The network as ONNX, channels first as ONNX wants it; the batch is free."""
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    side = features_side(weights)
    d1 = weights["d1"].reshape(side, side, -1, weights["d1"].shape[1])
    arrays = {f"k{n}": weights[f"k{n}"].transpose(3, 2, 0, 1) for n in "123"}
    arrays |= {"d1": d1.transpose(2, 0, 1, 3).reshape(weights["d1"].shape), "d2": weights["d2"]}
    arrays |= {k: weights[k] for k in BIASES}
    nodes, last = [], "x"
    for n in "123":
        nodes.append(helper.make_node("Conv", [last, f"k{n}", f"b{n}"], [f"y{n}"]))
        nodes.append(helper.make_node("Relu", [f"y{n}"], [f"r{n}"]))
        nodes.append(helper.make_node("MaxPool", [f"r{n}"], [f"p{n}"], kernel_shape=[2, 2], strides=[2, 2]))
        last = f"p{n}"
    nodes += [
        helper.make_node("Flatten", [last], ["flat"]),
        helper.make_node("Gemm", ["flat", "d1", "c1"], ["h"]),
        helper.make_node("Relu", ["h"], ["a"]),
        helper.make_node("Gemm", ["a", "d2", "c2"], ["logits"]),
    ]
    channels = weights["k1"].shape[2]
    graph = helper.make_graph(
        nodes,
        "sequential_4",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", channels, "h", "w"])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["n", weights["c2"].size])],
        [numpy_helper.from_array(np.ascontiguousarray(v), k) for k, v in arrays.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    path = Path(tempfile.mkdtemp(prefix="ctfast-bench-")) / "network.onnx"
    onnx.save(model, path)
    return path


def _channels_first(x: np.ndarray) -> np.ndarray:
    """The layout ONNX wants: free for one channel, a copy (timed, 1 ms a batch of 32) for three."""
    return np.ascontiguousarray(x.transpose(0, 3, 1, 2))


def onnxruntime_session(weights: Weights) -> Candidate:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = len(os.sched_getaffinity(0))
    session = onnxruntime.InferenceSession(str(_onnx_file(weights)), options, providers=["CPUExecutionProvider"])
    return Candidate(lambda x: session.run(None, {"x": _channels_first(x)})[0], None)


def openvino_model(weights: Weights) -> Candidate:
    import openvino

    core = openvino.Core()
    settings = {"INFERENCE_PRECISION_HINT": "f32", "PERFORMANCE_HINT": "LATENCY"}
    path = str(_onnx_file(weights))
    compiled: dict[tuple[int, ...], Any] = {}

    def forward(x: np.ndarray) -> np.ndarray:
        x = _channels_first(x)
        if x.shape not in compiled:
            model = core.read_model(path)
            model.reshape(x.shape)
            compiled[x.shape] = core.compile_model(model, "CPU", settings)
        return compiled[x.shape](x)[0].copy()

    return Candidate(forward, None)
