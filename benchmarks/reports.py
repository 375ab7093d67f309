"""What a page of many clips costs: to make, to keep, to open and to scroll.

    python benchmarks/reports.py [--clips 500] [--openings 3] [--results results]

takes the first subject of a finished run (`make run`), gives it as many clips by repeating its
own, makes its page without and with faces, and opens it in a headless Chromium. Times to open and
to scroll are medians and the worst of the openings; each is in a browser without a cache.
"""

import argparse
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(REPOSITORY), str(REPOSITORY / "workflow" / "scripts")]

from tests.report_pages import chromium, make_pages, multiply  # noqa: E402

SCROLL = """
async () => {
  const durations = [];
  let last = performance.now();
  for (let step = 0; step < 120; step++) {
    scrollBy(0, 120);
    await new Promise(requestAnimationFrame);
    const now = performance.now();
    durations.push(now - last);
    last = now;
  }
  return durations;
}
"""


def open_page(browser: Any, page: Path) -> tuple[float, list[float]]:
    """Return the ms until a page is ready, and those of each frame while it is scrolled."""
    context = browser.new_context(viewport={"width": 1440, "height": 900})
    tab = context.new_page()
    tab.goto(page.as_uri())
    tab.wait_for_selector("html[data-ready]")
    ready = tab.evaluate("performance.getEntriesByName('ready')[0].startTime")
    tab.wait_for_timeout(1500)
    frames = tab.evaluate(SCROLL)
    context.close()
    return ready, frames


def main() -> None:
    """Print a line for pages without faces, and one for those with."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--clips", type=int, default=500)
    parser.add_argument("--openings", type=int, default=3)
    parser.add_argument("--results", type=Path, default=REPOSITORY / "results")
    arguments = parser.parse_args()
    results = arguments.results.resolve()
    subject = min((results / "manifests").glob("*.parquet")).stem
    print("| faces | MB | CPU s to make, per clip | ready, ms | frame of scrolling, ms |")
    print("|---|---|---|---|---|")
    with chromium() as browser, tempfile.TemporaryDirectory() as scratch:
        for faces in (False, True):
            folder = Path(scratch, str(faces))
            multiply(results, folder, subject, arguments.clips)
            began = time.process_time()
            page = make_pages(folder, folder / "reports", faces)[0]
            cost = (time.process_time() - began) / arguments.clips
            opened = [open_page(browser, page) for _ in range(arguments.openings)]
            ready = [first for first, _ in opened]
            frames = [frame for _, durations in opened for frame in durations]
            print(
                f"| {'shown' if faces else 'none'} | {page.stat().st_size / 1e6:.1f} | {cost:.3f} "
                f"| {statistics.median(ready):.0f}, worst {max(ready):.0f} "
                f"| {statistics.median(frames):.0f}, worst {max(frames):.0f} |",
                flush=True,
            )


if __name__ == "__main__":
    main()
