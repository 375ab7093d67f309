"""Reports as the tests look at them: of a small run or of many clips, opened in Chromium."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from playwright.sync_api import Browser, Page, sync_playwright

from cmedreport import subject_page
from cmedreport.data_set_page import write_data_set_page

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
TABLES = ("faces", "alignment", "frames", "expression")
CLASSES = {
    **{"Happy": "positive", "Surprise": "surprise", "Anger": "negative", "Disgust": "negative"},
    **{"Fear": "negative", "Sad": "negative", "No_Emotion": None},
}


@contextmanager
def chromium() -> Iterator[Browser]:
    """Start Debian's Chromium, without a window."""
    if CHROMIUM is None:
        pytest.skip("chromium is not installed: apt-get install chromium")
    with sync_playwright() as playwright:
        options = ["--no-sandbox"] if os.geteuid() == 0 else []
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=options)
        yield browser
        browser.close()


@dataclass
class Opened:
    """A page in a browser, and what it complained of or asked the network for."""

    page: Page
    complaints: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)

    @property
    def shown(self) -> list[str]:
        """The clips in the table, in their order."""
        return self.page.eval_on_selector_all(
            "#table tbody tr:not([hidden]) a", "links => links.map(a => decodeURI(a.hash.slice(1)))"
        )

    @property
    def focus(self) -> str:
        """What has the keyboard: an element's id, or the address of a link."""
        answer: str = self.page.evaluate(
            "decodeURI(document.activeElement.hash || document.activeElement.id || '')"
        )
        return answer


@contextmanager
def opened(
    browser: Browser, path: Path, fragment: str = "", width: int = 1440, **options: Any
) -> Iterator[Opened]:
    """Open a page from disk, where it may be about anything but the network."""
    context = browser.new_context(viewport={"width": width, "height": 900}, **options)
    page = context.new_page()
    found = Opened(page)
    page.on("console", lambda m: found.complaints.append(m.text) if m.type != "info" else None)
    page.on("pageerror", lambda error: found.complaints.append(str(error)))
    page.on(
        "request",
        lambda r: (
            found.requests.append(r.url) if not r.url.startswith(("file:", "data:")) else None
        ),
    )
    page.goto(path.as_uri() + (f"#{fragment}" if fragment else ""))
    page.wait_for_selector("html[data-ready]")
    yield found
    assert not found.complaints, found.complaints
    assert not found.requests, found.requests
    context.close()


def settle(page: Page) -> None:
    """Wait until the charts that are in view are drawn, less those that have no room."""
    page.wait_for_function(
        """() => [...document.querySelectorAll('.chart')].every(node => {
            const box = node.getBoundingClientRect();
            const seen = node.clientWidth && box.bottom >= 0 && box.top <= innerHeight;
            return !seen || node.dataset.drawn;
        })"""
    )


def make_pages(results: Path, reports: Path, faces: bool = False) -> list[Path]:
    """Write the pages of a run's results into a folder, as the rules do; return them."""
    pages = []
    (reports.parent).mkdir(parents=True, exist_ok=True)
    if not (reports.parent / "images").exists():
        (reports.parent / "images").symlink_to(results / "images")
    manifests = sorted((results / "manifests").glob("*.parquet"))
    for manifest in manifests:
        page = reports / f"{manifest.stem}.html"
        subject_page.write_subject_page(
            manifest,
            *(results / folder / manifest.name for folder in TABLES),
            samples={p.parent.name: p for p in results.glob(f"samples/*/{manifest.name}")},
            page=page,
            show_faces=faces,
            provenance={"stage": "report_subject"},
        )
        pages.append(page)
    index = reports / "index.html"
    write_data_set_page(
        results / "clips.parquet", manifests, index, CLASSES, faces, {"stage": "report_dataset"}
    )
    return [*pages, index]


def multiply(results: Path, target: Path, subject: str, count: int) -> None:
    """Write the tables of a subject with many clips, all like its own, in all states.

    A tenth is lost, a tenth has no usable apex, others have worse grades and labels far off.
    """
    rows = pq.read_table(results / "manifests" / f"{subject}.parquet").to_pylist()
    bases = [row for row in rows if row["processed"]]
    names = [f"{subject}/Happy/vid{n:04d}" for n in range(count)]
    for folder in (*TABLES, *(f"samples/{p.name}" for p in (results / "samples").iterdir())):
        table = pq.read_table(results / folder / f"{subject}.parquet")
        own_rows = {
            row["clip_id"]: table.filter(pc.equal(table["clip_id"], row["clip_id"]))
            for row in bases
        }
        parts = []
        for n, name in enumerate(names):
            own = own_rows[bases[n % len(bases)]["clip_id"]]
            if n % 10 and (n % 10 != 1 or "samples" not in folder):
                column = pa.array([name] * len(own), pa.string())
                parts.append(own.set_column(0, table.schema.field(0), column))
        _write(target / folder / f"{subject}.parquet", pa.concat_tables(parts))
    manifest = []
    for n, name in enumerate(names):
        row = {**bases[n % len(bases)], "clip_id": name, "filename": f"vid{n:04d}.mp4"}
        row["residual_jitter_px"] = 0.1 + (n * 37 % count) / count
        row["grade"] = "ABC"[n % 3]
        if n % 10 == 0:
            lost = {"status": "missing_video", "reason": f"no file <b>vid{n:04d}</b>"}
            empty = dict.fromkeys(("grade", "n_written", "residual_jitter_px", "n_frames"))
            row |= lost | empty | {"processed": False, "motion_apex_distance": None}
        elif n % 10 == 1:
            row |= {"status": "apex_out_of_range", "reason": "apex frame 99 lies outside"}
            row |= {"apex_frame": None, "motion_apex_distance": None}
        elif n % 10 == 2:
            row |= {"motion_apex_frame": 5, "apex_frame": 0, "motion_apex_distance": 5}
        manifest.append(row)
    schema = pq.read_schema(results / "manifests" / f"{subject}.parquet")
    _write(target / "manifests" / f"{subject}.parquet", pa.Table.from_pylist(manifest, schema))
    clips = pq.read_schema(results / "clips.parquet")
    listed = [
        {**row, "metadata_row": n + 1, "status": "ok" if row["processed"] else row["status"]}
        for n, row in enumerate(manifest)
    ]
    _write(target / "clips.parquet", pa.Table.from_pylist(listed, clips))
    (target / "images").symlink_to(results / "images")


def _write(path: Path, table: pa.Table) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(table, path)
