"""What of the study has been run."""

from __future__ import annotations

from plan import HERE, SEARCHED, STUDIED, lacking, runs_of

from sections.study import Section, Study
from sections.wording import table


def progress(study: Study) -> Section:
    """How many of the planned runs the tables have, and which sweeps lack some."""
    left, planned, rows = 0, 0, []
    for file in sorted([*STUDIED, *SEARCHED]):
        runs = runs_of([file])
        missing = lacking(runs, study.runs, study.search, study.diagnostics)
        left, planned = left + len(missing), planned + len(runs)
        if missing:
            rows.append({
                "sweep": str(file.relative_to(HERE)), "planned": str(len(runs)),
                "not run yet": str(len(missing)),
            })  # fmt: skip
    if not left:
        return Section(f"All {planned} planned runs are in the tables.")
    return Section.of(f"{planned - left} of {planned} planned runs are in the tables.", table(rows))
