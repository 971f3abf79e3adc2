"""Opening a plate with a small reader of the test's own, and reading its pixels."""

from __future__ import annotations

import re
import struct
import sys
from io import BytesIO
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
import tifffile

from hcs_core.errors import (
    AmbiguousPlateError,
    DamagedPlaneError,
    MissingPlaneError,
    NotAPlateError,
    PlateNotFoundError,
)
from hcs_core.plates import (
    Evidence,
    IndexBuilder,
    Listing,
    Plate,
    PlateIndex,
    PlateMetadata,
    PlateReader,
    open_plate,
)
from hcs_core.registry import PluginInfo

NAME = re.compile(r"([A-Z]\d\d)_(\d+)_(\w+)\.tif")


class TinyReader(PlateReader):
    """Plates of files such as ``B02_1_DAPI.tif``."""

    format: ClassVar[str] = "tiny"
    confidence: ClassVar[float] = 0.6

    @classmethod
    def detect(cls, listing: Listing) -> Evidence | None:
        named = any(NAME.fullmatch(name) for _, name in listing.files())
        return Evidence(cls.confidence, "tiny names") if named else None

    def index(self) -> PlateIndex:
        builder = IndexBuilder(str(self.root))
        found = [match for _, name in self.listing.files() if (match := NAME.fullmatch(name))]
        builder.extend(
            names=[match[0] for match in found],
            folder="",
            well=[match[1] for match in found],
            site=[match[2] for match in found],
            channel=[match[3] for match in found],
        )
        return builder.build(channel_names={"w1": "DAPI"})

    def metadata(self) -> PlateMetadata:
        return PlateMetadata(name="tiny", shape=(2, 3))


class BoldReader(TinyReader):
    """Claims the same files, and is as sure."""

    confidence: ClassVar[float] = 0.65


class BrokenReader(TinyReader):
    """Fails on every folder."""

    @classmethod
    def detect(cls, listing: Listing) -> Evidence | None:
        raise ZeroDivisionError("a bug")


class ThumbnailReader(TinyReader):
    """Recognises a folder and finds no plane in it."""

    def index(self) -> PlateIndex:
        return IndexBuilder(str(self.root)).build()


class MarkedReader(ThumbnailReader):
    """Says what it looks for, and does not find it."""

    looks_for: ClassVar[str] = "a file called MARK"

    @classmethod
    def detect(cls, listing: Listing) -> Evidence | None:
        return None


class Readers(dict[str, type[PlateReader]]):
    """The registry of readers: all of it that opening a plate asks for."""

    switched_off: tuple[PluginInfo, ...] = ()

    def infos(self, *, all: bool = False) -> tuple[PluginInfo, ...]:
        made = (PluginInfo("hcs.microscopes", key, "a:b", "acme", "1.0", 1) for key in self)
        return (*made, *(self.switched_off if all else ()))


@pytest.fixture
def readers(monkeypatch: pytest.MonkeyPatch) -> Readers:
    """The readers that exist during a test."""
    known = Readers(tiny=TinyReader)
    monkeypatch.setattr("hcs_core.plates._open.MICROSCOPES", known)
    return known


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A plate of 2 wells and 2 channels; pixels are its row number in the index."""
    root = tmp_path / "plate"
    root.mkdir()
    names = [f"{well}_1_{channel}.tif" for well in ("A01", "B02") for channel in ("w1", "w2")]
    for number, name in enumerate(names):
        tifffile.imwrite(root / name, np.full((2, 3), number, np.uint16))
    return root


@pytest.fixture
def plate(folder: Path, readers: dict[str, type[PlateReader]]) -> Plate:
    return open_plate(folder)


def test_the_reader_that_knows_the_names_opens_the_plate(plate: Plate, folder: Path):
    assert plate.format == "tiny"
    assert plate.root == folder.resolve()
    assert plate.wells == ("A01", "B02")
    assert [channel.title for channel in plate.channels] == ["DAPI", "w2"]
    assert plate.metadata.shape == (2, 3)


def test_a_reader_can_be_named(folder: Path, readers: dict[str, type[PlateReader]]):
    readers["bold"] = BoldReader
    assert open_plate(folder, format="tiny").format == "tiny"


def test_two_readers_that_are_equally_sure_are_both_named(
    folder: Path, readers: dict[str, type[PlateReader]]
):
    readers["bold"] = BoldReader
    with pytest.raises(AmbiguousPlateError) as raised:
        open_plate(folder)
    assert raised.value.candidates == ("bold: tiny names", "tiny: tiny names")


def test_a_reader_with_a_bug_does_not_stop_the_others(
    folder: Path, readers: dict[str, type[PlateReader]]
):
    readers["broken"] = BrokenReader
    with pytest.warns(RuntimeWarning, match="'broken' .* look at .*: ZeroDivisionError: a bug"):
        assert open_plate(folder).format == "tiny"


class LeavingReader(TinyReader):
    """Ends the program, as a driver may that finds no licence."""

    @classmethod
    def detect(cls, listing: Listing) -> Evidence | None:
        sys.exit("no licence")


class PanickingReader(TinyReader):
    """Fails as compiled code does."""

    @classmethod
    def detect(cls, listing: Listing) -> Evidence | None:
        class Panic(BaseException): ...

        raise Panic("index out of bounds")


class NumberReader(TinyReader):
    """Returns its confidence alone."""

    @classmethod
    def detect(cls, listing: Listing) -> Any:
        return 5


class InterruptedReader(TinyReader):
    """Is at work when the user presses Ctrl-C."""

    @classmethod
    def detect(cls, listing: Listing) -> Evidence | None:
        raise KeyboardInterrupt


@pytest.mark.parametrize(
    ("reader", "reason"),
    [
        (LeavingReader, "SystemExit: no licence"),
        (PanickingReader, "Panic: index out of bounds"),
        (NumberReader, "detect must return Evidence or None, but returned an object of type int"),
    ],
)
def test_a_reader_that_does_the_worst_is_one_warning_and_the_plate_opens(
    reader: type[PlateReader], reason: str, folder: Path, readers: dict[str, type[PlateReader]]
):
    readers["bad"] = reader
    with pytest.warns(RuntimeWarning) as told:
        assert open_plate(folder).format == "tiny"
    (warning,) = told
    assert str(warning.message) == f"plate reader 'bad' could not look at {folder}: {reason}"


def test_ctrl_c_in_a_reader_is_the_users(folder: Path, readers: dict[str, type[PlateReader]]):
    readers["slow"] = InterruptedReader
    with pytest.raises(KeyboardInterrupt):
        open_plate(folder)


def test_readers_that_are_switched_off_are_not_to_be_installed(tmp_path: Path, readers: Readers):
    readers.clear()
    reason = "it is switched off by the environment variable HCS_PLUGINS_DISABLE: microscopes"
    about = ("hcs.microscopes", "imagexpress", "a:b", "hcs-microscopes", "1.0")
    readers.switched_off = (PluginInfo(*about, 1, state="disabled", error=reason),)
    with pytest.raises(NotAPlateError) as raised:
        open_plate(tmp_path)
    message = str(raised.value)
    assert f"switched off: imagexpress of hcs-microscopes 1.0 ({reason})" in message
    assert "install it" not in message


def test_how_a_reader_is_named_is_said_for_python_and_the_command_line(
    folder: Path, tmp_path: Path, readers: dict[str, type[PlateReader]]
):
    readers["imagexpress"] = MarkedReader
    (tmp_path / "other").mkdir()
    with pytest.raises(NotAPlateError, match="format in Python, --format on the command line"):
        open_plate(tmp_path / "other")
    readers["bold"] = BoldReader
    with pytest.raises(AmbiguousPlateError, match=r"the one you mean: format in Python, --format"):
        open_plate(folder)


def test_a_folder_of_other_files_is_no_plate(tmp_path: Path, readers: dict[str, type[PlateReader]]):
    (tmp_path / "notes.txt").touch()
    with pytest.raises(NotAPlateError, match=r"found 1 file, such as notes\.txt; readers: tiny"):
        open_plate(tmp_path)


def test_a_folder_of_links_is_told_so(tmp_path: Path, readers: dict[str, type[PlateReader]]):
    for number in range(13):
        (tmp_path / f"A{number + 1:02d}_1_w1.tif").symlink_to("gone.tif")
    with pytest.raises(NotAPlateError) as raised:
        open_plate(tmp_path)
    assert (
        "found no files, and 13 links, which are not followed; copy the files, or open the folder "
        "that they point to; readers: tiny"
    ) in str(raised.value)


def test_links_beside_other_files_are_told_too(
    tmp_path: Path, readers: dict[str, type[PlateReader]]
):
    (tmp_path / "notes.txt").touch()
    (tmp_path / "A01_1_w1.tif").symlink_to("gone.tif")
    with pytest.raises(NotAPlateError, match=r"notes\.txt, and 1 link, which is not followed"):
        open_plate(tmp_path)


def test_only_without_a_reader_of_ours_it_says_what_to_install(
    tmp_path: Path, readers: dict[str, type[PlateReader]]
):
    with pytest.raises(NotAPlateError, match=r"pip install \./core \./plugins/hcs-microscopes"):
        open_plate(tmp_path)
    readers["imagexpress"] = MarkedReader
    with pytest.raises(NotAPlateError) as raised:
        open_plate(tmp_path)
    assert str(raised.value).endswith(
        "Check the folder (imagexpress looks for a file called MARK), "
        "or name the reader: format in Python, --format on the command line"
    )


def test_a_reader_that_was_named_says_what_it_looks_for(
    folder: Path, readers: dict[str, type[PlateReader]]
):
    readers["imagexpress"] = MarkedReader
    with pytest.raises(NotAPlateError) as raised:
        open_plate(folder, format="imagexpress")
    assert "finds no planes" in str(raised.value)
    assert "a file called MARK" in str(raised.value)
    assert "pip install" not in str(raised.value)


def test_an_empty_folder_is_no_plate(tmp_path: Path, readers: dict[str, type[PlateReader]]):
    with pytest.raises(NotAPlateError, match="found no files"):
        open_plate(tmp_path)


def test_a_folder_without_planes_is_no_plate(folder: Path, readers: dict[str, type[PlateReader]]):
    readers["tiny"] = ThumbnailReader
    with pytest.raises(NotAPlateError):
        open_plate(folder)


def test_a_path_to_nothing_or_to_a_file_is_said(folder: Path):
    with pytest.raises(PlateNotFoundError, match="no such folder"):
        open_plate(folder / "nowhere")
    with pytest.raises(PlateNotFoundError, match="it is a file"):
        open_plate(folder / "A01_1_w1.tif")


def test_rows_are_selected_by_what_a_user_types(plate: Plate):
    assert plate.select().tolist() == [0, 1, 2, 3]
    assert plate.select(well="b2").tolist() == [2, 3]
    assert plate.select(channel="DAPI").tolist() == [0, 2]
    assert plate.select(channel="w2", well="A01").tolist() == [1]


def test_a_label_that_the_plate_has_not_is_answered_with_those_it_has(plate: Plate):
    with pytest.raises(LookupError, match=r"no site '7' \(available: 1\)"):
        plate.select(site="7")
    with pytest.raises(LookupError, match=r"no well 'C03' \(available: A01, B02\)"):
        plate.select(well="c3")


@pytest.mark.parametrize("word", ["", "B", "DAPI", "B100"])
def test_a_word_that_names_no_well_is_answered_with_the_wells_there_are(plate: Plate, word: str):
    with pytest.raises(LookupError, match=rf"no well '{word}' \(available: A01, B02\)"):
        plate.select(well=word)


def test_a_plane_is_read_as_stored(plate: Plate):
    plane = plate.read(2)
    assert (plane.shape, plane.dtype.name) == ((2, 3), "uint16")
    assert (plane == 2).all()


def test_a_stack_has_the_planes_in_the_order_asked_for(plate: Plate):
    stack = plate.read_stack([3, 0, 3])
    assert stack.shape == (3, 2, 3)
    assert stack[:, 0, 0].tolist() == [3, 0, 3]


def test_a_plane_that_was_never_there_is_missing(
    folder: Path, readers: dict[str, type[PlateReader]]
):
    (folder / "B02_1_w2.tif").unlink()
    plate = open_plate(folder)
    with pytest.raises(MissingPlaneError, match="B02, site 1, channel w2"):
        plate.read(3)


def test_a_plane_that_went_after_the_plate_was_opened_is_missing(plate: Plate, folder: Path):
    (folder / "A01_1_w1.tif").unlink()
    with pytest.raises(MissingPlaneError, match=r"file A01_1_w1\.tif"):
        plate.read(0)


def test_a_link_to_an_image_is_a_missing_plane(folder: Path, readers: dict[str, type[PlateReader]]):
    (folder / "A01_1_w1.tif").unlink()
    (folder / "A01_1_w1.tif").symlink_to("B02_1_w1.tif")
    plate = open_plate(folder)
    assert plate.index.ignored == {}, "this reader does not hand on what the listing left out"
    with pytest.raises(MissingPlaneError, match="A01, site 1, channel w1"):
        plate.read(0)


def test_planes_of_different_shape_are_no_stack(plate: Plate, folder: Path):
    tifffile.imwrite(folder / "B02_1_w1.tif", np.zeros((2, 4), np.uint16))
    with pytest.raises(DamagedPlaneError, match=r"B02_1_w1\.tif.*\(2, 4\)"):
        plate.read_stack([0, 1, 2])


@pytest.mark.parametrize("content", [b"", b"II*\0", b"no image at all", b"\0" * 500])
def test_a_file_that_is_no_tiff_is_damaged(plate: Plate, folder: Path, content: bytes):
    (folder / "A01_1_w1.tif").write_bytes(content)
    with pytest.raises(DamagedPlaneError, match=r"A01_1_w1\.tif"):
        plate.read(0)


PIXELS = np.random.default_rng(0).integers(1, 60000, (48, 40)).astype(np.uint16)


def tiff_bytes(**options: object) -> bytes:
    """Return a TIFF as tifffile writes it: first the directory, then the pixels."""
    file = BytesIO()
    tifffile.imwrite(file, PIXELS, **options)  # type: ignore[arg-type]
    return file.getvalue()


def tiff_with_directory_last(rows_per_strip: int) -> bytes:
    """Return a TIFF as MetaXpress exports it: first the pixels, then the directory."""
    height, width = PIXELS.shape
    strips = [PIXELS[i : i + rows_per_strip].tobytes() for i in range(0, height, rows_per_strip)]
    offsets = [8 + sum(map(len, strips[:i])) for i in range(len(strips))]
    directory = 8 + sum(map(len, strips))
    short, long, count = 3, 4, len(strips)
    after = directory + 2 + 9 * 12 + 4
    many = count > 1
    tags = [
        (256, short, 1, width), (257, short, 1, height), (258, short, 1, 16),
        (259, short, 1, 1), (262, short, 1, 1),
        (273, long, count, after if many else offsets[0]), (277, short, 1, 1),
        (278, short, 1, rows_per_strip),
        (279, long, count, after + 4 * count if many else len(strips[0])),
    ]  # fmt: skip
    entries = b"".join(struct.pack("<HHII", *tag) for tag in tags)
    arrays = struct.pack(f"<{2 * count}I", *offsets, *map(len, strips)) if many else b""
    head = struct.pack("<2sHI", b"II", 42, directory)
    return head + b"".join(strips) + struct.pack("<H", 9) + entries + b"\0" * 4 + arrays


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(tiff_bytes(), id="one strip"),
        pytest.param(tiff_bytes(rowsperstrip=8), id="strips"),
        pytest.param(tiff_bytes(rowsperstrip=8, compression="zlib"), id="deflate"),
        pytest.param(tiff_bytes(rowsperstrip=8, compression="lzw"), id="lzw"),
        pytest.param(tiff_bytes(tile=(16, 16)), id="tiles"),
        pytest.param(tiff_with_directory_last(48), id="one strip, directory last"),
        pytest.param(tiff_with_directory_last(8), id="strips, directory last"),
    ],
)
def test_a_tiff_cut_at_any_byte_is_refused_or_complete_and_never_filled(
    plate: Plate, folder: Path, content: bytes
):
    file = folder / "A01_1_w1.tif"
    file.write_bytes(content)
    assert np.array_equal(plate.read(0), PIXELS)
    # Every byte where directories and strips begin and end, and a sample of the others.
    cuts = {*range(0, len(content), 61), *range(300), *range(len(content) - 300, len(content))}
    for cut in sorted(cuts, reverse=True):
        with file.open("rb+") as stream:
            stream.truncate(cut)
        try:
            plane = plate.read(0)
        except DamagedPlaneError:
            continue
        assert np.array_equal(plane, PIXELS), f"cut at byte {cut} of {len(content)}"
