"""The command `hcs example-command`."""

from example_command._version import __version__

__all__ = ["__version__"]
