"""How far a class-activation map can be trusted: what happens when the part that it points at is hidden.

The deletion test (Petsiuk et al., "RISE", BMVC 2018, here with one step): the tenth of the slice where the map is
highest is replaced by the mean of the rest, and the network is asked again. As a control the same shape is hidden
elsewhere, turned by half. A map that explains a prediction lowers its probability, and more than the control does.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

SHARE: Final = 0.1
"""Of the pixels that are hidden."""
_LEAST_DROP: Final = 0.02
"""Of a probability; less is no effect."""

Probabilities = Callable[[NDArray[np.uint16]], NDArray[np.float32]]


@dataclass(frozen=True)
class Deletion:
    """Probability of the predicted class: as it was, with the map's place hidden, with another place hidden."""

    before: float
    hidden: float
    control: float

    @property
    def explains(self) -> bool:
        """Whether hiding what the map points at matters, and more than hiding something else."""
        drop = self.before - self.hidden
        return drop >= _LEAST_DROP and drop > self.before - self.control

    def sentence(self) -> str:
        """For the picture."""
        text = (
            f"lightest tenth hidden: {self.before:.2f} to {self.hidden:.2f}; turned by half, hidden: {self.control:.2f}"
        )
        return text if self.explains else f"{text}. Don't trust this map"


def deletion(
    images: NDArray[np.uint16], maps: NDArray[np.float32], before: NDArray[np.float32], probabilities: Probabilities
) -> list[Deletion]:
    """The test for each image.

    Args:
        images: ``(N, H, W)`` or ``(N, H, W, 3)``, as the network sees them.
        maps: ``(N, H, W)``, at the images' size.
        before: ``(N, classes)``: probabilities of the images as they are.
        probabilities: Gives those of other images of that shape.
    """
    places = [highest(one) for one in maps]
    hidden = probabilities(np.stack([_hidden(image, place) for image, place in zip(images, places)]))
    turned = probabilities(np.stack([_hidden(image, place[::-1, ::-1]) for image, place in zip(images, places)]))
    rows, named = np.arange(len(images)), before.argmax(axis=1)
    each = zip(before[rows, named].tolist(), hidden[rows, named].tolist(), turned[rows, named].tolist())
    return [Deletion(*values) for values in each]


def highest(one: NDArray[np.float32]) -> NDArray[np.bool_]:
    """The tenth of a map ``(H, W)`` that is highest."""
    number = max(1, round(SHARE * one.size))
    place = np.zeros(one.size, bool)
    place[np.argpartition(one.ravel(), -number)[-number:]] = True
    return place.reshape(one.shape)


def _hidden(image: NDArray[np.uint16], place: NDArray[np.bool_]) -> NDArray[np.uint16]:
    made = image.copy()
    made[place] = np.rint(image[~place].mean(axis=0)).astype(np.uint16) if (~place).any() else 0
    return made
