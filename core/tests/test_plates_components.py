"""Names of wells."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hcs_core.plates import column_of_well, normal_well, row_of_well, well_name


@pytest.mark.parametrize(
    ("row", "column", "name"),
    [(0, 0, "A01"), (7, 11, "H12"), (25, 8, "Z09"), (26, 0, "AA01"), (31, 47, "AF48")],
)
def test_rows_go_on_with_two_letters_after_z(row: int, column: int, name: str):
    assert well_name(row, column) == name


@given(st.integers(0, 31), st.integers(0, 47))
def test_a_well_s_name_gives_back_its_row_and_column(row: int, column: int):
    name = well_name(row, column)
    assert (row_of_well(name), column_of_well(name)) == (row, column)


@pytest.mark.parametrize("spelled", ["b2", "B2", "B02", "B002"])
def test_a_well_has_one_spelling(spelled: str):
    assert normal_well(spelled) == "B02"


@pytest.mark.parametrize("word", ["", "B", "02", "B00", "B100", "2B", "ABC01", "B 2"])
def test_a_word_that_names_no_well_is_refused(word: str):
    with pytest.raises(ValueError, match="names no well"):
        row_of_well(word)
