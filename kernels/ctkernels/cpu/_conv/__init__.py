"""Parts of the network's convolution on the CPU.

From the inside out: ``lanes`` (how wide vectors are), ``tiles`` and ``winograd``, ``weights``, ``direct``, ``product``
(vector code), ``memory`` (memory by address); ``job`` and the tasks of the three passes, ``forward``,
``weight_gradient``, ``input_gradient``; ``libc``, ``xla_frame``, ``xla_threads``, ``handlers`` (XLA's side of a call).
"""
