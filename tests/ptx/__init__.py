"""An interpreter for PTX, so that what nvcc makes of the CUDA kernels is tested without a GPU.

interpreter.Kernel takes PTX text and launches one of its kernels on a memory.GlobalMemory. Between
the two: parser (text to instructions), control_flow (basic blocks in the order that they run in),
translator with scalar_instructions and machine_instructions (Python functions over arrays, an
element for each thread), machine (runs these for many blocks of the grid at once), operations,
arithmetic, warp, memory and asynchronous_copy (what the functions call).

Not modelled: the order in which the hardware makes writes visible, the rounding inside a tensor
core's sums and of approximate functions, and time.
"""

import os

# The tests run in as many processes as there are cores; read when numpy is first imported.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
