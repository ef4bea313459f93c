"""Drop-ins: functions of SciPy, scikit-image, OpenCV, CuPy and cuCIM with their signatures, values and errors.

>>> from ctfast.compat import scipy_ndimage as ndimage
>>> ndimage.median_filter(image, size=5)

or, for code that is not yours to change::

    with ctfast.compat.patched("scipy.ndimage"):
        their_pipeline(image)

Where our kernels can't serve a call, the installed original does, with its own results and errors; the table at the top
of each module says where that is, and ``calls()`` counts it.
"""

from ctfast.dispatch.lazy import attach

__getattr__, __dir__ = attach(__name__, __file__)
