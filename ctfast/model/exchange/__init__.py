"""Files of and for others: Keras, ONNX, JAX's exported programs."""
