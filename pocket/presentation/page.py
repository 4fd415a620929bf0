"""``runs/NAME/index.html``: what a run found, on one page that opens offline and without scripts."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jinja2 import Environment, PackageLoader, StrictUndefined

from pocket.data import CondensedSet
from pocket.presentation.figures import NAMES, cell_name, figure_map, image_grid
from pocket.presentation.html import as_html
from pocket.presentation.i18n import translator
from pocket.runs import Run, write_text
from pocket.runs.records import (
    AblationRow,
    Cell,
    CondensationRecord,
    Summary,
    TrainingRecord,
    select,
    strongest,
    summarise,
)

_LINKS = (
    ("brief.en.html", "Executive brief (English)"),
    ("brief.ja.html", "経営層向け要約（日本語）"),
    ("brief.en.pdf", "Executive brief, printed (English)"),
    ("brief.ja.pdf", "経営層向け要約、印刷用（日本語）"),
    ("roi.en.xlsx", "Return on investment as a workbook with live formulae (English)"),
    ("roi.ja.xlsx", "投資対効果の計算書（日本語、数式入りのExcel）"),
    ("roi.csv", "Cash flow, for a spreadsheet"),
    ("training.json", "Full data and random subsets"),
    ("condensation.json", "Condensed sets and the ablation"),
    ("retrieval.json", "Retrieval"),
    ("diagnostics.json", "Diagnostics: bits, neighbours, shift, rare classes, anomalies, leakage, drift"),
    ("roi.json", "ROI"),
    ("audit.jsonl", "Audit log"),
)


def write_page(run: Run, timings: Sequence[tuple[str, str, float]]) -> Path:
    """Write the run's page from its records.

    Parameters
    ----------
    run : Run
        With ``training.json`` and ``condensation.json``.
    timings : sequence of (number, title, seconds)
        The notebooks that ran.

    Returns
    -------
    Path
    """
    cells = measured_cells(run)
    condensed = CondensedSet.load(run.path("condensed.safetensors"))
    first = cells[0]
    shown = condensed.images[np.unique(condensed.labels, return_index=True)[1]]
    environment = Environment(
        loader=PackageLoader("pocket.presentation"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
    )
    html = environment.get_template("page.html.j2").render(
        run=run,
        first=first,
        rows=result_rows(cells),
        claims=claims(cells),
        ablation=ablation_rows(CondensationRecord.load(run.path("condensation.json")).ablation),
        chart=as_html(figure_map(cells), _chart_text(cells)),
        images=as_html(
            image_grid(shown, condensed.card.class_names),
            f"One condensed image of each class, each holding up to {condensed.card.formation**2} tiles",
        ),
        card=condensed.card,
        timings=timings,
        total=sum(seconds for *_, seconds in timings),
        notebooks={path.name[:2]: path.name for path in run.path("notebooks").glob("*.html")},
        links=[(name, text) for name, text in _LINKS if run.path(name).is_file()],
    )
    return write_text(run.path("index.html"), html)


def measured_cells(run: Run) -> list[Cell]:
    """Return all cells of a run: full data first, then by size, IEM before what it is compared with."""
    cells = [
        *TrainingRecord.load(run.path("training.json")).cells,
        *CondensationRecord.load(run.path("condensation.json")).cells,
    ]
    return sorted(cells, key=lambda c: (c.ipc != 0, c.ipc, _rank(c.method), c.formation))


def _rank(method: str) -> int:
    """Place of a method in tables: known ones in the order of `NAMES`, others after them."""
    return list(NAMES).index(method) if method in NAMES else len(NAMES)


def _kinds(cells: Sequence[Cell]) -> list[list[Cell]]:
    keys = dict.fromkeys((c.method, c.ipc, c.formation) for c in cells)
    return [select(cells, method=method, ipc=ipc, formation=formation) for method, ipc, formation in keys]


def result_rows(cells: Sequence[Cell], lang: str = "en") -> list[dict[str, str]]:
    """Return the table of results as text: one row per kind of training set, means over seeds."""
    full = [c for c in cells if c.method == "full"]
    whole = summarise(c.map for c in full).mean
    rows = []
    for group in _kinds(cells):
        score = summarise(c.map for c in group)
        first = group[0]
        rows.append(
            {
                "name": _cell_name(first, lang),
                "protocol": first.protocol,
                "images": f"{first.images:,} ({first.images / full[0].images:.1%})",
                "map": _with_interval((c.map for c in group), lang),
                "band": f"{min(c.map_low for c in group):.3f} – {max(c.map_high for c in group):.3f}",
                "share": f"{score.mean / whole:.1%}",
                "make": f"{summarise(c.make_seconds for c in group).mean:.1f}",
                "train": f"{summarise(c.train_seconds for c in group).mean:.1f}",
                "seeds": str(score.seeds),
            }
        )
    return rows


def claims(cells: Sequence[Cell], lang: str = "en") -> list[str]:
    """Say what was found, in sentences that also come out when it is not in IEM's favour."""
    t, sentences = translator(lang), []
    for ipc in sorted({c.ipc for c in cells if c.method == "iem"}):
        iem = {c.seed: c.map for c in strongest(cells, "iem", ipc)}
        told = t(f"results.{'many' if ipc > 1 else 'one'}", ipc=ipc, map=f"{summarise(iem.values()).mean:.3f}")
        for rival in ("random", "dm"):
            if select(cells, method=rival, ipc=ipc):
                other = strongest(cells, rival, ipc)
                gap = _gap(iem, {c.seed: c.map for c in other})
                caution = "one_seed" if gap.seeds == 1 else "" if abs(gap.mean) > gap.half_width else "unclear"
                told += t(
                    f"results.{'above' if gap.mean > 0 else 'below'}",
                    gap=f"{abs(gap.mean):.3f}" + (f" ± {gap.half_width:.3f}" if gap.seeds > 1 else ""),
                    rival=_method_name(rival, lang),
                    kind=t(f"results.{'tiles' if other[0].formation > 1 else 'whole'}"),
                    caution=caution and t(f"results.{caution}"),
                )
        sentences.append(told + t("results.end"))
    return sentences


def _method_name(method: str, lang: str) -> str:
    """Return the name of a method: abbreviations are the same in every language, words are not."""
    words = ("full", "random")
    return translator(lang)(f"results.{method}") if method in words else NAMES.get(method, method)


def _cell_name(cell: Cell, lang: str) -> str:
    """Return what `cell_name` says, in another language."""
    name = _method_name(cell.method, lang)
    if cell.method == "full":
        return name
    tiles = "_tiles" if cell.method in ("random", "dm") and cell.formation > 1 else ""
    return translator(lang)(f"results.cell{tiles}", name=name, ipc=cell.ipc)


class Gap(NamedTuple):
    """A difference in words; ``caution`` is empty where the interval excludes zero."""

    text: str
    caution: str


def paired(ours: Mapping[int, float], theirs: Mapping[int, float]) -> Gap:
    """Say how far ours stand above or below theirs, paired over the seeds that both have."""
    gap = _gap(ours, theirs)
    place = "above" if gap.mean > 0 else "below"
    if gap.seeds == 1:
        return Gap(f"{abs(gap.mean):.3f} {place}", ", one seed, no interval")
    caution = "" if abs(gap.mean) > gap.half_width else ", not significant"
    return Gap(f"{abs(gap.mean):.3f} ± {gap.half_width:.3f} {place}", caution)


def _gap(ours: Mapping[int, float], theirs: Mapping[int, float]) -> Summary:
    return summarise(ours[seed] - theirs[seed] for seed in ours if seed in theirs)


def ablation_rows(rows: Sequence[AblationRow]) -> list[dict[str, str]]:
    """Return the ablation as text: each variant beside what comes first, paired over seeds."""
    whole = dict(enumerate(rows[0].maps)) if rows else {}
    return [
        {
            "variant": row.variant,
            "map": _with_interval(row.maps),
            "difference": "".join(paired(dict(enumerate(row.maps)), whole)) if row is not rows[0] else "–",
            "seconds": f"{summarise(row.condense_seconds).mean:.1f}",
        }
        for row in rows
    ]


def _with_interval(values: Iterable[float], lang: str = "en") -> str:
    score = summarise(values)
    return f"{score.mean:.3f}" + (
        f" ± {score.half_width:.3f}" if score.seeds > 1 else translator(lang)("results.alone")
    )


def _chart_text(cells: Sequence[Cell]) -> str:
    parts = [f"{cell_name(g[0])} {summarise(c.map for c in g).mean:.3f}" for g in _kinds(cells)]
    return "Expected mAP of each training set: " + ", ".join(parts)
