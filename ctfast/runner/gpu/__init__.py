"""A run on GPUs: files read into page-locked memory, chunks over three streams, results written."""
