"""The commands that this addon brings, one per file."""
