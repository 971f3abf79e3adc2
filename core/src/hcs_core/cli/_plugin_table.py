"""Tables of names, for people and for pipes."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterable, Iterator, Sequence
from textwrap import TextWrapper

import click

_COLOURS = {
    **dict.fromkeys(("loaded", "ok"), "green"),
    **dict.fromkeys(("broken", "conflict", "error"), "red"),
    **dict.fromkeys(("incompatible", "warning"), "yellow"),
    **dict.fromkeys(("disabled", "shadowed"), "bright_black"),
}
_GAP = 2
# A reason in fewer columns than these is a tower of single words.
_LEAST_TEXT = 24


def print_table(
    titles: Sequence[str],
    rows: Sequence[Sequence[str]],
    *,
    text: str = "",
    spare: Sequence[str] = (),
) -> None:
    """Print a table; no word in it is cut.

    Into a pipe, which has no width, each row is a line. Where a terminal is too narrow for
    that, the column with texts is folded between words, then columns are left out, and at
    last the cells of a row stand below each other.

    Parameters
    ----------
    titles : sequence of str
        The heads of the columns.
    rows : sequence of sequence of str
        A cell for each column.
    text : str
        The title of the column with texts; what the others have is never folded.
    spare : sequence of str
        The titles of columns that can be left out, the first one first.
    """
    columns = {title: [row[number] for row in rows] for number, title in enumerate(titles)}
    width = _width()
    for title in spare:
        if _least_width(columns, text) > width:
            del columns[title]
    if _least_width(columns, text) <= width:
        click.echo("\n".join(_table(columns, text, width)))
    else:
        click.echo("\n".join(_stacked(columns, width)))


def print_pairs(rows: Sequence[tuple[str, str]]) -> None:
    """Print what is known by name; what is too long for a line goes on below, between words."""
    width = _width()
    indent = max(len(name) for name, _ in rows) + _GAP
    lines = []
    for name, value in rows:
        first, *others = _folded(value, width - indent)
        colour = _colour(value) if name == "state" else None
        lines.append(_styled(name.ljust(indent), bold=True) + _styled(first, fg=colour))
        lines += [" " * indent + _styled(line, fg=colour) for line in others]
    click.echo("\n".join(line.rstrip() for line in lines))


def _width() -> int:
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else sys.maxsize


def _least_width(columns: dict[str, list[str]], text: str) -> int:
    """Return how many columns a terminal must have for a table."""
    widths = _widths(columns)
    if text in widths:
        words = (len(word) for cell in columns[text] for word in cell.split())
        longest = max(words, default=0)
        widths[text] = min(widths[text], max(longest, _LEAST_TEXT))
    return _total(widths)


def _widths(columns: dict[str, list[str]]) -> dict[str, int]:
    return {title: max(map(len, (title, *cells))) for title, cells in columns.items()}


def _total(widths: dict[str, int]) -> int:
    return sum(widths.values()) + _GAP * (len(widths) - 1)


def _table(columns: dict[str, list[str]], text: str, width: int) -> Iterator[str]:
    widths = _widths(columns)
    if text in widths:
        widths[text] -= max(0, _total(widths) - width)
    yield _line([_styled(title.ljust(widths[title]), bold=True) for title in columns])
    for row in zip(*columns.values(), strict=True):
        folded = [
            _folded(cell, widths[title]) if title == text else [cell]
            for title, cell in zip(columns, row, strict=True)
        ]
        for number in range(max(map(len, folded))):
            cells = [cell[number] if number < len(cell) else "" for cell in folded]
            yield _line(
                _styled(cell.ljust(widths[title]), fg=_colour(whole))
                for title, cell, whole in zip(columns, cells, row, strict=True)
            )


def _line(cells: Iterable[str]) -> str:
    return (" " * _GAP).join(cells).rstrip()


def _stacked(columns: dict[str, list[str]], width: int) -> Iterator[str]:
    """Yield the first two cells of a row as its head, and the others below it."""
    for kind, key, *others in zip(*columns.values(), strict=True):
        yield _styled(f"{kind}:{key}", bold=True)
        for line in _folded("  ".join(filter(None, others)), width - _GAP):
            yield " " * _GAP + line


def _folded(text: str, width: int) -> list[str]:
    """Return a text in lines of a width; a longer word is a line of its own."""
    wrapper = TextWrapper(max(width, 1), break_long_words=False, break_on_hyphens=False)
    return wrapper.wrap(text) or [""]


def _colour(text: str) -> str | None:
    return _COLOURS.get(text.partition(":")[0])


def _styled(text: str, *, fg: str | None = None, bold: bool | None = None) -> str:
    """Return a text with its style, which the blanks behind it have not."""
    words = text.rstrip()
    if os.environ.get("NO_COLOR") or not (words and (fg or bold)):
        return text
    return click.style(words, fg=fg, bold=bold) + text[len(words) :]
