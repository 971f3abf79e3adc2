"""Plates and kernels so small that every result can be worked out by hand."""
