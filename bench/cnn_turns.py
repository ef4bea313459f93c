"""Candidates of `bench_cnn.py`, each in a process of its own, taking turns."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from bench.cnn_candidates import CANDIDATES
from bench.cnn_network import images, random_weights

ROOT = Path(__file__).resolve().parents[1]
TOTAL_SECONDS = 30.0
TURN_SECONDS = 0.2
ROUNDS = 9
SLOW_SECONDS = 2.0

# Fresh pages fault in at some 2.5 GB/s. Kept memory helps whoever allocates a lot in every call (PyTorch sevenfold, JAX
# too), so all candidates get it: no peer is slow for its allocator's sake. One arena, as those of threads but the
# first hold 64 MB and map what is larger anew (`ctfast/batch/kept_memory.py`); peers are no slower with it.
ALLOCATOR = ":".join(
    f"glibc.malloc.{setting}"
    for setting in ("arena_max=1", "mmap_max=0", "trim_threshold=2147483647", "top_pad=268435456")
)


AS_IT_COMES = " as it comes"
"""After a candidate's name: the allocator is as for users who have set nothing. ``ctfast train`` sets it itself."""


class Worker:
    """One candidate's process."""

    def __init__(self, name: str, weights: Path, data: Path) -> None:
        paths = [str(ROOT / "bench"), str(ROOT / "kernels"), str(ROOT)]
        env = {**os.environ, "PYTHONPATH": os.pathsep.join(paths)}
        env |= {} if name.endswith(AS_IT_COMES) else {"GLIBC_TUNABLES": ALLOCATOR}
        env |= {"TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": ""}
        for single in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
            env.pop(single, None)  # bench/conftest.py sets them to 1; here everyone has all cores
        command = [sys.executable, str(ROOT / "bench" / "cnn_worker.py"), _library(name), str(weights), str(data)]
        self.name = name
        self.errors = tempfile.TemporaryFile("w+")  # noqa: SIM115, closed with the process
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self.errors, text=True, env=env
        )

    def ask(self, what: str, batch: int, repeats: int, *, fresh: bool) -> dict[str, Any]:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(json.dumps({"what": what, "batch": batch, "repeats": repeats, "fresh": fresh}) + "\n")
        self.process.stdin.flush()
        answer = self.process.stdout.readline()
        if not answer:
            self.errors.seek(0)
            raise RuntimeError(f"{self.name} ended: {self.errors.read()[-2000:]}")
        return json.loads(answer)

    def close(self) -> None:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.close()
        self.process.wait(timeout=60)
        self.process.stdout.close()
        self.errors.close()


def _library(name: str) -> str:
    return name.removesuffix(AS_IT_COMES)


class Turns:
    """All candidates that are installed, started when first asked."""

    def __init__(self, channels: int, folder: Path, names: Sequence[str] = tuple(CANDIDATES)) -> None:
        self.weights, self.data = folder / f"weights{channels}.npz", folder / f"images{channels}.npz"
        self.channels = channels
        np.savez(self.weights, **random_weights(channels))
        np.savez(self.data, **images(64, channels))
        installed = {name: importlib.util.find_spec(CANDIDATES[_library(name)][0]) is not None for name in names}
        self.absent = tuple(name for name, there in installed.items() if not there)
        self.names = [name for name, there in installed.items() if there]
        self.workers: dict[str, Worker] = {}
        self.first: dict[tuple[str, str, int], float] = {}
        self.peaks: dict[str, int] = {}

    def _ask(self, name: str, what: str, batch: int, repeats: int, *, fresh: bool = False) -> dict[str, Any]:
        if name not in self.workers:
            self.workers[name] = Worker(name, self.weights, self.data)
        answer = self.workers[name].ask(what, batch, repeats, fresh=fresh)
        self.peaks[name] = answer["peak_bytes"]
        return answer

    def results(self, what: str, batch: int) -> Mapping[str, Any]:
        """What each finds (two steps' losses where it trains), and how long its first call took.

        That has in it everything that happens once: compiling, and building the network if nothing was asked before.
        """
        results = {}
        for name in self.names:
            new = name not in self.workers
            answer = self._ask(name, what, batch, 1, fresh=what == "train")
            if answer["result"] is not None:
                results[name] = answer["result"]
                self.first[name, what, batch] = answer["seconds"][0] + (answer["built"] if new else 0.0)
                if what == "train":
                    results[name] = [answer["result"], self._ask(name, what, batch, 1)["result"]]
        return results

    def medians(self, what: str, batch: int, names: Sequence[str]) -> dict[str, float]:
        """Median seconds of a call, candidates in turns; slow ones twice only."""
        single = {name: min(self._ask(name, what, batch, 2)["seconds"]) for name in names}
        repeats = {name: max(1, round(TURN_SECONDS / t)) for name, t in single.items()}
        fast = [name for name in names if single[name] < SLOW_SECONDS]
        cost = sum(max(TURN_SECONDS, single[name]) for name in fast) or 1.0
        rounds = int(np.clip(TOTAL_SECONDS / cost, 3, ROUNDS))
        times: dict[str, list[float]] = {name: [] for name in names}
        for number in range(rounds):
            for name in names:
                if name in fast or number < 2:
                    times[name] += self._ask(name, what, batch, repeats[name])["seconds"]
        return {name: float(np.median(t)) for name, t in times.items()}

    def close(self) -> None:
        for worker in self.workers.values():
            worker.close()
