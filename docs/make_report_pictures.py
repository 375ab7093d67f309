"""Photograph the reports of the demo for the docs.

PYTHONPATH=.:workflow/scripts python docs/make_report_pictures.py
"""

from pathlib import Path

import cv2
import numpy as np

from tests.report_pages import chromium, opened, settle

REPORTS = Path(__file__).resolve().parents[1] / "results" / "reports"
SHOTS = {
    "report-subject.png": ("Subject_03.html", "Subject_03/Fear/vid1", "light"),
    "report-dataset.png": ("index.html", "", "light"),
    "report-dark.png": ("Subject_01.html", "Subject_01/Happy/vid1", "dark"),
}


def main() -> None:
    """Write the pictures beside this file, with few colours, as a page has few."""
    with chromium() as browser:
        for name, (page, clip, scheme) in SHOTS.items():
            with opened(browser, REPORTS / page, clip, width=1280, color_scheme=scheme) as found:
                settle(found.page)
                shot = cv2.imdecode(np.frombuffer(found.page.screenshot(), np.uint8), 1)
            options = [cv2.IMWRITE_PNG_COMPRESSION, 9]
            cv2.imwrite(str(Path(__file__).with_name(name)), shot // 8 * 8 + 7, options)


if __name__ == "__main__":
    main()
