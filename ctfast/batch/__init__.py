"""What every command over many files needs, once: atomic files, journals, ordered workers, stamps, limits, progress."""
