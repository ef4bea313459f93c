"""Parts of the network's convolution on the CPU, and of its hidden layer.

From the inside out: ``lanes`` (how wide vectors are), ``filterings``, ``tiles`` and ``winograd``, ``weights``,
``direct``, ``product`` (vector code), ``memory`` (memory by address); ``job`` and the tasks of the three passes,
``forward``, ``weight_gradient``, ``input_gradient``, of all blocks together, ``features``, and of the hidden layer,
``dense`` and ``dense_gradient``, and of the optimizer, ``adam``; ``libc``, ``xla_frame``, ``xla_threads``,
``handlers``, ``dense_handler``, ``features_handler`` and ``adam_handler`` (XLA's side of a call).
"""
