"""Sections of docs/results.md, read back: rows of tables, and lines of figures."""

from __future__ import annotations

from matplotlib import colors


def rows_of(section):
    """``[{column: text}]`` of a section's table."""
    return rows_in(section.text)


def rows_in(text):
    """The same of a table in some text."""
    lines = [line for line in text.splitlines() if line.startswith("|")]
    header, _, *rows = ([c.strip() for c in line.strip("|").split(" | ")] for line in lines)
    return [dict(zip(header, row, strict=True)) for row in rows]


def cells_of(section):
    """``{(method, sparsity): row}``."""
    return {(row["method"], row["sparsity"]): row for row in rows_of(section)}


def lines_of(axis):
    """``{label: (colour, last value)}`` of the mean curves of a panel."""
    return {
        line.get_label(): (colors.to_hex(line.get_color()).upper(), line.get_ydata()[-1])
        for line in means_of(axis)
    }


def means_of(axis):
    """The lines of a panel but for those of single runs, which are thin."""
    return [line for line in axis.get_lines() if line.get_linewidth() > 0.5]
