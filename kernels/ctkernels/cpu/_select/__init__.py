"""Exact selection on the CPU: percentiles and ranges of the pixels that count."""
