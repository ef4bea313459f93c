"""Parts of the CPU Gaussian: weights and tables, vector code, bands."""
