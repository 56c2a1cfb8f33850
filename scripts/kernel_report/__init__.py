"""What the compiler makes of the CUDA kernels, and what a GPU can at best make of that."""
