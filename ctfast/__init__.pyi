"""The public names of ctfast: where each lives and what it needs, as ctfast.dispatch.lazy reads it."""

from . import analysis as analysis
from . import augment as augment
from . import compat as compat
from . import errors as errors
from . import files as files
from . import model as model
from . import runner as runner
from .backend import BackendStatus as BackendStatus
from .backend import backends as backends
from .backend import use_backend as use_backend
from .dispatch.jax_arrays import to_jax as to_jax
from .memory import RecycledMemory as RecycledMemory
from .memory import recycled_memory as recycled_memory
from .memory import set_recycled_memory as set_recycled_memory
from .model.classifier import CTClassifier as CTClassifier  # extra nn: jax, sklearn
from .ops import clahe as clahe
from .ops import gaussian_filter as gaussian_filter
from .ops import histogram as histogram
from .ops import label_tissue as label_tissue
from .ops import match_histogram as match_histogram
from .ops import median_filter as median_filter
from .ops import normalize as normalize
from .ops import percentile_filter as percentile_filter
from .ops import rank_filter as rank_filter
from .ops import rescale as rescale
from .ops import standardize as standardize
from .ops import summary as summary
from .ops import window as window
from .pipeline import Pipeline as Pipeline
from .pipeline import Step as Step
from .presets import PRESETS as PRESETS
from .presets import preset as preset
from .reference_histogram import ReferenceHistogram as ReferenceHistogram
from .results import Histogram as Histogram
from .results import Summary as Summary
from .threads import get_num_threads as get_num_threads
from .threads import set_num_threads as set_num_threads

__version__: str
