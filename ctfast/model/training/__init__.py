"""Training: augmentation, the compiled step, epochs, and what a run keeps."""
