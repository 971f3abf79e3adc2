"""Files read back exactly what was written, or say that they are damaged."""

from __future__ import annotations

import contextlib
import io
import json
import math
import string
import struct
import subprocess
import sys
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from hcs_core.errors import (
    CorruptDataError,
    PluginConflictError,
    PluginWarning,
    UnknownFormatError,
    UnsavableValueError,
)
from hcs_core.storage import EXTENSIONS, FORMATS, FileFormat, format_for
from hcs_core.storage.backends.disk import DiskBackend
from hcs_core.storage.formats.csv import CsvFormat
from hcs_core.storage.formats.json import JsonFormat
from hcs_core.storage.formats.npy import NpyFormat
from hcs_core.storage.formats.tiff import TiffFormat
from hcs_core.testing import FileFormatTests, fake_distribution
from hcs_core.testing._samples import same

tifffile = pytest.importorskip("tifffile")

PIXELS = ["bool", "int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", "uint64"]
PIXELS += ["float16", "float32", "float64"]
NOISE = np.random.default_rng(0).integers(0, 65536, (4, 12, 16), np.uint16)
OBJECTS = np.array([[object()]])
MASKED = np.ma.masked_greater(NOISE[0], 3)


class TestNpy(FileFormatTests):
    format = NpyFormat()
    values = (
        NOISE,
        np.asfortranarray(NOISE[0]),
        np.array(5, np.int64),
        np.zeros((0, 3), np.float32),
        np.array([(1, 2.5)], dtype=[("a", "<i4"), ("b", "<f8")]),
        np.array(["A01", "B02"]),
        np.array([1, 2], ">i4"),
    )
    unsavable = (None, [1, 2], OBJECTS, MASKED)


class TestTiff(FileFormatTests):
    format = TiffFormat()
    values = (NOISE[0], NOISE[:1], NOISE, NOISE[:3], NOISE[:3].astype(np.float32))
    unsavable = (
        None,
        [[1]],
        OBJECTS,
        MASKED,
        np.zeros(3),
        np.zeros((0, 3)),
        np.zeros((2, 2), complex),
        np.array([["a"]]),
    )


class TestCsv(FileFormatTests):
    format = CsvFormat()
    values = (
        {"well": np.array(["A01", "B02"]), "count": np.array([3, -4])},
        {"area_um2": np.array([0.1, np.nan, -np.inf, 1e-300, 1.0])},
        {"big": np.array([2**64 - 1, 0], np.uint64)},
        {"ok": np.array([True, False])},
        {"text": np.array(['say "a,b"', "line\nbreak", "return\rhere", "", "ä€😀", " x "])},
        {"barcode": np.array(["007", "0123"])},
        {"with, comma": np.array([1]), 'with "quotes"': np.array([2])},
        {"only": np.array(["a", "", "b"])},
    )
    unsavable = (
        None,
        {},
        [1, 2],
        {"a": np.array([1]), "b": np.array([1, 2])},
        {"a": np.zeros((2, 2))},
        {"a": np.array([1 + 2j])},
        {"a": np.array([None])},
        {"a": np.ma.masked_greater(np.array([1, 2]), 1)},
        {1: np.array([1])},
        {"\ufeffa": np.array([1])},
        {"a": np.array(["\ud800"])},
    )

    def check_cut(self, content: bytes, value: Any) -> None:
        """A table that ends after a whole line cannot be told from a shorter one."""
        try:
            found = self.read(content)
        except CorruptDataError:
            return
        assert content.endswith((b"\n", b"\r"))
        rows = {name: column.tolist() for name, column in found.items()}
        for name, column in value.items():
            part = column[: len(rows[name])].tolist()
            assert str(rows[name]) == str(part) or not part


class TestJson(FileFormatTests):
    format = JsonFormat()
    values = (
        {"b": 1, "a": [1, 2.5, None, True, "ä€😀"]},
        [],
        {},
        "text",
        None,
        True,
        {"deep": [[[{"x": -0.0}]]]},
    )
    unsavable = (
        object(),
        {"a": math.nan},
        {"a": math.inf},
        {1: "a"},
        (1, 2),
        {"a": (1, 2)},
        {"a": np.int64(1)},
        {"a": b"bytes"},
        {"a": "\ud800"},
        12345,
        1.5,
    )


# -- CSV ------------------------------------------------------------------------------------


def read_csv(text: str | bytes) -> dict[str, np.ndarray]:
    content = text.encode() if isinstance(text, str) else text
    return CsvFormat().read(io.BytesIO(content), path="some/file")


def test_a_csv_column_is_read_as_what_all_of_its_values_look_like():
    table = read_csv("i,f,b,s,e\n1,1,True,1x,\n-2,2.50,False,2,\n")
    assert [column.dtype.kind for column in table.values()] == ["i", "f", "b", "U", "f"]
    assert table["f"].tolist() == [1.0, 2.5]
    assert np.isnan(table["e"]).all()


@pytest.mark.parametrize("word", ["007", "1_000", " 1", "1 ", "+1", "0x10", "1.", "nan?", "\u0661"])
def test_what_is_not_plainly_a_number_stays_text_in_csv(word):
    assert read_csv(f'a\n"{word}"\n')["a"].tolist() == [word]


LINES = st.lists(st.sampled_from(["", "True", "False", "1", "-2", "1.5", "nan"]), max_size=3)


@given(st.lists(LINES.map("\n".join), min_size=1).filter(lambda words: "\n" in "".join(words)))
@example(["True\nTrue"])
@example(["1\n", "2"])
@example(["1.5\n2.5"])
def test_a_csv_column_with_a_word_of_several_lines_is_text(words):
    file = io.BytesIO()
    CsvFormat().write(file, {"a": np.array(words)}, path="a.csv")
    assert read_csv(file.getvalue())["a"].tolist() == words


def test_integers_too_large_for_64_bits_stay_text_and_are_not_rounded():
    assert read_csv("a\n18446744073709551616\n")["a"].tolist() == ["18446744073709551616"]
    assert read_csv("a\n-1\n9223372036854775808\n")["a"].tolist() == ["-1", "9223372036854775808"]


def test_a_csv_file_of_windows_with_a_byte_order_mark_reads_the_same():
    table = read_csv(b"\xef\xbb\xbfwell,count\r\nA01,3\r\n")
    assert {name: column.tolist() for name, column in table.items()} == {
        "well": ["A01"],
        "count": [3],
    }


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("a,b\n1,2\n3\n", "line 3 has 1 fields"),
        ("a,b\n1,2,3\n", "line 2 has 3 fields"),
        ("a,a\n1,2\n", "'a' stands twice"),
        ("a,b\n1,2", "last line has no end"),
        ('a\n"open\n', "unexpected end"),
        (b"a\n\xff\n", "utf-8"),
        ("", "no header"),
    ],
)
def test_a_csv_file_that_is_no_table_is_corrupt(text, reason):
    with pytest.raises(CorruptDataError, match=reason):
        read_csv(text)


def test_a_csv_header_alone_is_a_table_without_rows():
    assert {name: len(column) for name, column in read_csv("a,b\n").items()} == {"a": 0, "b": 0}


def test_csv_floats_are_the_shortest_text_that_reads_back():
    file = io.BytesIO()
    CsvFormat().write(file, {"a": np.array([0.1, 1.0, np.nan, 1e22])}, path="a.csv")
    # The row of NaN would be an empty line, which is no row; quotes make it one.
    assert file.getvalue() == b'a\n0.1\n1.0\n""\n1e+22\n'


NAMES = st.text(st.characters(codec="utf-8"), min_size=1, max_size=8).filter(
    lambda name: not name.startswith("\ufeff")
)
WORDS = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=8)


@given(data=st.data(), rows=st.integers(1, 6))
def test_any_csv_table_of_numbers_and_names_reads_back_exactly(data, rows):
    names = data.draw(st.lists(NAMES, min_size=1, max_size=4, unique=True))
    table: dict[str, np.ndarray] = {}
    for name in names:
        words = st.lists(WORDS.map(lambda word: f"w{word}"), min_size=rows, max_size=rows)
        numbers = st.sampled_from([np.int64, np.float64, np.bool_])
        columns = numbers.flatmap(lambda kind: hnp.arrays(kind, rows)) | words.map(np.array)
        table[name] = data.draw(columns)
    file = io.BytesIO()
    CsvFormat().write(file, table, path="a.csv")
    found = read_csv(file.getvalue())
    assert list(found) == names
    for name, column in table.items():
        assert found[name].dtype.kind == column.dtype.kind
        np.testing.assert_array_equal(found[name], column)


# -- JSON -----------------------------------------------------------------------------------

DOCUMENTS = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(codec="utf-8"), max_size=5),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.text(st.characters(codec="utf-8"), max_size=5), inner, max_size=4)
    ),
    max_leaves=12,
)


@given(
    document=st.lists(DOCUMENTS, max_size=4) | st.dictionaries(st.sampled_from("abc"), DOCUMENTS)
)
def test_any_json_document_reads_back_exactly(document):
    file = io.BytesIO()
    JsonFormat().write(file, document, path="a.json")
    assert same(JsonFormat().read(io.BytesIO(file.getvalue()), path="a.json"), document)
    assert json.loads(file.getvalue()) == document  # and it is JSON for others


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ('{"a": NaN}', "NaN"),
        ("[Infinity]", "Infinity"),
        ('{"a": 1, "a": 2}', "stands twice"),
        ("[" * 200_000, "recursion"),
        ("1" * 5000, "digits"),
        ('{"a": 1} x', "Extra data"),
    ],
)
def test_json_that_python_would_read_and_json_does_not_allow_is_corrupt(text, reason):
    with pytest.raises(CorruptDataError, match=reason):
        JsonFormat().read(io.BytesIO(text.encode()), path="a.json")


# -- NPY ------------------------------------------------------------------------------------


@given(
    array=hnp.arrays(
        st.one_of(
            hnp.boolean_dtypes(),
            hnp.integer_dtypes(),
            hnp.unsigned_integer_dtypes(),
            hnp.floating_dtypes(sizes=(16, 32, 64)),
            hnp.complex_number_dtypes(sizes=(64, 128)),
        ),
        hnp.array_shapes(min_dims=0, min_side=0, max_side=4),
    ),
    fortran=st.booleans(),
)
def test_any_plain_array_reads_back_from_npy_bit_by_bit(array, fortran):
    value = np.asfortranarray(array) if fortran and array.ndim else array
    file = io.BytesIO()
    NpyFormat().write(file, value, path="a.npy")
    found = NpyFormat().read(io.BytesIO(file.getvalue()), path="a.npy")
    assert same(found, value)
    np.testing.assert_array_equal(np.load(io.BytesIO(file.getvalue())), found)  # NumPy agrees
    assert not found.size or found.__array_interface__["data"][0] % 64 == 0


def test_an_npy_file_of_pickled_objects_is_never_unpickled():
    file = io.BytesIO()
    np.save(file, np.array([{"a": 1}]), allow_pickle=True)
    with pytest.raises(CorruptDataError):
        NpyFormat().read(io.BytesIO(file.getvalue()), path="a.npy")


@pytest.mark.parametrize(
    "shape", ["(9,)", "(99999999999999999999,)", "(-1,)", "'x'", "(2, ", "(1.5,)"]
)
def test_an_npy_header_that_declares_other_values_than_there_are_is_corrupt(shape):
    header = f"{{'descr': '<u2', 'fortran_order': False, 'shape': {shape}, }}".ljust(117) + "\n"
    content = b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header.encode() + b"\1" * 16
    with pytest.raises(CorruptDataError):
        NpyFormat().read(io.BytesIO(content), path="a.npy")


def test_an_npy_file_with_bytes_after_its_values_is_corrupt():
    file = io.BytesIO()
    NpyFormat().write(file, NOISE, path="a.npy")
    with pytest.raises(CorruptDataError, match="1537 stored"):
        NpyFormat().read(io.BytesIO(file.getvalue() + b"x"), path="a.npy")


# -- TIFF -----------------------------------------------------------------------------------


def write_tiff(value: np.ndarray, **how: Any) -> bytes:
    file = io.BytesIO()
    if how:
        tifffile.imwrite(file, value, **how)
    else:
        TiffFormat().write(file, value, path="a.tif")
    return file.getvalue()


def read_tiff(content: bytes) -> np.ndarray:
    return TiffFormat().read(io.BytesIO(content), path="a.tif")


def read_plane(content: bytes, page: int = 0) -> np.ndarray:
    return TiffFormat().read_plane(io.BytesIO(content), page=page, path="a.tif")


@pytest.mark.parametrize("dtype", PIXELS)
@pytest.mark.parametrize(
    "shape",
    [
        (3, 4),
        (1, 1),
        (1, 4),
        (3, 1),
        (1, 3, 4),
        (2, 3, 4),
        (3, 3, 4),
        (4, 3, 4),
        (3, 4, 3),
        (1, 1, 3, 4),
        (2, 3, 3, 4),
        (5, 1, 1),
        (3, 1, 1),
    ],
)
def test_a_tiff_keeps_every_shape_and_dtype(shape, dtype):
    value = NOISE.flat[: math.prod(shape)].reshape(shape).astype(dtype)
    content = write_tiff(value)
    assert same(read_tiff(content), value)
    assert same(read_plane(content), value.reshape(-1, *shape[-2:])[0])
    pages = tifffile.TiffFile(io.BytesIO(content)).pages
    assert len(pages) == math.prod(shape[:-2])  # one page per plane: never red, green, blue
    assert {page.photometric.name for page in pages} == {"MINISBLACK"}
    np.testing.assert_array_equal(tifffile.imread(io.BytesIO(content)).squeeze(), value.squeeze())


@given(
    value=hnp.arrays(
        st.sampled_from(PIXELS), hnp.array_shapes(min_dims=2, max_dims=4, min_side=1, max_side=5)
    )
)
def test_any_stack_reads_back_from_tiff_bit_by_bit(value):
    content = write_tiff(value)
    assert same(read_tiff(content), value)
    planes = value.reshape(-1, *value.shape[-2:])
    for page, plane in enumerate(planes):
        assert same(read_plane(content, page), plane)


def test_a_big_endian_array_is_written_with_its_values():
    value = NOISE.astype(">u2")
    found = read_tiff(write_tiff(value))
    assert found.dtype == np.uint16
    np.testing.assert_array_equal(found, value)


FOREIGN: dict[str, dict[str, Any]] = {
    "big-endian": {"byteorder": ">"},
    "BigTIFF": {"bigtiff": True},
    "big-endian BigTIFF": {"byteorder": ">", "bigtiff": True},
    "strips": {"rowsperstrip": 5},
    "one strip": {"rowsperstrip": 64},
    "tiles": {"tile": (16, 16)},
    "zlib": {"compression": "zlib"},
    "zlib predicted": {"compression": "zlib", "predictor": 2},
    "lzw": {"compression": "lzw"},
    "zstd strips": {"compression": "zstd", "rowsperstrip": 5},
    "packbits": {"compression": "packbits"},
    "inverted": {"photometric": "miniswhite"},
    "ImageJ": {"imagej": True},
    "OME": {"ome": True},
    "no description": {"metadata": None},
}


@pytest.mark.parametrize("kind", FOREIGN)
@pytest.mark.parametrize("pages", [1, 3])
def test_tiff_files_of_many_kinds_read_as_tifffile_reads_them(kind, pages):
    pytest.importorskip("imagecodecs")
    value = NOISE[0] if pages == 1 else NOISE[:3]
    content = write_tiff(value, **{"photometric": "minisblack", **FOREIGN[kind]})
    assert same(read_tiff(content), value)
    for page, plane in enumerate(value.reshape(-1, *value.shape[-2:])):
        assert same(read_plane(content, page), plane)


@pytest.mark.parametrize("kind", ["big-endian", "strips", "one strip", "inverted", "OME", "ImageJ"])
def test_plain_planes_are_read_into_an_aligned_buffer(kind):
    content = write_tiff(NOISE[:3], **{"photometric": "minisblack", **FOREIGN[kind]})
    plane = read_plane(content, 1)
    assert same(plane, NOISE[1])
    assert plane.__array_interface__["data"][0] % 64 == 0


@pytest.mark.parametrize("kind", FOREIGN)
def test_a_foreign_tiff_cut_anywhere_is_corrupt_or_whole(kind):
    pytest.importorskip("imagecodecs")
    value = NOISE[:2]
    content = write_tiff(value, **{"photometric": "minisblack", **FOREIGN[kind]})
    for length in range(0, len(content), 7):
        cut = content[:length]
        with contextlib.suppress(CorruptDataError):
            assert same(read_tiff(cut), value), length
        try:
            assert same(read_plane(cut), value[0]), length
        except CorruptDataError:
            continue


@pytest.mark.parametrize("kind", FOREIGN)
def test_a_damaged_tiff_raises_nothing_but_corrupt(kind):
    pytest.importorskip("imagecodecs")
    content = write_tiff(NOISE[:2], **{"photometric": "minisblack", **FOREIGN[kind]})
    rng = np.random.default_rng(3)
    found: list[tuple[int, ...]] = []
    for _ in range(40):
        damaged = bytearray(content)
        for at in rng.integers(0, min(len(content), 400), 3):
            damaged[at] = rng.integers(256)
        for read in (read_tiff, read_plane):
            with contextlib.suppress(CorruptDataError):
                found.append(read(bytes(damaged)).shape)
    assert all(map(math.prod, found)), "no pixels are no image"
    # Not every byte matters: a reader that refused all files would be of no use.
    assert NOISE[:2].shape in found
    assert NOISE[0].shape in found


@pytest.mark.parametrize("compression", ["zlib", "lzw", "zstd", "packbits", "lzma", "jpeg"])
def test_compressed_pixels_that_end_early_are_corrupt_and_not_filled_in(compression):
    pytest.importorskip("imagecodecs")
    value = NOISE[0] if compression != "jpeg" else NOISE[0].astype(np.uint8)
    content = write_tiff(value, compression=compression, metadata=None)
    whole = read_plane(content)  # JPEG is lossy
    page = tifffile.TiffFile(io.BytesIO(content)).pages[0]
    tag, size = page.tags[279], page.databytecounts[0]
    for kept in (0, 1, 2, size // 2, size - 60, size - 20, size - 3):
        shorter = bytearray(content)
        struct.pack_into({3: "<H", 4: "<I"}[tag.dtype], shorter, tag.valueoffset, kept)
        try:
            assert same(read_plane(bytes(shorter)), whole), kept  # only a footer is missing
        except CorruptDataError:
            assert kept < size


def test_a_stack_whose_last_pages_are_gone_is_corrupt_and_not_shorter():
    file = io.BytesIO()
    with tifffile.TiffWriter(file) as writer:  # page after page, as instruments write
        for plane in NOISE:
            writer.write(plane, contiguous=False, metadata=None)
    content = file.getvalue()
    offsets = [page.offset for page in tifffile.TiffFile(io.BytesIO(content)).pages]
    assert same(read_tiff(content), NOISE)
    for cut in (offsets[2], offsets[2] + 5, offsets[3] - 1, offsets[3] + 100):
        with pytest.raises(CorruptDataError):
            read_tiff(content[:cut])


def test_pages_that_lead_in_a_circle_are_corrupt():
    content = bytearray(write_tiff(NOISE[0], metadata=None))
    (first,) = struct.unpack_from("<I", content, 4)
    (tags,) = struct.unpack_from("<H", content, first)
    struct.pack_into("<I", content, first + 2 + 12 * tags, first)
    with pytest.raises(CorruptDataError):
        read_tiff(bytes(content))


def test_pages_of_different_shapes_are_read_one_by_one_only():
    file = io.BytesIO()
    with tifffile.TiffWriter(file) as writer:
        writer.write(NOISE[0], metadata=None)
        writer.write(NOISE[0, ::2, ::2], metadata=None)  # a thumbnail
    with pytest.raises(CorruptDataError, match="differ in shape"):
        read_tiff(file.getvalue())
    assert read_plane(file.getvalue(), 1).shape == (6, 8)


def test_a_page_that_is_not_there_is_corrupt():
    with pytest.raises(CorruptDataError):
        read_plane(write_tiff(NOISE), 4)


def test_colour_is_no_plane():
    content = write_tiff(np.zeros((4, 5, 3), np.uint8), photometric="rgb")
    with pytest.raises(CorruptDataError, match=r"a plane is \(y, x\)"):
        read_plane(content)


def test_an_ome_tiff_never_opens_the_other_files_that_it_names(tmp_path):
    for name in ("a", "b"):
        tifffile.imwrite(tmp_path / f"{name}.ome.tif", NOISE[:2], photometric="minisblack")
    description = (tmp_path / "a.ome.tif").read_bytes()
    assert b"OME" in description
    (tmp_path / "b.ome.tif").unlink()
    assert same(DiskBackend(tmp_path).load("a.ome.tif"), NOISE[:2])


def test_an_imagej_stack_of_one_page_is_read_whole(tmp_path):
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, NOISE, imagej=True)
    assert same(DiskBackend(tmp_path).load("a.tif"), NOISE)


# -- which format ---------------------------------------------------------------------------


class _OmeFormat(TiffFormat):
    name = "ome"
    extensions = (".ome.tif",)


@pytest.fixture
def ome_format():
    with FORMATS.overrides(test_ome=_OmeFormat):
        yield


@pytest.mark.usefixtures("ome_format")
def test_the_longest_extension_wins():
    assert type(format_for("plate/a.b.OME.tif")) is _OmeFormat
    assert type(format_for("a.tif")) is TiffFormat
    assert type(format_for("a.ome.b.TIFF")) is TiffFormat


@pytest.mark.usefixtures("ome_format")
def test_two_formats_of_one_extension_are_a_conflict_that_names_both():
    with FORMATS.overrides(test_other=type("Other", (_OmeFormat,), {})):
        with pytest.raises(PluginConflictError, match=r"_OmeFormat.*Other"):
            format_for("a.ome.tif")
        assert type(format_for("a.tif")) is TiffFormat


def test_a_format_is_found_by_its_extension_without_importing_the_others():
    script = """
import sys
from hcs_core.storage import format_for
print(format_for("plate/a.npy").name, "hcs_core.storage.formats.tiff" in sys.modules)
"""
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == ["npy", "False"]


def test_the_extensions_that_are_declared_are_those_of_the_formats():
    for key in ("csv", "json", "npy", "tiff"):
        assert sorted(FORMATS[key].extensions) == list(EXTENSIONS.of(key))


def test_a_format_that_declares_no_extension_is_asked_for_them():
    source = """
from hcs_core.storage import FileFormat
class Toy(FileFormat):
    name = "toy"
    extensions = (".toy", ".csv.toy")
    def read(self, file, *, path): return b""
    def write(self, file, value, *, path): ...
"""
    entry_points = {"hcs.formats.v1": {"toy": "acme_toy:Toy"}}
    with fake_distribution("acme", entry_points, {"acme_toy.py": source}):
        assert format_for("a.csv.toy").name == "toy"
        assert format_for("a.csv").name == "csv"


LIF = """
from hcs_core.storage import FileFormat
class Lif(FileFormat):
    name = "lif"
    extensions = (".lif", ".tif")
    def read(self, file, *, path): return b""
    def write(self, file, value, *, path): ...
"""


def test_an_undeclared_extension_does_not_take_a_declared_one_away():
    with fake_distribution(
        "acme", {"hcs.formats.v1": {"lif": "acme_lif:Lif"}}, {"acme_lif.py": LIF}
    ):
        with pytest.warns(PluginWarning, match=r"'lif' of acme 1\.0 reads \.tif too"):
            assert format_for("a.tif").name == "tiff"
        with pytest.warns(PluginWarning, match="hcs.formats.extensions.v1"):
            assert format_for("a.lif").name == "lif"


@pytest.mark.parametrize(("choice", "name"), [("hcs-core", "tiff"), ("acme", "lif")])
def test_of_two_that_declare_an_extension_the_preferred_is_used(choice, name, monkeypatch):
    points = {
        "hcs.formats.v1": {"lif": "acme_lif:Lif"},
        "hcs.formats.extensions.v1": {".lif": "acme_lif:Lif", ".tif": "acme_lif:Lif"},
    }
    with fake_distribution("acme", points, {"acme_lif.py": LIF}):
        with pytest.raises(PluginConflictError, match=r"PREFER=formats\.extensions:\.tif="):
            format_for("a.tif")
        monkeypatch.setenv("HCS_PLUGINS_PREFER", f"formats.extensions:.tif={choice}")
        FORMATS.refresh()
        assert format_for("a.tif").name == name


@pytest.mark.parametrize("name", ["a", "tif", "a.tif/b", "a.tifx", ".", ""])
def test_a_name_without_a_known_extension_has_no_format(name):
    with pytest.raises(UnknownFormatError):
        format_for(name)


def test_a_broken_format_breaks_only_itself():
    class Broken(FileFormat):
        name = "broken"
        extensions = (".broken",)

    with FORMATS.overrides(test_broken=Broken):  # type: ignore[type-abstract]  # so it breaks
        assert type(format_for("a.json")) is JsonFormat
        with pytest.raises(TypeError, match="abstract"):
            format_for("a.broken")


def test_alphabet_of_extensions_is_plain():
    for key in ("tiff", "npy", "csv", "json"):
        for extension in FORMATS[key].extensions:
            assert set(extension) <= set(string.ascii_lowercase + ".")


def test_an_unsavable_value_leaves_no_file(tmp_path):
    backend = DiskBackend(tmp_path)
    with pytest.raises(UnsavableValueError):
        backend.save("a.json", {"a": math.nan})
    assert list(tmp_path.iterdir()) == []


def test_a_tag_of_an_unusual_type_is_not_taken_for_its_default():
    content = bytearray(write_tiff(NOISE[0], metadata=None))
    page = tifffile.TiffFile(io.BytesIO(bytes(content))).pages[0]
    entry = page.tags[259]  # compression: as a BYTE of 8, deflate
    struct.pack_into("<HIB", content, entry.offset + 2, 1, 1, 8)
    with pytest.raises(CorruptDataError):
        read_plane(bytes(content))


def test_a_damaged_size_costs_no_time_and_no_memory():
    content = bytearray(write_tiff(NOISE[0], rowsperstrip=5))
    page = tifffile.TiffFile(io.BytesIO(bytes(content))).pages[0]
    struct.pack_into("<HII", content, page.tags[257].offset + 2, 4, 1, 2**32 - 1)  # rows
    for read in (read_plane, read_tiff):
        with pytest.raises(CorruptDataError):
            read(bytes(content))
    content = bytearray(write_tiff(NOISE[0], rowsperstrip=5))
    struct.pack_into("<HI", content, page.tags[273].offset + 2, 4, 2**32 - 1)  # strips
    for read in (read_plane, read_tiff):
        with pytest.raises(CorruptDataError):
            read(bytes(content))
