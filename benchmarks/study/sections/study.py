"""What the sections are made from, what they make, and how a score is read."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd
from matplotlib.figure import Figure
from plan import read_table

VARIANT = ["method", "sparsity"]
RUN = ["task", *VARIANT, "seed"]  # of one algorithm and width
AT = 0.95  # sparsity at which parts, operators, tickets and Δ_m are compared
ORDER = ["stock", "dense", "mast", "rigl", "rlx2", "set", "ss", "tiny"]
# Return of uniformly random actions (random_returns.py): shares of dense are counted from there.
RANDOM = {
    "Foraging-5x5-2p-1f-v3": 0.342,
    "Foraging-6x6-2p-2f-v3": 0.203,
    "SimpleSpread-3-v0": -704.6,
    "SimpleSpeakerListener-v0": -158.3,
}
NOT_YET = "Not run yet."
# α of Soft Mellowmax by default until search/sharpness.yaml, as names of methods end with it.
FIRST_ALPHA = " mast.alpha=1.0"
FIRST_MAST = f"mast{FIRST_ALPHA}"
DENSE_MAST = "mast no_sparsity"
_FIRST = {"results/tickets.yaml": "python benchmarks/study/tickets.py && "}  # makes the file


@dataclass(frozen=True)
class Study:
    """The tables that ``summarise.py`` writes.

    Attributes:
        runs: ``summary.csv`` with ``gain`` and ``of_dense`` (``with_shares``), and with ``cpu``,
            ``cores`` and ``at_once`` of ``machines.csv``.
        curves: ``curves.csv``.
        densities: ``densities.csv``.
        diagnostics: ``diagnostics.csv``.
        search: ``search.csv``.
    """

    runs: pd.DataFrame
    curves: pd.DataFrame
    densities: pd.DataFrame
    diagnostics: pd.DataFrame
    search: pd.DataFrame

    @classmethod
    def read(cls, folder: Path) -> Study:
        """Read them from a folder."""
        names = ("summary", "machines", "curves", "densities", "diagnostics", "search")
        runs, machines, *others = (read_table(folder / f"{name}.csv") for name in names)
        return cls(with_shares(runs.merge(machines, how="left")), *others)

    def curves_of(self, runs: pd.DataFrame) -> pd.DataFrame:
        """The evaluations of some runs of QMIX with 64 units, in the order of their steps."""
        return qmix(self.curves).merge(runs[RUN], on=RUN).sort_values("step")


@dataclass(frozen=True)
class Section:
    """A block of the page.

    Attributes:
        text: Markdown, with the links to its figures.
        figures: ``{name: figure}``, to be written as ``docs/figures/NAME.png``.
    """

    text: str
    figures: dict[str, Figure] = field(default_factory=dict)

    @classmethod
    def of(cls, *parts: str, **figures: tuple[str, Figure]) -> Section:
        """Paragraphs, after the figures, ``NAME=(title, figure)``."""
        links = [f"![{title}](figures/{name}.png)" for name, (title, _) in figures.items()]
        drawn = {name: figure for name, (_, figure) in figures.items()}
        return cls("\n\n".join([*links, *(part.strip("\n") for part in parts)]), drawn)


def with_shares(runs: pd.DataFrame) -> pd.DataFrame:
    """Runs with what each has learned, and that as a share of the dense mean.

    ``gain`` is the score less the return of random actions, ``of_dense`` the gain over the mean
    gain of the dense runs of its task, algorithm and width.

    Raises:
        KeyError: for a task whose random return nobody has measured.
    """
    group = ["task", "algorithm", "hidden"]
    gain = gained(runs, "final")
    dense = gain[runs.method == "dense"].groupby([runs[key] for key in group]).mean()
    keys = pd.MultiIndex.from_frame(runs[group])
    return runs.assign(gain=gain, of_dense=gain / dense.reindex(keys).to_numpy())


def gained(table: pd.DataFrame, column: str) -> pd.Series:
    """Returns of a column less those of random actions on the row's task.

    Raises:
        KeyError: for a task whose random return nobody has measured.
    """
    if unknown := set(table.task) - RANDOM.keys():
        raise KeyError(f"RANDOM has no {sorted(unknown)[0]}: see random_returns.py")
    return table[column] - table.task.map(RANDOM)


def qmix(table: pd.DataFrame) -> pd.DataFrame:
    """Rows of QMIX with 64 units."""
    return table[(table.algorithm == "qmix") & (table.hidden == 64)]


def plain(runs: pd.DataFrame) -> pd.DataFrame:
    """QMIX, 64 units, the methods and sparsities of the main table."""
    own = qmix(runs)
    return own[own.method.isin([*ORDER, DENSE_MAST]) & own.sparsity.isin([0.0, 0.9, 0.95])]


def first_mast(runs: pd.DataFrame) -> pd.DataFrame:
    """MAST with the α that was its default before the second search, at the same sparsities."""
    own = qmix(runs)
    return own[(own.method == FIRST_MAST) & own.sparsity.isin([0.9, 0.95])]


def cells(own: pd.DataFrame) -> Iterator[tuple[str, float, pd.DataFrame]]:
    """Method, sparsity and runs of each cell, in the order of the tables."""
    found = [(str(m), float(s), cell) for (m, s), cell in own.groupby(VARIANT)]
    yield from sorted(found, key=lambda cell: (cell[1], *_place(cell[0])))


def _place(method: str) -> tuple[int, str]:
    """In the order of the tables; a variant comes after what it is one of."""
    return ORDER.index(method.split()[0]), method


def of_same_seeds(own: pd.DataFrame, among: pd.DataFrame) -> pd.DataFrame:
    """Rows whose task and seed ``among`` has too."""
    return own.merge(among[["task", "seed"]].drop_duplicates(), on=["task", "seed"])


def on_every_task(cell: pd.DataFrame, tasks: Collection[str]) -> pd.DataFrame:
    """Rows of the seeds that have run on all of some tasks, so that these count alike."""
    runs = cell.groupby("seed").task.agg(set)
    return cell[cell.seed.isin(runs[runs.map(set(tasks).issubset)].index)]


def caption(runs: pd.DataFrame, *sweeps: str) -> str:
    """Where a figure or table is from, in a line.

    Args:
        runs: those in it, a row for each, with their ``commit``.
        sweeps: files of this folder that ran them.
    """
    commits = ", ".join(sorted({f"`{commit}`" for commit in runs.commit}))
    files = " && ".join(f"{_FIRST.get(s, '')}mast sweep benchmarks/study/{s}" for s in sweeps)
    count = f"{len(runs)} runs" if len(runs) != 1 else "1 run"
    return f"*{count}, code of commit {commits}: `{files}`, then `make study-report`.*"
