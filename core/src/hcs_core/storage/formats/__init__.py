"""One file format per file, each of the same shape."""
