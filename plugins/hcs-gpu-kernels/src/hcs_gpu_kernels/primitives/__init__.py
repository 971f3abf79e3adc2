"""What kernels are written on: one module of the same functions per array framework."""
