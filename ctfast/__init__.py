"""ctfast: normalise, denoise, enhance and bin CT images at the speed of the machine.

>>> import ctfast
>>> smooth = ctfast.median_filter(image, 5)
>>> bright = ctfast.window(smooth, center=40, width=400, dtype="uint8")

``import ctfast`` is lazy: neither Numba nor CuPy nor JAX is imported before something needs them.
Not a medical device.
"""

from ctfast.dispatch.lazy import attach

__version__ = "0.2.0"

__getattr__, __dir__ = attach(__name__, __file__)
