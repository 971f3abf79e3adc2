"""Functions that say which arrays they take, and how they are called."""
