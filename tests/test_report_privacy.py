"""Nobody is to be seen in a report, but where the config asks for faces: MediaPipe finds none."""

import base64
import json
import re
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest
import yaml
from mediapipe.python.solutions.face_detection import FaceDetection
from playwright.sync_api import Browser

from cmedprep.cascade import FaceFinder
from cmedreport.embedded import read_embedded
from tests.conftest import REPOSITORY, Project
from tests.report_pages import chromium, make_pages, opened, settle

PICTURE = re.compile(r"data:image/(\w+);base64,([A-Za-z0-9+/=]+)")


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as browser:
        yield browser


@pytest.fixture(scope="module")
def pages(finished_tiny: Project) -> list[Path]:
    """The pages of a run with the default config."""
    return sorted((finished_tiny.results / "reports").glob("*.html"))


@pytest.fixture(scope="module")
def with_faces(finished_tiny: Project, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """The pages of the same run with `report.faces: true`."""
    folder = tmp_path_factory.mktemp("with_faces")
    return make_pages(finished_tiny.results, folder / "reports", faces=True)


@pytest.fixture(scope="module")
def detectors() -> Iterator[list[FaceDetection]]:
    """MediaPipe's own detectors, of near and of distant faces."""
    both = [FaceDetection(min_detection_confidence=0.5, model_selection=n) for n in (0, 1)]
    yield both
    for detector in both:
        detector.close()


def decode(data: bytes) -> np.ndarray:
    image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    assert image is not None
    return np.ascontiguousarray(cv2.cvtColor(image, cv2.COLOR_BGR2RGB))


def pictures(page: Path) -> list[np.ndarray]:
    """Return every picture of a clip inside a page, RGB."""
    data = json.dumps(read_embedded(page.read_text(), "data"))
    return [decode(base64.b64decode(data)) for _, data in PICTURE.findall(data)]


def enlarged(picture: np.ndarray) -> Iterator[np.ndarray]:
    """Yield a picture as it is and larger, sharp and smooth, with and without a margin."""
    height, width = picture.shape[:2]
    for size in (width, 96, 224, 480):
        for way in (cv2.INTER_NEAREST, cv2.INTER_CUBIC):
            shape = (size, max(1, round(size * height / width)))
            large = cv2.resize(picture, shape, interpolation=way)
            yield large
            margin = size // 3
            for level in (255, 32):
                yield cv2.copyMakeBorder(
                    large, *(4 * [margin]), cv2.BORDER_CONSTANT, value=3 * (level,)
                )


def is_face(picture: np.ndarray, detectors: list[FaceDetection]) -> bool:
    image = np.ascontiguousarray(picture)
    return any(detector.process(image).detections for detector in detectors)


def test_no_picture_in_a_report_is_a_face(
    pages: list[Path], detectors: list[FaceDetection], finder: FaceFinder
) -> None:
    found = [picture for page in pages for picture in pictures(page)]
    assert len(found) == 2 * 4  # a strip and a mean of each clip
    for picture in found:
        assert picture.shape[0] == 2
        for large in enlarged(picture):
            assert not is_face(large, detectors)
        assert finder.find(np.ascontiguousarray(cv2.resize(picture, None, fx=40, fy=40))) == []


@pytest.mark.parametrize(("scheme", "scale"), [("light", 2), ("dark", 1)])
def test_no_drawing_and_no_view_of_a_clip_is_a_face(
    browser: Browser,
    pages: list[Path],
    detectors: list[FaceDetection],
    finder: FaceFinder,
    scheme: str,
    scale: int,
) -> None:
    with opened(browser, pages[0], color_scheme=scheme, device_scale_factor=scale) as found:
        settle(found.page)
        for part in (".strip .dots", ".strip li", ".strip", ".portrait"):
            for place in found.page.locator(part).all()[:6]:
                assert not is_face(decode(place.screenshot()), detectors), part
        # A detector alone takes words for a face now and then; a mesh tells.
        for part in (".card", ".side"):
            for place in found.page.locator(part).all()[:2]:
                assert finder.find(decode(place.screenshot())) == []


def test_these_tests_would_see_faces(
    browser: Browser, with_faces: list[Path], detectors: list[FaceDetection], finder: FaceFinder
) -> None:
    page = with_faces[0]
    found = pictures(page)
    assert len(found) == 2 * 3
    assert sum(any(is_face(large, detectors) for large in enlarged(p)) for p in found) >= 4
    with opened(browser, page) as open_page:
        settle(open_page.page)
        for part in (".portrait", ".strip li .pic"):
            place = open_page.page.locator(part).first
            assert is_face(decode(place.screenshot()), detectors), part
        assert finder.find(decode(open_page.page.locator(".side").first.screenshot()))


def test_every_page_with_faces_says_that_it_is_not_to_be_shared(
    browser: Browser, pages: list[Path], with_faces: list[Path]
) -> None:
    for path in with_faces:
        with opened(browser, path) as found:
            assert found.page.title().startswith("NOT TO BE SHARED")
            banner = found.page.locator(".banner")
            found.page.evaluate("scrollTo(0, document.body.scrollHeight)")
            assert "Not to be shared" in banner.inner_text()
            box = banner.bounding_box()
            assert box is not None
            assert box["y"] == 0  # wherever one looks
            found.page.emulate_media(media="print")
            assert banner.is_visible()
    for path in pages:
        assert "NOT TO BE SHARED" not in path.read_text()


def test_the_default_shows_no_face() -> None:
    schema = yaml.safe_load((REPOSITORY / "workflow/schemas/config.schema.yaml").read_text())
    assert schema["properties"]["report"]["properties"]["faces"]["default"] is False
    config = yaml.safe_load((REPOSITORY / "config/config.yaml").read_text())
    assert config["report"]["faces"] is False
