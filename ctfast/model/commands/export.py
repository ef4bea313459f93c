"""What ``ctfast export`` does: choose the format, refuse what would be lost, write."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

from ctfast.batch.choices import check_choice
from ctfast.errors import ArgumentError, UsageError

if TYPE_CHECKING:
    from ctfast.model.run_folder import TrainedModel

FORMATS: Final = ("jax", "onnx", "keras")
_BY_EXTENSION: Final = {".zip": "jax", ".onnx": "onnx", ".keras": "keras", ".h5": "keras", ".hdf5": "keras"}


def export_run(
    run: str | Path | TrainedModel, out: str | Path, *, format: str | None = None, overwrite: bool = False
) -> Path:
    """Write a run's network for other programs.

    Args:
        run: A run folder, or what ``load_run`` gave.
        out: The file; its folder is made where it is missing.
        format: ``"jax"`` (see ``export_jax``), ``"onnx"`` (``export_onnx``) or ``"keras"`` (``save_keras``); default:
            by the extension: ``.zip``, ``.onnx``, ``.keras``, ``.h5`` or ``.hdf5``.
        overwrite: Replace a file that exists.

    Raises:
        ArgumentError: For another format.
        UsageError: For an extension that says no format, and a file that exists.
    """
    path = Path(out)
    chosen = _format_of(path) if format is None else format
    check_choice("format", chosen, FORMATS, ArgumentError)
    if path.is_dir():
        raise UsageError(f"{path} is a folder: name a file in it")
    if path.exists() and not overwrite:
        raise UsageError(f"{path} exists: choose another name, or give --overwrite")
    from ctfast.model import load_run, save_keras

    trained: TrainedModel = load_run(run) if isinstance(run, (str, Path)) else run
    if chosen == "keras":
        if trained.others:
            raise UsageError(
                f"the run is an ensemble of {len(trained.members)} networks, a Keras file holds one: export one of "
                "them (RUN/members/1), or as .onnx or .zip, which hold all"
            )
        return save_keras(trained.model, path)
    if chosen == "onnx":
        from ctfast.model.exchange.onnx_export import export_onnx

        return export_onnx(trained, path)
    from ctfast.model.exchange.jax_export import export_jax

    return export_jax(trained, path)


def _format_of(path: Path) -> str:
    format = _BY_EXTENSION.get(path.suffix.lower())
    if format is None:
        raise UsageError(
            f"{path}: its extension says no format ({', '.join(_BY_EXTENSION)} do); give --format {'|'.join(FORMATS)}"
        )
    return format
