"""Plates of the microscope example-microscope, for hcs."""

from example_microscope._version import __version__
from example_microscope.reader import ExampleMicroscopeReader

__all__ = ["ExampleMicroscopeReader", "__version__"]
