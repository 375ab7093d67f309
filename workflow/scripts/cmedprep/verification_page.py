"""The result of a verification as a page to look at: no network, no image."""

from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from string import Template
from typing import Any

from cmedplan.atomic import write_whole
from cmedprep.verification import (
    LANDMARK_TOLERANCE_PX,
    LEAST_PSNR_DB,
    MATRIX_TOLERANCE_PX,
    STAGES,
    VERDICTS,
    explain,
    worst_verdict,
)

_PAGE = Template("""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Verification of $subject</title>
<style>
:root { color-scheme: light dark; --good: #1a7f37; --near: #0a66a8; --bad: #b3261e; }
@media (prefers-color-scheme: dark) { :root { --good: #57c274; --near: #6cb6ef; --bad: #ff8a80; } }
body { font: 16px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 95rem; padding: 0 1rem; }
h1 { font-size: 1.5rem; } .sum { font-size: 1.1rem; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-size: .9rem; }
th, td { text-align: left; padding: .35rem .6rem; border-bottom: 1px solid #8884; }
th, td { white-space: nowrap; }
td.note { white-space: normal; min-width: 14rem; } td.number { text-align: right; }
.identical { color: var(--good); } .equivalent { color: var(--near); }
.different, .source_differs, .missing { color: var(--bad); font-weight: 600; }
</style>
</head>
<body>
<main>
<h1>Verification of $subject</h1>
<p class="sum">The subject was recomputed from its videos and compared with the published manifest:
<strong class="$verdict">$verdict</strong>. $counts.</p>
<p>$explanation</p>
<div class="scroll" tabindex="0" role="region" aria-label="Verdict on each clip">
<table>
<thead><tr>
<th scope="col">clip</th><th scope="col">verdict</th><th scope="col">first difference</th>$stages
<th scope="col">landmarks, px</th><th scope="col">transform, px</th><th scope="col">PSNR, dB</th>
</tr></thead>
<tbody>
$rows
</tbody>
</table>
</div>
<p><em>identical</em>: digests are equal. <em>equivalent</em>: landmarks within $landmark px,
transforms within $matrix px of the aligned crop, images at $psnr dB PSNR or more. Numbers are the
worst of up to eight frames of a clip.</p>
</main>
</body>
</html>
""")


def render_page(
    path: Path,
    subject: str,
    rows: Sequence[Mapping[str, Any]],
    published: Mapping[str, Any],
    recomputed: Mapping[str, Any],
) -> None:
    """Write the page.

    Parameters
    ----------
    path : Path
        The HTML file.
    subject : str
        Whose clips they are.
    rows : sequence of mapping
        Rows of `schemas.VERIFICATION`.
    published, recomputed : mapping
        What the two manifests say of their making.
    """
    ordered = sorted(rows, key=lambda row: (-VERDICTS.index(row["verdict"]), row["clip_id"]))
    counts = [(sum(row["verdict"] == v for row in rows), v) for v in VERDICTS]
    text = _PAGE.substitute(
        subject=escape(subject),
        verdict=worst_verdict(rows),
        counts=", ".join(f"{count} {verdict}" for count, verdict in counts if count) or "No clip",
        explanation=escape(explain(published, recomputed)),
        stages="".join(f'<th scope="col">{stage}</th>' for stage in STAGES),
        rows="\n".join(_row(row) for row in ordered),
        landmark=LANDMARK_TOLERANCE_PX,
        matrix=MATRIX_TOLERANCE_PX,
        psnr=LEAST_PSNR_DB,
    )
    write_whole(path, text)


def _row(row: Mapping[str, Any]) -> str:
    note = f"{row['first']}: {row['note']}" if row["first"] else row["note"]
    cells = [f'<th scope="row">{escape(row["clip_id"])}</th>', _verdict(row["verdict"])]
    cells.append(f'<td class="note">{escape(note)}</td>')
    cells += [_verdict(row[stage]) for stage in STAGES]
    cells += [
        _number(row[name], digits)
        for name, digits in (
            ("landmark_distance_px", 4),
            ("matrix_distance_px", 4),
            ("psnr_db", 1),
        )
    ]
    return f"<tr>{''.join(cells)}</tr>"


def _verdict(verdict: str | None) -> str:
    return f'<td class="{verdict}">{verdict}</td>' if verdict else "<td></td>"


def _number(value: float | None, digits: int) -> str:
    if value is None:
        return '<td class="number"></td>'
    return f'<td class="number">{"∞" if value == float("inf") else f"{value:.{digits}f}"}</td>'
