"""JAX's persistent compilation cache: on by default, in the user's cache folder, never against the user's own setting.

A training step compiles in seconds and is found again in a twentieth of that.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

import jax

from ctfast.batch.cache_folder import user_cache

_OWN_SETTINGS: Final = ("JAX_COMPILATION_CACHE_DIR", "JAX_ENABLE_COMPILATION_CACHE")
_SECONDS: Final = 0.1
"""Programs that compile faster are not worth a file; JAX's own limit of 1 s would leave out prediction."""


def use_compilation_cache() -> Path | None:
    """Turn the cache on unless the user has decided otherwise; returns its folder, or None where it stays as it was.

    A folder that can't be made or written leaves the cache off: it is a convenience.
    """
    if any(name in os.environ for name in _OWN_SETTINGS):
        return None
    if jax.config.jax_compilation_cache_dir is not None or not jax.config.jax_enable_compilation_cache:
        return None
    folder = user_cache("jax")
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except (OSError, RuntimeError):
        return None
    if not os.access(folder, os.W_OK):
        return None
    if "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS" not in os.environ:
        jax.config.update("jax_persistent_cache_min_compile_time_secs", _SECONDS)
    jax.config.update("jax_compilation_cache_dir", str(folder))
    _forget_that_there_was_none()
    return folder


def _forget_that_there_was_none() -> None:
    """JAX decides at the first compilation whether there is a cache; have it decide again."""
    from jax.experimental.compilation_cache import compilation_cache

    compilation_cache.reset_cache()
