"""What other people's scripts call (DESIGN.md, "What others already rely on"), typed as they type it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile

import ctfast
import ctfast.files

IMAGE = np.random.default_rng(2).integers(-1024, 3071, (64, 70)).astype(np.int16)


def _images(x: Any, **more: Any) -> list[Any]:
    return [
        ctfast.median_filter(x, 5, **more),
        ctfast.gaussian_filter(x, 1.5, mode="mirror", **more),
        ctfast.clahe(x, clip_limit=2.0, tile_grid=(8, 8), nbins=65536, **more),
    ]


@pytest.mark.parametrize("backend", ["cpu", "reference"])
def test_the_operations(backend: str) -> None:
    x = IMAGE
    for result in _images(x, backend=backend):
        assert (result.shape, result.dtype) == (x.shape, x.dtype)
    for result in _images(x, out=(out := np.empty_like(x)), backend=backend):
        assert result is out
    for result in (
        ctfast.window(x, center=40, width=400, out=np.empty(x.shape, np.uint8), backend=backend),
        ctfast.normalize(x, out=np.empty(x.shape, np.uint16), backend=backend),
        ctfast.standardize(x, out=np.empty(x.shape, np.float64), backend=backend),
    ):
        assert result.dtype in (np.uint8, np.uint16, np.float64)
    assert ctfast.window(x, center=40, width=400).dtype == np.float32
    assert ctfast.normalize(x).max() == 1
    assert abs(float(ctfast.standardize(x).mean())) < 1e-3
    counts, edges = ctfast.histogram(x, 256, value_range=(-1024, 3071), backend=backend)
    assert (counts.shape, edges.shape, int(counts.sum())) == ((256,), (257,), x.size)


def test_threads_and_backends() -> None:
    before = ctfast.get_num_threads()
    ctfast.set_num_threads(1)
    assert ctfast.get_num_threads() == 1
    ctfast.set_num_threads(before)
    assert set(ctfast.backends()) == {"cpu", "gpu", "reference"}


def test_read_image(tmp_path: Path) -> None:
    ctfast.files.write_image(tmp_path / "a.tif", IMAGE, units="hu", spacing=(0.7, 0.7))
    image = ctfast.files.read_image(tmp_path / "a.tif")
    np.testing.assert_array_equal(image.pixels, IMAGE)
    assert image.meaning == image.units == "hu"
    assert image.padding is None
    assert image.spacing == pytest.approx((0.7, 0.7))
    assert isinstance(image.meta, dict)


def test_the_network() -> None:
    nnx = pytest.importorskip("flax.nnx", reason="flax is not installed")
    model = ctfast.model.Sequential4(rngs=nnx.Rngs(0))
    assert model is not None


def test_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from typer.testing import CliRunner

    from ctfast.cli import app

    tifffile.imwrite(tmp_path / "IN.tif", IMAGE)
    arguments = ["run", str(tmp_path / "IN.tif"), "--out", str(tmp_path / "OUT"), "--preset", "mediastinum"]
    done = CliRunner().invoke(app, [*arguments, "--backend", "cpu"])
    assert done.exit_code == 0, done.output
    (row,) = [json.loads(line) for line in (tmp_path / "OUT" / "manifest.jsonl").read_text().splitlines()]
    assert row["status"] == "ok"
    assert row["output"].endswith(".tif")
    assert "input" in row


@pytest.mark.parametrize(
    ("command", "options"),
    [
        ("run", {"--out", "--preset", "--backend", "--units", "--values"}),
        ("train", {"--out", "--epochs", "--seed"}),
        ("predict", {"--csv"}),
        ("report", {"--out"}),
    ],
)
def test_the_options_of_the_commands(command: str, options: set[str]) -> None:
    from typer.main import get_command

    from ctfast.cli import app

    known = get_command(app).commands[command].params  # type: ignore[attr-defined]
    assert options <= {text for parameter in known for text in parameter.opts}
