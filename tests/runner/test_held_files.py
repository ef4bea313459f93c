"""Files held at once are what ``read_once`` says, lie as their readers want it, and what is no plain file is left."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np

from ctfast.batch.stamp import read_once
from ctfast.runner.held_files import LARGEST, HeldFiles


def test_files_are_those_of_read_once(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    sizes = [*range(100_000, 100_012), 3, 0, LARGEST, 99_999]
    paths = []
    for number, size in enumerate(sizes):
        paths.append(str(tmp_path / f"{number}"))
        Path(paths[-1]).write_bytes(rng.integers(0, 256, size).astype(np.uint8).tobytes())
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "pipe")
    paths += [str(tmp_path / name) for name in ("folder", "pipe", "missing")]
    files = HeldFiles(lambda view: len(view) % 8)
    for some in (paths, paths[::-1], paths[:3]):  # memory of the last ones is taken again
        for path, held in zip(some, files.read(some), strict=True):
            if not os.path.isfile(path) or os.path.getsize(path) in (0, LARGEST):
                assert held is None
                continue
            assert held is not None
            expected = read_once(path)
            assert held.contents[:3] == expected[:3]
            assert held.contents.data == expected.data == held.data.tobytes()
            assert (held.data.ctypes.data - len(held.data)) % 8 == 0
