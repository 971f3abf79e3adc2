"""What tests of this project and of its plugins need: plates whose content is known."""

from hcs_core.testing._synthetic_plate import (
    Fault,
    Plane,
    PlateTruth,
    SyntheticPlate,
    make_plate,
)

__all__ = ["Fault", "Plane", "PlateTruth", "SyntheticPlate", "make_plate"]
