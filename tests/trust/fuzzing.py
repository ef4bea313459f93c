"""Everything that reads a file gets damaged files: it reads them or raises an error of ctfast, and takes little memory.

    python -m tests.trust.fuzzing EXECUTIONS [SEED]

The files are made here, damaged by a seeded generator, and removed. A process of its own does the reading, so that a
decoder that crashes is told with the name of its file, which ``--keep FOLDER`` leaves behind.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Callable
from functools import cache, partial
from pathlib import Path
from typing import Any, Final

import numpy as np

ROOT: Final = Path(__file__).resolve().parents[2]
MOST_MEMORY: Final = 200 << 20
NUMBERS: Final = (b"0", b"-1", b"1e999", b"nan", b"9" * 30, b"9" * 4500, b"[" * 2000, b'"', b"null", b"{}", b"\xff\xfe")
Read = Callable[[Path], object]


def images(folder: Path) -> dict[str, bytes]:
    """A small file of each format that is read, in each of its compressions."""
    from ctfast.files import write_image
    from ctfast.files.formats import WRITTEN
    from ctfast.files.geometry import Geometry
    from tests.files.files_build import dicom
    from tests.trust.lying_files import npy, npz

    pixels = (np.random.default_rng(0).normal(0, 300, (40, 36))).astype(np.int16)
    place = Geometry.of(np.eye(3, 4) * 0.7)
    stack, gray = np.stack([pixels] * 3), np.clip(pixels, 0, 255).astype(np.uint8)
    for kind in (kind for kind in WRITTEN if not kind.folder):
        for compression in kind.compressions:
            image, more = (gray, {}) if kind.name == "png" else (stack, {"geometry": place})
            path = folder / f"{compression}{kind.output}"
            write_image(path, image, format=kind.name, compression=compression, **more)  # type: ignore[arg-type]
    write_image(folder / "flat.nii", stack, units="hu", geometry=place)
    npz(folder / "a.npz", npy(pixels.shape, pixels.tobytes()))
    dicom(folder / "a.dcm", pixels)
    _compressed_dicom(folder, gray)
    _others(folder, stack, gray)
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def _compressed_dicom(folder: Path, gray: np.ndarray) -> None:
    from tests.files.files_build import data_set, save

    for name, syntax in (("rle", "1.2.840.10008.1.2.5"), ("jpeg2000", "1.2.840.10008.1.2.4.90"),
                         ("jpegls", "1.2.840.10008.1.2.4.80")):  # fmt: skip
        ds = data_set(gray.astype(np.uint16))
        ds.compress(syntax, generate_instance_uid=False)
        save(ds, folder / f"{name}.dcm")


def _others(folder: Path, stack: np.ndarray, gray: np.ndarray) -> None:
    import blosc2
    import PIL.Image

    blosc2.asarray(stack, urlpath=str(folder / "a.b2nd"), mode="w")
    PIL.Image.fromarray(gray).save(folder / "a.jpg")
    PIL.Image.fromarray(np.stack([gray] * 3, -1)).save(folder / "colour.png")


def records(folder: Path) -> dict[str, bytes]:
    """Pipelines, manifests, tables and the files of models."""
    from ctfast import Pipeline
    from ctfast.files import write_image
    from ctfast.model.config import ModelConfig, TrainConfig
    from ctfast.model.data.preprocessing import Preprocessing
    from ctfast.model.exchange.keras_files import save_keras
    from ctfast.model.network.sequential4 import empty_weights, model_from
    from ctfast.runner import run

    steps = [
        {"operation": "window", "center": 40, "width": 400, "dtype": "uint8"},
        {"operation": "median_filter", "size": [3, 5], "mode": "mirror"},
        {"operation": "histogram", "bins": 8, "value_range": [0, 256]},
    ]
    pipeline = Pipeline(steps, name="a")
    (folder / "in").mkdir()
    write_image(folder / "in" / "a.tif", np.zeros((16, 16), np.int16), units="hu")
    run(folder / "in", folder / "out", pipeline)
    config = ModelConfig(image_size=(16, 16), widths=(4,), dense=8)
    weights: Any = empty_weights(config)
    model = model_from(config, {k: {n: np.zeros(a.shape, a.dtype) for n, a in v.items()} for k, v in weights.items()})
    for name in ("a.keras", "a.h5", "a.weights.h5"):
        save_keras(model, folder / name)
    settings = {
        "format": 1,
        "model": config.to_dict(),
        "preprocessing": Preprocessing(image_size=(16, 16)).to_dict(),
        "classes": ["a", "b"],
        "training": TrainConfig().to_dict(),
    }
    item = {"folder": "weights-0", "files": {"a/b": [3, 1]}}
    checkpoints = {"format": 1, "checkpoints": {"best": {"weights": item}}, "facts": {"history": []}}
    return {
        "a.toml": pipeline.to_toml().encode(),
        "a.json": pipeline.to_json().encode(),
        "manifest.jsonl": (folder / "out" / "manifest.jsonl").read_bytes(),
        "run.json": (folder / "out" / "run.json").read_bytes(),
        "config.json": json.dumps(settings).encode(),
        "checkpoints.json": json.dumps(checkpoints).encode(),
        "labels.csv": b"file,label,patient\na.tif,dark,1\nb.tif,bright,2\n",
        "table.csv": b"file,prediction,p_a,p_b,model,error,frame,frames,units,read_as,bytes,modified\n"
        b'"a\n.tif",a,1,0,0123456789abcdef,,,,hu,auto,1,2.5\n',
        **{name: (folder / name).read_bytes() for name in ("a.keras", "a.h5", "a.weights.h5")},
    }


@cache
def reader_of(name: str) -> Read:
    """What reads a file of that name."""
    from ctfast import Pipeline
    from ctfast.files import read_image
    from ctfast.model import load_keras, load_run
    from ctfast.model.checkpoint import CheckpointStore
    from ctfast.model.data._label_table import read_label_table
    from ctfast.model.prediction.predictions_csv import PredictionTable
    from ctfast.runner.manifest import read_rows
    from ctfast.runner.planning import read_run_file

    readers: dict[str, Read] = {
        "a.toml": Pipeline.from_file,
        "a.json": Pipeline.from_file,
        "manifest.jsonl": lambda path: read_rows(path.parent),
        "run.json": lambda path: read_run_file(path.parent),
        "config.json": lambda path: load_run(path.parent),
        "checkpoints.json": lambda path: CheckpointStore(path.parent).record(),
        "labels.csv": lambda path: read_label_table(path, None, None),
        "table.csv": lambda path: list(PredictionTable(path, ("a", "b"), "0123456789abcdef").records()),
        **dict.fromkeys(("a.keras", "a.h5", "a.weights.h5"), partial(load_keras, image_size=(16, 16))),
    }
    return readers.get(name, read_image)


def damaged(data: bytes, chance: random.Random) -> bytes:
    """One to four changes: bits, extreme words, numbers of text, cuts, copies, insertions."""
    out = bytearray(data)
    for _ in range(chance.choice((1, 1, 1, 2, 4))):
        # Headers lie at the beginning or at the end of files.
        near = min(len(out), chance.choice((64, 512, len(out))))
        at = (
            chance.randrange(max(near, 1))
            if chance.random() < 0.8
            else max(len(out) - 1 - chance.randrange(near or 1), 0)
        )
        kind = chance.randrange(7)
        if kind == 0 and out:
            out[at] ^= 1 << chance.randrange(8)
        elif kind == 1:
            size = chance.choice((1, 2, 4, 8))
            word = chance.choice((0, 1, (1 << 8 * size) - 1, 1 << (8 * size - 1), (1 << (8 * size - 1)) - 1))
            out[at : at + size] = word.to_bytes(size, chance.choice(("little", "big")))
        elif kind == 2:
            del out[at:]
        elif kind == 3:
            del out[at : at + chance.randrange(1, 64)]
        elif kind == 4:
            out[at:at] = out[at : at + chance.randrange(1, 64)]
        elif kind == 5:
            out[at:at] = chance.randbytes(chance.randrange(1, 16))
        else:
            digits = [k for k, byte in enumerate(out[: 1 << 14]) if 48 <= byte < 58]
            at = chance.choice(digits) if digits else at
            out[at : at + 1] = chance.choice(NUMBERS)
    return bytes(out)


def outcome(read: Read, path: Path) -> str:
    """What became of a file; any error but ours goes through."""
    from ctfast.errors import CTFastError

    try:
        read(path)
    except CTFastError:
        return "refused"
    return "read"


def read_all(executions: int, seed: int, folder: Path) -> Counter[str]:
    """Damage and read; what is wrong is printed and ends the process."""
    from tests.trust.lying_files import peak_of

    with tempfile.TemporaryDirectory() as work:
        (Path(work) / "images").mkdir()
        (Path(work) / "records").mkdir()
        seeds = images(Path(work) / "images") | records(Path(work) / "records")
    for name, data in seeds.items():  # what is whole is read, and imports are paid for
        (folder / name).write_bytes(data)
        if name != "config.json":  # has no weights here
            reader_of(name)(folder / name)
        (folder / name).unlink()
    counts: Counter[str] = Counter()
    names = sorted(seeds)
    for number in range(executions):
        name = names[number % len(names)]
        path = folder / name
        path.write_bytes(damaged(seeds[name], random.Random(f"{seed}:{number}")))
        print(number, name, flush=True)
        end, peak = peak_of(partial(outcome, reader_of(name), path))
        counts[end] += 1
        if peak > MOST_MEMORY:
            raise MemoryError(f"{path} took {peak >> 20} MB")
        path.unlink()
    return counts


def fuzz(executions: int, seed: int, keep: Path | None = None) -> tuple[int, str, Counter[str]]:
    """Run ``read_all`` in a process; its exit code, what it said last, and the counts."""
    env = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT / "kernels"), str(ROOT)]), "JAX_PLATFORMS": "cpu"}
    with tempfile.TemporaryDirectory() as work:
        command = [sys.executable, "-X", "faulthandler", "-m", "tests.trust.fuzzing", "--child", str(keep or work)]
        done = subprocess.run(
            [*command, str(executions), str(seed)],
            env=env,
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
        )
    last = done.stdout.splitlines()[-1] if done.stdout else ""
    counts = Counter(json.loads(last)) if done.returncode == 0 else Counter()
    return done.returncode, f"{last}\n{done.stderr[-4000:]}", counts


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--child", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--keep", type=Path)
    parser.add_argument("executions", type=int)
    parser.add_argument("seed", type=int, nargs="?", default=0)
    given = parser.parse_args()
    if given.child is not None:
        given.child.mkdir(exist_ok=True)
        print(json.dumps(read_all(given.executions, given.seed, given.child)))
        return
    code, said, counts = fuzz(given.executions, given.seed, given.keep)
    print(said if code else dict(counts))
    raise SystemExit(code)


if __name__ == "__main__":
    main()
