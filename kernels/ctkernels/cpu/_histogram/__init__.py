"""Parts of the CPU histograms: plans, pairs of pixels, values, floats."""
