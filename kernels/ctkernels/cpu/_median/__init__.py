"""Parts of the CPU median filter: sorting networks for small windows, two-level histograms for large ones."""
