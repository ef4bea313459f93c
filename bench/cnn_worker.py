"""A candidate in a process of its own, which `cnn_turns.py` asks for work over its standard input and output.

Why processes: TensorFlow, PyTorch and JAX in one process fight over threads and OpenMP runtimes, and peak memory could
not be told apart. One request a line, as JSON: ``what`` (``forward`` or ``train``), ``batch``, ``repeats``, ``fresh``
(training starts from the first weights again). The answer has the seconds of each call and the last result.
"""

from __future__ import annotations

import json
import os
import resource
import sys
import time
from typing import Any

import numpy as np

from bench.cnn_candidates import CANDIDATES


def main() -> None:
    name, weights_path, images_path = sys.argv[1:]
    # What libraries print must not mix with the answers.
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    weights = dict(np.load(weights_path))
    data = np.load(images_path)
    x, y = data["x"], data["y"]
    start = time.perf_counter()
    candidate = CANDIDATES[name][1](weights)
    built = time.perf_counter() - start
    train = None
    for line in sys.stdin:
        request = json.loads(line)
        batch = request["batch"]
        images, labels = np.ascontiguousarray(x[:batch]), np.ascontiguousarray(y[:batch])
        seconds: list[float] = []
        result: Any = None
        if request["fresh"] and candidate.trainer is not None:
            train = candidate.trainer()
        for _ in range(request["repeats"]):
            start = time.perf_counter()
            if request["what"] == "forward":
                result = candidate.forward(images).tolist()
            elif train is not None:
                result = train(images, labels)
            seconds.append(time.perf_counter() - start)
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
        print(
            json.dumps({"seconds": seconds, "result": result, "peak_bytes": peak, "built": built}),
            file=answers,
            flush=True,
        )


if __name__ == "__main__":
    main()
