"""One storage backend per file, each of the same shape."""
