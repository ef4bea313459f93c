"""``bench/gpu_check.py`` runs to its end with tiny sizes on the simulated GPU, so that it will on a real one."""

from __future__ import annotations

import importlib
import json
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.cuda_on_host.simulation import Simulation

MODULES = ("bench.gpu_check", "bench.gpu_timing", "bench.gpu_work", "bench.gpu_peers")


@pytest.fixture
def check(host_gpu: Simulation, monkeypatch: pytest.MonkeyPatch) -> Any:
    import cupy

    # Ten seconds, so that nothing is repeated more often than it must be.
    monkeypatch.setattr(cupy.cuda, "get_elapsed_time", lambda start, end: 1e4, raising=False)
    for name in MODULES:
        sys.modules.pop(name, None)
    yield importlib.import_module("bench.gpu_check")
    for name in MODULES:
        sys.modules.pop(name, None)


def test_every_section_runs(check: Any, tmp_path: Path) -> None:
    code = check.main(["--small", "--out", str(tmp_path)])
    (path,) = tmp_path.glob("gpu-*.json")
    results = json.loads(path.read_text())
    assert [(k, v["error"], v["trace"]) for k, v in results.items() if isinstance(v, dict) and "error" in v] == []
    assert code == 0
    assert all(case["right"] for case in results["parity"]["result"])
    assert {case["row"] for case in results["throughput"]["result"]} == {work.row for work in check.TIMED}
    assert results["fused"]["result"]["equal_image"]
    assert all(case["equal_image"] and case["equal_counts"] for case in results["captured"]["result"])
    assert results["end_to_end"]["result"]["gpu_failed"] == 0


def test_the_readme_table_comes_from_the_file(check: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from bench import report

    monkeypatch.setattr(report, "ROOT", tmp_path)
    assert report.gpu_table(report.newest_gpu_result()) == report.NO_GPU_RESULT
    folder = tmp_path / "bench" / "results"
    folder.mkdir(parents=True)
    case = {"row": "median 3", "batch": 256, "seconds": 1e-3, "images_per_second": 256e3, "roofline": 0.61}
    run = {
        "date": "2031-02-03T04:05:06", "small": False, "device": "Made-up GPU", "cupy": "14.2.0", "nvrtc": "12.9",
        "throughput": {"result": [case, {"row": "median 3", "batch": 2048, "left_out": "memory"}]},
        "copies": {"result": {"device_bytes_per_second": 4e12}},
        "peers": {"result": {"timed": [{"row": "median 3", "peer": "slow", "batch": 256, "seconds": 5e-3}]}},
        "fused": {"result": {"seconds": 1.0, "stepwise_seconds": 2.5}},
        "end_to_end": {"result": {"files": 600, "gpu_seconds": 1.0, "cpu_seconds": 4.0, "read_seconds": 3.0}},
    }  # fmt: skip
    (folder / "gpu-2031-02-03-x.json").write_text(json.dumps(run))
    (folder / "gpu-2032-02-03-x.json").write_text(json.dumps({"date": "2032-02-03", "small": True}))
    table = report.gpu_table(report.newest_gpu_result())
    assert "Made-up GPU, 2031-02-03" in table
    assert "| median 3 | 256 (61 %) | **5** slow |" in table
    assert "2.5 times" in table
