"""The network as one file for programs that have JAX but neither Flax nor ctfast: ``jax.export``, any batch size.

The file is a ZIP archive of ``model.jax_export`` (StableHLO with the weights, for CPU and CUDA) and ``metadata.json``
(classes, preprocessing, hash). Without ctfast::

    from zipfile import ZipFile
    import jax
    exported = jax.export.deserialize(bytearray(ZipFile("model.zip").read("model.jax_export")))
    probabilities = exported.call(images)    # float32 (N, H, W), 0 to 1; see metadata.json

JAX promises to read such artefacts for six months, and usually does for longer; ONNX lasts (``onnx_export``).
"""

from __future__ import annotations

import json
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import jax
import jax.export
import jax.numpy as jnp
import numpy as np
from flax import nnx
from numpy.typing import NDArray

from ctfast import __version__
from ctfast.batch.atomic import replacing
from ctfast.batch.notice import NOT_A_DEVICE
from ctfast.errors import FileFormatError, missing_extra
from ctfast.model.data.preprocessing import HIGHEST, Preprocessing
from ctfast.model.network.inputs import as_prepared_images

if TYPE_CHECKING:
    from ctfast.model.run_folder import TrainedModel

PLATFORMS: Final = ("cpu", "cuda")
FORMAT: Final = 1
_PROGRAM, _METADATA = "model.jax_export", "metadata.json"


@dataclass(frozen=True, eq=False)
class ExportedModel:
    """What ``load_jax`` gives back."""

    exported: jax.export.Exported
    classes: tuple[str, ...]
    preprocessing: Preprocessing
    hash: str
    metadata: dict[str, Any]

    def predict_proba(self, images: NDArray[np.uint16]) -> NDArray[np.float32]:
        """Probabilities ``(N, classes)`` of preprocessed images ``(N, H, W)`` uint16, all at once.

        Raises:
            ArgumentError, DTypeError, ShapeError: As ``TrainedModel.predict_proba``.
        """
        images = as_prepared_images(images, self.preprocessing.image_size, (self.preprocessing.channels,))
        if len(images) == 0:
            return np.zeros((0, len(self.classes)), np.float32)
        return np.asarray(self.exported.call(jnp.asarray(images, jnp.float32) / HIGHEST))


def metadata(run: TrainedModel) -> dict[str, Any]:
    """What a program needs to know beside the weights, JSON-able; the same in every exported format."""
    height, width = run.preprocessing.image_size
    shape = f"(N, {height}, {width}{', 3' if run.preprocessing.channels == 3 else ''})"
    return {
        "format": FORMAT,
        "ctfast": __version__,
        "hash": run.hash,
        "classes": list(run.classes),
        "input": f"float32 {shape}: the slice after the steps of preprocessing, as 16 bits, resized by means over "
        f"areas (cv2.INTER_AREA where it shrinks), / {HIGHEST}",
        "output": "float32 (N, classes): softmax probabilities",
        "preprocessing": run.preprocessing.to_dict(),
        "preprocessing_hash": run.preprocessing.hash,
        "notice": NOT_A_DEVICE,
    }


def export_jax(run: TrainedModel, path: str | Path, *, platforms: Sequence[str] = PLATFORMS) -> Path:
    """Write the artefact, whole or not at all; an existing file is replaced.

    The program is XLA's own convolutions, which every platform has, never the CPU micro-kernels of this machine.

    Args:
        run: What ``load_run`` gave.
        path: The file.
        platforms: What it must run on: ``"cpu"``, ``"cuda"``, ``"rocm"``, ``"tpu"``.

    Raises:
        MissingDependencyError: If flatbuffers is not installed.
    """
    exported = exported_program(run, platforms=platforms)
    try:
        program = bytes(exported.serialize())
    except ImportError as error:
        raise missing_extra("jax.export needs flatbuffers", "nn") from error
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path, "wb") as file, zipfile.ZipFile(file, "w") as archive:
        archive.writestr(_PROGRAM, program)
        archive.writestr(_METADATA, json.dumps({**metadata(run), "platforms": list(platforms)}, indent=2))
    return path


def exported_program(run: TrainedModel, *, platforms: Sequence[str] = PLATFORMS) -> jax.export.Exported:
    """The program with the weights in it: float32 images, 0 to 1, of any number to probabilities."""
    parts = [nnx.split(member.with_path("xla")) for member in run.members]

    rows, columns = run.config.seen_size

    def predict(images: jax.Array) -> jax.Array:
        # XLA's maxima on a CPU may make any number of NaN, so none comes near them.
        broken = jnp.isnan(images[:, :rows, :columns]).reshape(images.shape[0], -1).any(axis=1)
        clean = jnp.where(jnp.isnan(images), 0.0, images)
        each = [jax.nn.softmax(nnx.merge(graph, state)(clean)) for graph, state in parts]
        return jnp.where(broken[:, None], jnp.nan, sum(each[1:], each[0]) / len(each))

    size = run.preprocessing.image_size
    channels = (3,) if run.preprocessing.channels == 3 else ()
    shape = jax.export.symbolic_shape(", ".join(map(str, ("N", *size, *channels))))
    images = jax.ShapeDtypeStruct(shape, jnp.float32)
    return jax.export.export(jax.jit(predict), platforms=tuple(platforms))(images)


def load_jax(path: str | Path) -> ExportedModel:
    """Read what ``export_jax`` wrote.

    Raises:
        FileFormatError: If it is something else, truncated, or of another version.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            facts = json.loads(archive.read(_METADATA))
            program = archive.read(_PROGRAM)
        version = facts["format"]
        if version == FORMAT:
            return ExportedModel(
                jax.export.deserialize(bytearray(program)),
                tuple(facts["classes"]),
                Preprocessing.from_dict(facts["preprocessing"]),
                facts["hash"],
                facts,
            )
    except OSError:
        raise
    except Exception as error:  # flatbuffers checks nothing and raises whatever it stumbles over
        raise FileFormatError(
            f"{path} is no exported model of ctfast, or damaged: {error}", "export it again"
        ) from error
    raise FileFormatError(f"{path}: format {version}, this ctfast reads {FORMAT}", "export it again")
