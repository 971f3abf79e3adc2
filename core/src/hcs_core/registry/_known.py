"""What the core knows by name: the API of its kinds, and which addon brings what."""

from __future__ import annotations

# The API majors of the core's own kinds, for a listing that imports none of their rooms.
API_OF = dict.fromkeys(
    (
        *("hcs.arrays", "hcs.cli", "hcs.formats", "hcs.hooks"),
        *("hcs.kernels", "hcs.microscopes", "hcs.storage"),
    ),
    1,
)

# First-party addons by what they provide: a hint for a key that is not installed.
ADDON_OF = {
    ("hcs.microscopes", "imagexpress"): "hcs-microscopes",
    ("hcs.kernels", "hcs"): "hcs-gpu-kernels",
    ("hcs.cli", "compile"): "hcs-pipeline",
    ("hcs.cli", "demo"): "hcs-pipeline",
    ("hcs.cli", "run"): "hcs-pipeline",
    ("hcs.cli", "status"): "hcs-pipeline",
    ("hcs.storage", "fiji"): "polystore-fiji",
    ("hcs.storage", "napari"): "polystore-napari",
    ("hcs.storage", "omero"): "polystore-omero",
}


def install_hint(distribution: str) -> str:
    """Return how to install one of our addons beside the core, from a checkout."""
    return f"install it from the checkout: python -m pip install ./core ./plugins/{distribution}"
