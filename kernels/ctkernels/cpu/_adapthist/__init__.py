"""Parts of ``equalize_adapthist``: what comes before its blocks, and after."""
