"""Parts of CLAHE on the CPU: geometry, bins, tables, bands."""
