"""SciPy's arguments as those of our filters: what ``scipy_ndimage``, ``cupyx``, ``skimage`` and ``cucim`` share.

Each function gives the result, or None for what is left to the original. At most three axes may be filtered; they are
moved to the back, which costs a copy where they are not the last. ``home``: where arrays are.
"""
