"""The rows of the kernel benchmark, one file a family of kernels."""
