"""Tables and figures of docs/results.md, from the tables that ``summarise.py`` wrote.

python benchmarks/study/report.py

Every block of the page between ``<!-- NAME -->`` and ``<!-- end -->`` is made anew, by the function
of ``sections/`` that BLOCKS names.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable
from pathlib import Path

from sections import costs, curves, diagnostics, main_table, networks, progress, search, variants
from sections.study import Section, Study

HERE = Path(__file__).parent
DOCS = HERE.parents[1] / "docs"
BLOCKS: dict[str, Callable[[Study], Section]] = {
    "progress": progress.progress,
    "main": main_table.main_table,
    "of_dense": main_table.of_dense,
    "differences": main_table.differences,
    "costs": costs.costs,
    "windows": curves.windows,
    "speed": curves.speed,
    "curves": curves.curves,
    "critical": variants.critical,
    "parts": variants.parts,
    "operators": variants.operators,
    "overestimation": diagnostics.overestimation,
    "dual_buffers": diagnostics.dual_buffers,
    "tickets": networks.tickets,
    "agents": networks.agents,
    "interval": variants.interval,
    "others": variants.others,
    "search": search.operator,
    "first_alpha": main_table.first_alpha,
    "learning_rate": search.learning_rate,
}
_BLOCK = re.compile(r"(<!-- (?P<name>[a-z_]+) -->\n).*?(<!-- end -->)", re.DOTALL)


def main() -> None:
    """Make every block and figure."""
    study = Study.read(HERE)
    sections = {name: make(study) for name, make in BLOCKS.items()}
    page = DOCS / "results.md"
    text = filled(page.read_text(encoding="utf-8"), sections)
    for section in sections.values():
        for name, figure in section.figures.items():
            file = DOCS / "figures" / f"{name}.png"
            figure.savefig(file, dpi=130, metadata={"Source": digest(HERE)})
    temporary = page.with_suffix(".tmp")
    temporary.write_text(text, encoding="utf-8")
    temporary.replace(page)


def digest(tables: Path) -> str:
    """Of all tables: each figure says which it was made from."""
    contents = b"".join(file.read_bytes() for file in sorted(tables.glob("*.csv")))
    return hashlib.sha256(contents).hexdigest()[:16]


def filled(page: str, sections: dict[str, Section]) -> str:
    """The page with every section in its block.

    Raises:
        ValueError: naming a section that has no block, or a block that has no section.
    """
    blocks = {found["name"] for found in _BLOCK.finditer(page)}
    if missing := sections.keys() - blocks:
        raise ValueError(f"the page has no block <!-- {min(missing)} -->")
    if unknown := blocks - sections.keys():
        raise ValueError(f"no section for the block <!-- {min(unknown)} -->: {', '.join(sections)}")
    return _BLOCK.sub(lambda f: f"{f[1]}\n{sections[f['name']].text}\n\n{f[3]}", page)


if __name__ == "__main__":
    main()
