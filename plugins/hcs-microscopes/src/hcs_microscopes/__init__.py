"""Plate readers for high-content screening microscopes.

Importing this package imports no reader; the core finds each through its entry point.
"""

from hcs_microscopes._version import __version__

__all__ = ["__version__"]
