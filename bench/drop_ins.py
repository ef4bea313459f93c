"""Drop-ins beside what they stand in for, on CT, one thread, in turns.

python bench/drop_ins.py [FOLDER OF SLICES] [--only WORDS] > bench/results/drop_ins.json  # ns a pixel meanwhile
python bench/report.py bench/results/drop_ins.json                                       # its table in docs/embed.md

Every result is compared with the original's before anything is timed. Times are the processor's, so that other work on
the machine hits both sides alike. Without a folder, phantom slices.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "CTFAST_NUM_THREADS"):
    os.environ[_name] = "1"
os.environ.setdefault("CTFAST_BENCH_CLOCK", "processor")
ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "kernels"), str(ROOT)]

import numpy as np  # noqa: E402
import scipy.ndimage  # noqa: E402
import skimage.exposure  # noqa: E402
from skimage.morphology import ball, disk  # noqa: E402

import ctfast  # noqa: E402
from bench.paired import paired_medians  # noqa: E402
from bench.turns import where  # noqa: E402
from ctfast.compat import scipy_ndimage  # noqa: E402
from ctfast.compat import skimage as our_skimage  # noqa: E402
from ctfast.files import read_image  # noqa: E402
from ctfast.tools.synth import phantom  # noqa: E402

SLICES = 24


class Pair(NamedTuple):
    """Ours and the original's call, the same arguments but for names."""

    group: str
    row: str
    goal: float
    ours: Callable[[], Any]
    original: Callable[[], Any]
    close: float
    """Largest difference, as a share of the largest value."""
    pixels: int


def volume(folder: str | None) -> np.ndarray:
    """HU as int16, ``(D, H, W)``."""
    if folder:
        hu = np.stack([read_image(p).pixels for p in sorted(Path(folder).iterdir())[:SLICES]])
    else:
        hu = np.stack([phantom(n).hu for n in range(SLICES)])
    return np.clip(np.rint(hu), -1024, 3071).astype(np.int16)


def of_scipy(hu: np.ndarray) -> Iterator[Pair]:
    """Medians of footprints, and Gaussians."""
    image = hu[3]
    fractions = image + np.random.default_rng(0).random(image.shape)
    kinds = {"int16": image, "float32": fractions.astype(np.float32), "float64": fractions}

    def pair(name: str, row: str, goal: float, x: np.ndarray, close: float, **options: Any) -> Pair:
        calls = (partial(getattr(m, name), x, **options) for m in (scipy_ndimage, scipy.ndimage))
        return Pair(f"scipy.ndimage.{name}", row, goal, *calls, close, x.size)

    for kind, x in kinds.items():
        for shape, footprint in {"disk 7 x 7": disk(3), "disk 15 x 15": disk(7), "cross 3 x 3": disk(1)}.items():
            yield pair("median_filter", f"{shape}, {kind}", 20, x, 0, footprint=footprint)
        yield pair("median_filter", f"box 15 x 15, {kind}", 20, x, 0, size=15)
    cross, sparse = np.zeros((15, 15), bool), np.random.default_rng(1).random((15, 15)) < 1 / 3
    cross[7] = cross[:, 7] = True
    for shape, footprint in {"cross 15 x 15": cross, "a third of 15 x 15": sparse}.items():
        yield pair("median_filter", f"{shape}, float64", 20, fractions, 0, footprint=footprint)
    for kind in ("int16", "float32"):
        yield pair("median_filter", f"box 5 x 5 off its pixel, {kind}", 20, kinds[kind], 0, size=5, origin=(1, -1))
        yield pair("rank_filter", f"box 4 x 6, rank 3, {kind}", 20, kinds[kind], 0, rank=3, size=(4, 6))
    for kind, x in kinds.items():
        for shape, footprint in {"disk 7 x 7": disk(3), "box 15 x 15": np.ones((15, 15))}.items():
            yield pair("rank_filter", f"{shape}, smallest, {kind}", 20, x, 0, rank=0, footprint=footprint)
    yield pair("median_filter", "ball of 3, int16 volume", 20, hu[:8], 0, footprint=ball(1))
    yield pair("percentile_filter", "disk 7 x 7, int16", 20, image, 0, percentile=90, footprint=disk(3))
    for kind, x in kinds.items():
        close = 2e-3 if kind == "int16" else 2e-6
        yield pair("gaussian_filter", f"sigma 2, {kind}", 8, x, close, sigma=2.0)
    yield pair("gaussian_filter", "sigma 1, float32 volume", 8, hu[:8].astype(np.float32), 2e-6, sigma=1.0)
    for kind in ("float32", "float64"):
        for order in (1, (0, 1), (2, 0)):
            row = f"sigma 2, order {order}, {kind}"
            yield pair("gaussian_filter", row, 8, kinds[kind], 2e-6, sigma=2.0, order=order)


def of_skimage(hu: np.ndarray) -> Iterator[Pair]:
    """CLAHE by scikit-image's algorithm, and histogram matching."""
    brain = np.clip((hu + 160.0) / 400, 0, 1)
    eight = np.rint(brain * 255).astype(np.uint8)
    colour = np.stack([eight[3], eight[4], eight[5]], axis=-1)

    def pair(name: str, row: str, goal: float, close: float, *arguments: Any) -> Pair:
        calls = (partial(getattr(m, name), *arguments) for m in (our_skimage, skimage.exposure))
        return Pair(f"skimage.exposure.{name}", row, goal, *calls, close, arguments[0].size)

    inputs = {"uint8": eight[3], "float32": brain[3].astype(np.float32), "int16": hu[3]}
    inputs |= {"uint8 volume": eight[:16, :256, :256], "float32 volume": brain[:16, :256, :256].astype(np.float32)}
    for kind, x in {**inputs, "uint8 RGB": colour}.items():
        yield pair("equalize_adapthist", kind, 25, 1e-6 if "RGB" in kind else 0, x)
    for kind in ("uint8", "int16", "float32"):
        yield pair("match_histograms", kind, 4, 1e-9, inputs[kind], inputs[kind][::-1] // 2)
    fractions = (hu[3] + np.random.default_rng(0).random(hu[3].shape)).astype(np.float32)
    yield pair("match_histograms", "float32, many values", 4, 1e-9, fractions, fractions[::-1] / 2)


def of_monai(hu: np.ndarray) -> Iterator[Pair]:
    """MONAI's transforms, of a slice and of a volume ``(C, H, W, D)`` as it loads them."""
    import torch
    from monai import transforms as theirs
    from monai.data.meta_tensor import MetaTensor

    from ctfast.embed import monai as ours

    torch.set_num_threads(1)
    stack = np.ascontiguousarray(hu[:16].transpose(1, 2, 0)).astype(np.float32)
    images = {
        "slice": MetaTensor(torch.from_numpy(hu[3:4].astype(np.float32))),
        "volume": MetaTensor(torch.from_numpy(stack)[None]),
    }
    chains = {
        "ScaleIntensityRange": {"a_min": -160, "a_max": 240, "b_min": 0.0, "b_max": 1.0, "clip": True},
        "NormalizeIntensity": {},
        "GaussianSmooth": {"sigma": 1.0},
        "ScaleIntensity": {},
    }
    for name, arguments in chains.items():
        for kind, x in images.items():
            calls = (partial(getattr(m, name)(**arguments), x) for m in (ours, theirs))
            yield Pair(f"monai {name}", kind, 4, *calls, 2e-5, x.numel())


def loaders(hu: np.ndarray) -> dict[str, Any]:
    """MONAI's chain in a DataLoader with two workers: seconds by the clock of all slices, four times over."""
    from monai import transforms as theirs
    from monai.data import DataLoader, Dataset

    from ctfast.embed import monai as ours

    items = [{"image": x[np.newaxis].astype(np.float32)} for x in hu] * 4

    def chain_of(module: Any) -> Any:
        return theirs.Compose(
            [
                module.ScaleIntensityRanged("image", a_min=-1000, a_max=1000, b_min=0.0, b_max=1.0, clip=True),
                module.MedianSmoothd("image", radius=1),
                module.GaussianSmoothd("image", sigma=1.0),
                module.NormalizeIntensityd("image"),
            ]
        )

    def load(chain: Any) -> None:
        for _ in DataLoader(Dataset(items, chain), batch_size=4, num_workers=2):
            pass

    chains = {"ours": chain_of(ours), "original": chain_of(theirs)}
    for chain in chains.values():
        chain(items[0])  # workers are forked from a process that has loaded all code, whatever was measured before
    seconds: dict[str, list[float]] = {"ours": [], "original": []}
    for _ in range(3):
        for name, chain in chains.items():
            start = time.perf_counter()
            load(chain)
            seconds[name].append(time.perf_counter() - start)
    best = {name: min(times) for name, times in seconds.items()}
    row = "range, median, Gaussian, normalise; 2 workers, by the clock"
    return {"group": "monai DataLoader", "row": row, "goal": 3, "pixels": len(items) * hu[0].size, **best}


SOURCES = {"scipy": of_scipy, "skimage": of_skimage, "monai": of_monai}


def measure(hu: np.ndarray, only: str) -> list[dict[str, Any]]:
    """Seconds of every pair whose name has the words ``only``."""
    rows = []
    for source in SOURCES.values():
        for pair in source(hu):
            name = f"{pair.group} {pair.row}"
            if not all(word in name for word in only.split()):
                continue
            a, b = (np.asarray(call(), np.float64) for call in (pair.ours, pair.original))
            assert np.abs(a - b).max() <= pair.close * np.abs(b).max(), f"{name}: other values"
            seconds = paired_medians({"ours": pair.ours, "original": pair.original})
            rows.append({"group": pair.group, "row": pair.row, "goal": pair.goal, "pixels": pair.pixels, **seconds})
            shown = {k: round(s * 1e9 / pair.pixels, 2) for k, s in seconds.items()}
            print(name, shown, round(seconds["original"] / seconds["ours"], 1), file=sys.stderr, flush=True)
    return rows


def main() -> None:
    """Measure, and print what ``bench/report.py`` takes."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("folder", nargs="?")
    parser.add_argument("--only", default="")
    options = parser.parse_args()
    ctfast.set_num_threads(1)
    images = f"{'real' if options.folder else 'phantom'} slices"
    hu = volume(options.folder)
    rows = measure(hu, options.only)
    if "DataLoader".startswith(options.only):
        rows.append(loaders(hu))
        print(rows[-1], file=sys.stderr)
    found = {**where(), "images": images, "drop_ins": rows}
    found["versions"] |= {name: version(name) for name in ("scipy", "scikit-image", "monai", "torch")}
    print(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
