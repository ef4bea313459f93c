"""What a model and a training run are made of: plain values, checked at once, JSON-able. Nothing of JAX in here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from ctfast.batch.choices import check_choice
from ctfast.errors import ArgumentError
from ctfast.model.settings import Stored, check_number, check_whole, is_number, refusal

SCHEDULES: Final = ("constant", "cosine", "linear", "step")
PRECISIONS: Final = ("auto", "float32", "bfloat16")
PREDICTION_PRECISIONS: Final = ("float32", "bfloat16", "int8")
"""Of the hidden layer's weights, which are nearly all of a network's; see ``Sequential4.with_precision``."""
PATHS: Final = ("auto", "ffi", "lax", "xla")
"""How convolutions are computed; see ``ctfast.model.network.convolution``."""
EXPLAIN_METHODS: Final = ("hires-cam", "grad-cam")
"""See ``ctfast.model.network.explain``."""


def convolved_size(rows: int, columns: int) -> tuple[int, int]:
    """What a valid 3 x 3 convolution leaves of an image."""
    return rows - 2, columns - 2


def pooled_size(rows: int, columns: int) -> tuple[int, int]:
    """What one block leaves: the convolution, then a 2 x 2 maximum that drops an odd last row or column."""
    height, width = convolved_size(rows, columns)
    return height // 2, width // 2


def _least_size(blocks: int) -> int:
    """The side of the smallest image of which ``blocks`` blocks leave a pixel."""
    side = 1
    for _ in range(blocks):
        side = 2 * side + 2
    return side


@dataclass(frozen=True)
class ModelConfig(Stored):
    """The shape of a network; the default is ``sequential_4`` of the seed report, 14,839,234 parameters.

    Attributes:
        image_size: Rows and columns of the input.
        in_channels: Channels that the parameters of the first layer have. Gray images work with 3 as well.
        widths: Channels of each block of valid 3 x 3 convolution, ReLU and 2 x 2 maximum.
        dense: Units of the hidden layer.
        classes: Number of classes, 2 or more.
    """

    image_size: tuple[int, int] = (256, 256)
    in_channels: int = 3
    widths: tuple[int, ...] = (32, 64, 128)
    dense: int = 128
    classes: int = 2

    def __post_init__(self) -> None:
        """Check.

        Raises:
            ArgumentError: For values that are not allowed, and images too small for so many blocks.
        """
        for name in ("image_size", "widths"):
            value = getattr(self, name)
            if not isinstance(value, (tuple, list)) or not value:
                raise refusal(name, value, "a tuple of whole numbers")
            for each in value:
                check_whole(name, each, 1, 1 << 16)
            object.__setattr__(self, name, tuple(value))
        if len(self.image_size) != 2:
            raise refusal("image_size", self.image_size, "(rows, columns)")
        if self.in_channels not in (1, 3):
            raise refusal("in_channels", self.in_channels, "1 or 3")
        check_whole("dense", self.dense, 1, 1 << 16)
        check_whole("classes", self.classes, 2, 1 << 16)
        if min(self.feature_shape) < 1:
            least = _least_size(len(self.widths))
            raise ArgumentError(
                f"image_size={self.image_size}: {len(self.widths)} blocks need at least {least} x {least} pixels; "
                "use larger images or fewer widths"
            )

    @property
    def seen_size(self) -> tuple[int, int]:
        """Rows and columns of the input that reach the result: blocks drop an odd last row or column."""
        rows, columns = self.block_sizes[-1]
        for _ in self.widths:
            rows, columns = 2 * rows + 2, 2 * columns + 2
        return rows, columns

    @property
    def block_sizes(self) -> tuple[tuple[int, int], ...]:
        """Rows and columns after each block."""
        sizes = [self.image_size]
        for _ in self.widths:
            sizes.append(pooled_size(*sizes[-1]))
        return tuple(sizes[1:])

    @property
    def feature_shape(self) -> tuple[int, int, int]:
        """Rows, columns and channels after the last block."""
        return *self.block_sizes[-1], self.widths[-1]


@dataclass(frozen=True)
class Augmentation(Stored):
    """Random changes of training images, drawn anew for each image and epoch. The default changes nothing.

    Attributes:
        flip_horizontal: Mirror columns in half of the images.
        flip_vertical: Mirror rows in half of the images.
        rot90: Turn by 0, 90, 180 or 270 degrees (images must be square).
        rotation: Turn by any angle from ``-rotation`` to ``rotation`` degrees, bilinear.
        shift: Move by up to this share of the image's size in each direction, bilinear.
        contrast: Multiply values by a factor from ``1 - contrast`` to ``1 + contrast``.
        brightness: Add up to this much; values are 0 to 1.
        noise: Add Gaussian noise of a standard deviation from 0 to this; values are 0 to 1.

    Where a turn or shift moves in what was outside of the image, values are 0: the lower end of the window.
    """

    flip_horizontal: bool = False
    flip_vertical: bool = False
    rot90: bool = False
    rotation: float = 0.0
    shift: float = 0.0
    contrast: float = 0.0
    brightness: float = 0.0
    noise: float = 0.0

    def __post_init__(self) -> None:
        """Check.

        Raises:
            ArgumentError: For values that are not allowed.
        """
        for name in ("flip_horizontal", "flip_vertical", "rot90"):
            if not isinstance(getattr(self, name), bool):
                raise refusal(name, getattr(self, name), "True or False")
        for name, high in (("rotation", 180), ("shift", 1), ("contrast", 1), ("brightness", 1), ("noise", 1)):
            check_number(name, getattr(self, name), 0, high)

    @property
    def moves(self) -> bool:
        """Whether pixels land between pixels."""
        return self.rotation > 0 or self.shift > 0

    @property
    def active(self) -> bool:
        """Whether anything changes."""
        return self != Augmentation()

    @classmethod
    def mild(cls) -> Augmentation:
        """What a slice of another patient could look like: mirrored, turned by 10 degrees, moved by 5 %, brighter."""
        return cls(flip_horizontal=True, rotation=10.0, shift=0.05, contrast=0.1, brightness=0.05, noise=0.02)

    @classmethod
    def parse(cls, text: str) -> Augmentation:
        """``none``, ``mild``, or changes such as ``shift=0.06,rotation=10,flip_horizontal``.

        Raises:
            ArgumentError: For other words and values that are not allowed.
        """
        if text in ("none", "mild"):
            return cls.mild() if text == "mild" else cls()
        values: dict[str, Any] = {}
        for part in text.split(","):
            name, equals, value = part.strip().partition("=")
            try:
                values[name.strip()] = float(value) if equals else True
            except ValueError:
                raise ArgumentError(f"augmentation {part.strip()!r}: {value!r} is no number") from None
        return cls.from_dict(values)


@dataclass(frozen=True)
class TrainConfig(Stored):
    """How to train.

    Attributes:
        epochs: Passes over the training images, at most.
        batch_size: Images in a step (all devices and accumulated parts together).
        learning_rate: Of Adam, at its highest.
        schedule: ``constant``; ``cosine`` or ``linear`` down to 0 at the last step; ``step``: a tenth after half of
            the steps, a hundredth after three quarters.
        warmup: Share of all steps in which the learning rate rises from 0.
        weight_decay: Decoupled (AdamW), on kernels, not on biases.
        clip: Largest global norm of the gradient; 0 for no limit.
        accumulate: Parts in which a batch is computed, one after the other: less memory, the same step.
        class_weights: ``balanced`` (as in scikit-learn: classes count alike), one weight per class, or none.
        label_smoothing: Share of each target that is spread over all classes.
        patience: Stop after so many epochs without a lower validation loss; 0 for never.
        start_from_epoch: Epochs after which validation losses begin to choose and patience to count, as in Keras's
            ``EarlyStopping``; of runs that end before, the last epoch is taken.
        seed: Of initialisation, order and augmentation; equal seeds give equal bits on the same machine and devices.
        augmentation: Changes of training images.
        precision: ``float32``, ``bfloat16`` (parameters and sums stay float32), or ``auto``: bfloat16 on GPU and TPU.
        devices: ``None`` (all of the best platform), ``"cpu"``, ``"gpu"``, ``"gpu:1"``, ``"cpu:0,cpu:1"``.
        path: How convolutions are computed; see ``ctfast.model.network.convolution``.
        steps_per_dispatch: Steps in one call of the compiled program; 0 chooses by platform.
        memory_limit: Bytes that a step may take; 0: what the device has free. A step that needs more
            computes its batch in parts.
        checkpoint_seconds: A checkpoint after the first epoch that ends so long after the last checkpoint, and at the
            end; 0: after every epoch.
    """

    epochs: int = 20
    batch_size: int = 16
    learning_rate: float = 3e-4
    schedule: str = "cosine"
    warmup: float = 0.05
    weight_decay: float = 1e-4
    clip: float = 1.0
    accumulate: int = 1
    class_weights: str | tuple[float, ...] | None = None
    label_smoothing: float = 0.0
    patience: int = 0
    start_from_epoch: int = 0
    seed: int = 0
    augmentation: Augmentation = field(default_factory=Augmentation)
    precision: str = "auto"
    devices: str | None = None
    path: str = "auto"
    steps_per_dispatch: int = 0
    memory_limit: int = 0
    checkpoint_seconds: float = 30.0

    def __post_init__(self) -> None:
        """Check.

        Raises:
            ArgumentError: For values that are not allowed.
        """
        if isinstance(self.augmentation, Mapping):
            object.__setattr__(self, "augmentation", Augmentation.from_dict(self.augmentation))
        if not isinstance(self.augmentation, Augmentation):
            raise refusal("augmentation", self.augmentation, "an Augmentation")
        check_whole("epochs", self.epochs, 1)
        check_whole("batch_size", self.batch_size, 1)
        check_whole("accumulate", self.accumulate, 1, self.batch_size)
        check_whole("patience", self.patience, 0)
        check_whole("start_from_epoch", self.start_from_epoch, 0)
        check_whole("seed", self.seed, 0, (1 << 31) - 1)
        check_whole("steps_per_dispatch", self.steps_per_dispatch, 0, 1024)
        check_whole("memory_limit", self.memory_limit, 0, 1 << 60)
        check_number("learning_rate", self.learning_rate, 0, 1e30, above=True)
        check_number("weight_decay", self.weight_decay, 0, 1e3)
        check_number("clip", self.clip, 0, 1e30)
        check_number("warmup", self.warmup, 0, 1)
        check_number("checkpoint_seconds", self.checkpoint_seconds, 0, 1e9)
        check_number("label_smoothing", self.label_smoothing, 0, 1)
        for name, allowed in (("schedule", SCHEDULES), ("precision", PRECISIONS), ("path", PATHS)):
            check_choice(name, getattr(self, name), allowed, ArgumentError)
        self._check_class_weights()

    def _check_class_weights(self) -> None:
        weights = self.class_weights
        if weights is None or weights == "balanced":
            return
        if not isinstance(weights, (tuple, list)) or not all(is_number(w) and w >= 0 for w in weights):
            raise refusal("class_weights", weights, "'balanced', one number of at least 0 per class, or None")
        object.__setattr__(self, "class_weights", tuple(map(float, weights)))
