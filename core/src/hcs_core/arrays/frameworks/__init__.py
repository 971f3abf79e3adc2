"""One adapter per array framework, each in a file of the same shape."""
