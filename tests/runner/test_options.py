"""Options are checked where they are made, so that a typing error never becomes another run in silence."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import FrozenInstanceError
from pathlib import Path
from typing import Any

import pytest

from ctfast import Pipeline
from ctfast.errors import ArgumentError, UsageError
from ctfast.runner import RunOptions, execute, plan, run

Make = Callable[..., Path]

REFUSED = [
    ({"pool": "proceses"}, UsageError, "pool='proceses': one of threads, processes, auto is allowed"),
    ({"on_error": "stopp"}, UsageError, "on_error='stopp': one of skip, stop is allowed"),
    ({"units": "water"}, UsageError, "units='water': one of auto, hu, stored is allowed"),
    ({"format": "jpg"}, UsageError, "format='jpg'; tif, npy, zarr, nii"),
    ({"compression": "lzma"}, UsageError, "compression='lzma'; TIFF allows none, zlib, zstd, lzw"),
    ({"format": "npy", "compression": "zlib"}, UsageError, "allows none"),
    ({"backend": "cuda"}, ArgumentError, "backend='cuda': one of cpu, gpu, reference"),
    ({"workers": 0}, UsageError, "workers=0"),
    ({"shard": (3, 2)}, UsageError, r"shard=\(3, 2\)"),
]


@pytest.mark.parametrize(("options", "error", "message"), REFUSED)
def test_what_is_not_allowed_is_refused_before_any_work(
    make_folder: Make, tmp_path: Path, pipeline: Pipeline, options: dict[str, Any], error: type, message: str
) -> None:
    folder = make_folder(1)
    for refuse in (
        lambda: RunOptions(**options),
        lambda: plan(folder, tmp_path / "out", pipeline, **options),
        lambda: run(folder, tmp_path / "out", pipeline, **options),
    ):
        with pytest.raises(error, match=message):
            refuse()
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("changes", [{"pool": "proceses"}, {"on_error": "stopp"}])
def test_execute_refuses_them_too(
    make_folder: Make, tmp_path: Path, pipeline: Pipeline, changes: dict[str, str]
) -> None:
    the_plan = plan(make_folder(1), tmp_path / "out", pipeline)
    with pytest.raises(UsageError, match="is allowed"):
        execute(the_plan, **changes)
    assert not (tmp_path / "out").exists()


def test_unknown_options_are_refused(make_folder: Make, tmp_path: Path, pipeline: Pipeline) -> None:
    with pytest.raises(TypeError, match="wokers"):
        run(make_folder(1), tmp_path / "out", pipeline, wokers=2)


def test_options_are_one_object_or_single_words(make_folder: Make, tmp_path: Path, pipeline: Pipeline) -> None:
    folder, options = make_folder(2), RunOptions(format="npy", workers=1)
    assert run(folder, tmp_path / "a", pipeline, options).ok == 2
    assert len(list((tmp_path / "a").glob("*.npy"))) == 2
    assert run(folder, tmp_path / "b", pipeline, options, format="png").ok == 2
    assert len(list((tmp_path / "b").glob("*.png"))) == 2
    assert options.format == "npy"
    with pytest.raises(FrozenInstanceError):
        options.format = "tif"  # type: ignore[misc]


def test_progress_is_told_after_each_file(make_folder: Make, tmp_path: Path, pipeline: Pipeline) -> None:
    folder, calls = make_folder(3), []
    (folder / "bad.tif").write_bytes(b"")

    def progress(*, done: int, failed: int) -> None:
        calls.append((done, failed))

    run(folder, tmp_path / "out", pipeline, progress=progress, workers=1)
    assert [done for done, _ in calls] == [1, 2, 3, 4]
    assert calls[-1] == (4, 1)
