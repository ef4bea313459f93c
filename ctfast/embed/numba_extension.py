"""What Numba calls when it first compiles something (entry point ``numba_extensions``): it learns where to ask.

Nothing of ours is imported here. When compiled code first names a public function of ctfast,
``numba_overloads.register()`` runs, so that a program that uses Numba without ctfast pays for this file alone.
"""

# mypy: disable-error-code="no-untyped-call,no-untyped-def,untyped-decorator"
# Numba's decorators have no types.

from __future__ import annotations

import types
from typing import Final

from numba.core.registry import cpu_target
from numba.extending import typeof_impl

_HOME: Final = "ctfast.ops"


def init() -> None:
    """Ask ``register()`` for the types of our functions; all other functions are typed as they were."""
    usual = typeof_impl.dispatch(types.FunctionType)

    @typeof_impl.register(types.FunctionType)
    def of_function(value, context):
        if value.__module__ == _HOME:
            from ctfast.embed import numba_overloads

            numba_overloads.register()
            # The compilation under way looked at what was known when it began.
            cpu_target.typing_context.refresh()
            cpu_target.target_context.refresh()
        return usual(value, context)
