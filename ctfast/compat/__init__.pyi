"""The public names of ctfast.compat, as ctfast.dispatch.lazy reads it."""

from ._calls import Calls as Calls
from ._calls import calls as calls
from ._patching import patched as patched
