"""Learning rates over the steps of a training: the schedules of optax, made at once for all steps.

They are computed here and handed to the compiled step as numbers, so that one program serves trainings of any length.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from ctfast.model.config import TrainConfig

_MILESTONES: Final = (0.5, 0.75)
"""Of ``schedule="step"``: a tenth from each of these shares of the steps on."""


def rates(config: TrainConfig, steps: int) -> NDArray[np.float32]:
    """The learning rate of each of ``steps`` steps.

    The warm-up rises in equal steps to the full rate; its first step is not 0, which would be wasted.
    """
    rising = min(round(config.warmup * steps), steps - 1)
    step = np.arange(steps)
    done = np.clip((step - rising) / (steps - rising), 0.0, 1.0)
    if config.schedule == "cosine":
        share = 0.5 * (1.0 + np.cos(np.pi * done))
    elif config.schedule == "linear":
        share = 1.0 - done
    elif config.schedule == "step":
        share = 0.1 ** np.sum([step >= round(at * steps) for at in _MILESTONES], axis=0)
    else:
        share = np.ones(steps)
    warm = np.minimum((step + 1) / (rising + 1), 1.0)
    return (config.learning_rate * np.where(step < rising, warm, share)).astype(np.float32)
