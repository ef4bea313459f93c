"""What ``ctfast train`` does where nothing is said: sizes, learning rate, patience and number of networks by a rule.

The rule follows the number of labelled slices, because it decides what a network of this kind can learn: of some tens
of slices, 14.8 million parameters at 256 x 256 learn noise by heart, while averaging to 64 x 64 takes the noise away.

| labelled slices | input | networks | epochs, at most | patience |
|---|---|---|---|---|
| below 1,000 | 64 x 64 | 5 | 30 | 5 |
| below 5,000 | 128 x 128 | 3 | 30 | 5 |
| from 5,000 on | 256 x 256 | 1 | 20 | 5 |

An epoch of the last third is chosen: the learning rate has nearly fallen to 0 there, and the few slices that choose do
it badly. The learning rate is 1e-3 at 64 x 64 and falls with the side of the input to 3e-4 at 256 x 256. Augmentation:
mirrored, turned by up to 10 degrees, moved by up to a sixteenth; HU are calibrated, so brightness and contrast stay.
Labels are smoothed by a tenth, so that the validation loss, which chooses the epoch, does not punish late epochs for
confidence.
``docs/network.md`` has the measurements. ``recipe="seed"`` is the seed report's plain training instead.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from ctfast.batch.choices import check_choice
from ctfast.errors import ArgumentError
from ctfast.model.config import Augmentation, ModelConfig, TrainConfig

RECIPES: Final = ("auto", "seed")
AUGMENTATION: Final = Augmentation(flip_horizontal=True, rotation=10.0, shift=0.0625)
LABEL_SMOOTHING: Final = 0.1
"""Keeps networks from growing overconfident, which the validation loss punishes long before they stop learning.
Measured on 60 slices it made no difference."""
_LEARNING_RATES: Final = (3e-4, 1e-3)
_RATE_TIMES_SIDE: Final = 1e-3 * 64


@dataclass(frozen=True)
class Recipe:
    """A training as the rule has it.

    Attributes:
        name: ``auto`` or ``seed``.
        side: Rows and columns of the network's input.
        members: Networks that are trained, each with another part of the slices to choose its epoch by.
        test: Share of the slices that takes no part in training or choosing, and is judged at the end.
        chooses_window: Whether the HU window comes from the training slices.
        config: How to train.
    """

    name: str
    side: int
    members: int
    test: float
    chooses_window: bool
    config: TrainConfig

    @classmethod
    def for_set(cls, slices: int, name: str = "auto", *, side: int | None = None) -> Recipe:
        """The recipe for so many labelled slices.

        Args:
            slices: How many.
            name: ``auto`` (the rule above) or ``seed``.
            side: Rows and columns of the input where they are given; the learning rate follows them.

        Raises:
            ArgumentError: For another name.
        """
        check_choice("recipe", name, RECIPES, ArgumentError)
        if name == "seed":
            return cls("seed", side or ModelConfig.image_size[0], 1, 0.0, False, TrainConfig())
        least, members, epochs, patience = (
            (64, 5, 30, 5) if slices < 1000 else (128, 3, 30, 5) if slices < 5000 else (256, 1, 20, 5)
        )
        chosen = side or least
        config = TrainConfig(
            epochs=epochs,
            learning_rate=min(max(_RATE_TIMES_SIDE / chosen, _LEARNING_RATES[0]), _LEARNING_RATES[1]),
            patience=patience,
            start_from_epoch=_chosen_from(epochs),
            label_smoothing=LABEL_SMOOTHING,
            augmentation=AUGMENTATION,
        )
        return cls("auto", chosen, members, 0.2, True, config)

    def trained_as(self, config: TrainConfig | Mapping[str, Any] | None) -> TrainConfig:
        """The whole configuration: this recipe's, with the changes of a mapping, or another one instead.

        Raises:
            ArgumentError: For unknown names and values that are not allowed.
        """
        if isinstance(config, TrainConfig):
            return config
        given = {**self.config.to_dict(), **(config or {})}
        if self.config.start_from_epoch and "start_from_epoch" not in (config or {}):
            given["start_from_epoch"] = _chosen_from(given["epochs"])
        return TrainConfig.from_dict(given)


def _chosen_from(epochs: Any) -> int:
    """The epochs after which one may be chosen: two thirds of all."""
    return 2 * epochs // 3 if isinstance(epochs, int) else 0  # what is no number is refused by ``TrainConfig``
