"""The reports in a real browser: found, sorted, filtered, linked, read aloud, and quick."""

import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page

from cmedreport.embedded import read_embedded, to_json
from tests.conftest import Project
from tests.report_pages import chromium, make_pages, multiply, opened, settle

MANY = 500


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as browser:
        yield browser


@pytest.fixture(scope="module")
def pages(finished_tiny: Project) -> Path:
    """The folder of reports that a run has made."""
    return finished_tiny.results / "reports"


@pytest.fixture(scope="module")
def many(finished_tiny: Project, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The pages of a subject with five hundred clips, and of its data set."""
    folder = tmp_path_factory.mktemp("many")
    multiply(finished_tiny.results, folder, "Subject_01", MANY)
    make_pages(folder, folder / "reports")
    return folder / "reports"


def clip(n: int) -> str:
    return f"Subject_01/Happy/vid{n:04d}"


# -- the table --------------------------------------------------------------------------------


def test_the_worst_clips_come_first(browser: Browser, many: Path) -> None:
    with opened(browser, many / "Subject_01.html") as found:
        assert len(found.shown) == MANY
        lost, faulty, graded = found.shown[:50], found.shown[50:100], found.shown[100:]
        assert {int(name[-4:]) % 10 for name in lost} == {0}
        assert {int(name[-4:]) % 10 for name in faulty} == {1}
        grades = ["ABC"[int(name[-4:]) % 3] for name in graded]
        assert grades == sorted(grades, reverse=True)
        first = found.page.locator("#table tbody tr").first
        assert "missing video no file <b>vid0000</b>" in first.inner_text()
        assert "worst first" in found.page.locator("#count").inner_text()


def test_it_sorts_by_every_column(browser: Browser, many: Path) -> None:
    with opened(browser, many / "Subject_01.html") as found:
        page = found.page
        page.click("[data-sort=clip_id]")
        assert found.shown == sorted(found.shown)
        page.click("[data-sort=clip_id]")
        assert found.shown == sorted(found.shown, reverse=True)
        assert page.locator("[aria-sort=descending]").inner_text().startswith("clip")
        page.click("[data-sort=residual_jitter_px]")
        cells = page.eval_on_selector_all(
            "#table tbody tr td:nth-of-type(2)", "cells => cells.map(c => c.textContent)"
        )
        numbers = [float(text) for text in cells if text != "—"]
        assert numbers == sorted(numbers, reverse=True)
        assert cells[len(numbers) :] == ["—"] * (MANY // 10)  # what is unknown comes last
        page.click("[data-sort=distance]")
        assert int(found.shown[0][-4:]) % 10 == 2
        # The clips below are in the order of the table.
        cards = page.eval_on_selector_all(".card", "cards => cards.map(c => c.id)")
        assert cards == found.shown


def test_it_filters_by_text_status_grade_and_emotion(browser: Browser, many: Path) -> None:
    with opened(browser, many / "Subject_01.html") as found:
        page = found.page
        page.fill("#find", "missing VID001")
        assert found.shown == [clip(10)]
        assert page.locator("#status").inner_text() == "1 of 500 clips, worst first"
        assert page.locator(".card:not([hidden])").count() == 1
        page.fill("#find", "")
        page.select_option("#state", "apex_out_of_range")
        page.select_option("#grade", "B")
        assert {int(name[-4:]) % 30 for name in found.shown} == {1}
        page.fill("#find", "no such clip")
        assert found.shown == []
        page.click("#clear")
        assert len(found.shown) == MANY


def test_a_link_opens_its_clip(browser: Browser, many: Path) -> None:
    name = clip(347)
    with opened(browser, many / "Subject_01.html", name) as found:
        page = found.page
        settle(page)
        card = page.locator(f'[id="{name}"]')
        assert found.focus == name
        assert card.locator(".strip li").count() > 1
        assert card.locator(".js-plotly-plot .main-svg").count() > 0
        box = card.bounding_box()
        assert box is not None
        assert -5 <= box["y"] < 400
        assert page.locator("#table tr.current a").get_attribute("href") == f"#{name}"
        # One that the filter hides is shown all the same.
        page.fill("#find", "vid0001")
        page.evaluate("location.hash = '#Subject_01/Happy/vid0002'")
        page.wait_for_function("document.activeElement.id.endsWith('vid0002')")
        assert len(found.shown) == MANY


def test_the_keyboard_is_enough(browser: Browser, many: Path) -> None:
    with opened(browser, many / "Subject_01.html") as found:
        page = found.page
        first, second, third = found.shown[:3]
        page.keyboard.press("j")
        assert found.focus == f"#{first}"
        page.keyboard.press("j")
        page.keyboard.press("j")
        assert found.focus == f"#{third}"
        page.keyboard.press("k")
        assert found.focus == f"#{second}"
        assert page.evaluate("decodeURI(location.hash)") == f"#{second}"
        page.keyboard.press("Enter")
        page.wait_for_function("document.activeElement.classList.contains('card')")
        assert found.focus == second
        page.keyboard.press("Escape")
        assert found.focus == f"#{second}"
        page.keyboard.press("/")
        assert found.focus == "find"
        page.keyboard.type("vid0347 jk")  # letters are letters here
        assert found.shown == []
        page.keyboard.press("Escape")
        assert len(found.shown) == MANY
        assert page.input_value("#find") == ""
        # From the table Esc clears every choice, from a clip it goes back to the table.
        page.select_option("#grade", "B")
        page.keyboard.press("j")
        page.keyboard.press("Enter")
        page.wait_for_function("document.activeElement.classList.contains('card')")
        page.keyboard.press("Escape")
        assert found.focus == f"#{found.shown[0]}"
        assert len(found.shown) < MANY
        page.keyboard.press("Escape")
        assert len(found.shown) == MANY
        assert page.input_value("#grade") == ""


# -- what it shows ----------------------------------------------------------------------------


def test_a_clip_shows_its_frames_curves_and_numbers(browser: Browser, pages: Path) -> None:
    data = read_embedded((pages / "Subject_01.html").read_text(), "data")
    shown = next(entry for entry in data["clips"] if entry["apex_frame"] is not None)
    with opened(browser, pages / "Subject_01.html", shown["clip_id"]) as found:
        settle(found.page)
        card = found.page.locator(f'[id="{shown["clip_id"]}"]')
        strip = card.locator(".strip").inner_text()
        for word in ("onset", "apex", "offset"):
            assert word in strip
        assert card.locator(".strip .slot").count() > 0
        assert card.locator(".strip .dots circle").count() % data["dots"]["count"] == 0
        curves = card.locator(".curves")
        text = curves.inner_text()
        for word in ("yaw", "pitch", "roll", "residual", "motion of the expression"):
            assert word in text
        lines = found.page.evaluate(
            "node => node._fullLayout.shapes.map(s => s.x0)", curves.element_handle()
        )
        assert set(lines) == {shown["apex_frame"], shown["motion_apex_frame"]} - {None}
        assert f"{shown['landmark_jitter_px']:.2f}" in card.locator(".meter").first.inner_text()
        assert f"{shown['residual_jitter_px']:.2f}" in card.locator(".meter").first.inner_text()
        assert "without face" in card.locator(".facts").inner_text()
        assert "repeats" in card.locator(".facts").inner_text()


@pytest.mark.parametrize(
    ("unknown", "left"),
    [
        ((), ["yaw", "residual", "motion"]),
        (("residual",), ["yaw", "motion"]),  # of alignment by landmarks alone
        (("yaw", "pitch", "roll", "residual", "motion", "smooth"), []),  # without a face
    ],
)
def test_curves_have_room_for_what_is_known_alone(
    browser: Browser, pages: Path, tmp_path: Path, unknown: tuple[str, ...], left: list[str]
) -> None:
    text = (pages / "Subject_01.html").read_text()
    data = read_embedded(text, "data")
    written = to_json(data)
    assert written in text
    shown = next(entry for entry in data["clips"] if entry["apex_frame"] is not None)
    curves = shown["drawn"]["curves"]
    curves.update({name: [None] * len(curves[name]) for name in unknown})
    changed = tmp_path / "Subject_01.html"
    changed.write_text(text.replace(written, to_json(data)))
    with opened(browser, changed, shown["clip_id"]) as found:
        settle(found.page)
        chart = found.page.locator(f'[id="{shown["clip_id"]}"] .curves')
        assert chart.count() == bool(left)
        if left:
            drawn = found.page.evaluate(
                """node => [node.clientHeight, Object.values(node._fullLayout._plots).map(
                    ({ yaxis }) => [yaxis._offset, yaxis._offset + yaxis._length])]""",
                chart.element_handle(),
            )
            height, panels = drawn
            titles = chart.locator(".annotation").all_text_contents()
            assert len(panels) == len(titles) == len(left)
            assert all(name in title for name, title in zip(left, titles, strict=True))
            ends = [0.0, *(edge for edges in panels for edge in edges), float(height)]
            assert ends == sorted(ends)


def test_the_data_set_accounts_for_every_row_and_links_its_outliers(
    browser: Browser, many: Path
) -> None:
    data = read_embedded((many / "index.html").read_text(), "data")
    nodes, links = data["ledger"]["nodes"], data["ledger"]["links"]
    inflow: Counter[int] = Counter()
    outflow: Counter[int] = Counter()
    for source, target, count in links:
        outflow[source] += count
        inflow[target] += count
    assert outflow[nodes.index("metadata rows")] == MANY
    assert all(inflow[n] == outflow[n] for n in inflow if n in outflow)
    with opened(browser, many / "index.html") as found:
        page = found.page
        settle(page)
        assert page.locator("#ledger tr.sum").inner_text().split() == ["all", str(MANY), "0"]
        assert page.locator("#outliers tbody tr").count() == MANY // 10
        for chart in page.locator("[data-chart]").all():
            chart.scroll_into_view_if_needed()
            settle(page)
            assert chart.locator(".main-svg").count() > 0
        page.locator("#outliers tbody a").first.click()
        page.wait_for_selector("html[data-ready]")
        assert "/Subject_01.html#Subject_01/Happy/vid" in page.url
        page.wait_for_function("document.activeElement.classList.contains('card')")


def test_a_chart_of_nothing_says_so(browser: Browser, pages: Path, tmp_path: Path) -> None:
    text = (pages / "index.html").read_text()
    data = read_embedded(text, "data")
    written = to_json(data)
    assert written in text
    for name, values in data["clips"].items():
        if name not in ("clip_id", "subject", "emotion"):
            values[:] = [None] * len(values)
    for subject in data["subjects"]:
        subject["emotions"] = [0] * len(subject["emotions"])
    changed = tmp_path / "index.html"
    changed.write_text(text.replace(written, to_json(data)))
    with opened(browser, changed) as found:
        charts = found.page.locator("[data-chart]")
        said = {}
        for chart in charts.all():
            chart.scroll_into_view_if_needed()
            settle(found.page)
            empty = "no clip to show" in chart.inner_text()
            assert not (empty and chart.locator(".xtick, .ytick").count())
            said[chart.get_attribute("data-chart")] = empty
    assert {name for name, empty in said.items() if not empty} == {"ledger", "emotions", "classes"}


def test_tables_of_the_data_set_sort(browser: Browser, many: Path, pages: Path) -> None:
    with opened(browser, many / "index.html") as found:
        head = found.page.get_by_role("button", name="clip", exact=True)
        names = "rows => rows.map(row => row.cells[0].textContent)"
        for order in (False, True):
            head.click()
            shown = found.page.eval_on_selector_all("#outliers tbody tr", names)
            assert shown == sorted(shown, reverse=order)
        assert found.page.locator("#outliers [aria-sort=descending]").inner_text() == "clip"
    with opened(browser, pages / "index.html") as found:
        found.page.get_by_role("button", name="usable").click()
        counts = found.page.eval_on_selector_all(
            "#subjects tbody tr", "rows => rows.map(row => +row.cells[2].textContent)"
        )
        assert counts == sorted(counts, reverse=True)


def test_the_banner_hides_no_title(
    browser: Browser, finished_tiny: Project, tmp_path: Path
) -> None:
    make_pages(finished_tiny.results, tmp_path / "reports", faces=True)
    page = tmp_path / "reports" / "Subject_01.html"
    name = read_embedded(page.read_text(), "data")["clips"][-1]["clip_id"]
    with opened(browser, page, name, width=390) as found:
        settle(found.page)
        banner = found.page.locator(".banner").bounding_box()
        title = found.page.locator(f'[id="{name}"] h2').bounding_box()
        assert banner is not None
        assert title is not None
        assert title["y"] >= banner["y"] + banner["height"]


def test_names_and_reasons_are_text_and_no_markup(
    browser: Browser, finished_tiny: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hostile = '</script><script>document.title="taken"</script><img src=x onerror=alert(1)>"\u2028'
    from cmedreport import data_set_page, subject_page

    read = subject_page.read_rows

    def rename(path: Path, columns: object = None) -> list[dict[str, object]]:
        rows = read(path, columns)  # type: ignore[arg-type]
        for row in rows:
            for name in ("filename", "reason", "status", "emotion"):
                if name in row:
                    row[name] = hostile
        return rows

    monkeypatch.setattr(subject_page, "read_rows", rename)
    monkeypatch.setattr(data_set_page, "read_rows", rename)
    for path in make_pages(finished_tiny.results, tmp_path / "reports"):
        text = path.read_text()
        assert "<script>document.title" not in text
        assert "<img src=x" not in text
        with opened(browser, path) as found:
            settle(found.page)
            found.page.evaluate("scrollTo(0, 1e6)")
            settle(found.page)
            assert "taken" not in found.page.title()
            assert found.page.locator("img[src=x]").count() == 0
            assert "</script>" in found.page.locator("main").inner_text()


# -- looks ------------------------------------------------------------------------------------


def background(page: Page) -> list[int]:
    text: str = page.evaluate("getComputedStyle(document.body).backgroundColor")
    return [int(number) for number in re.findall(r"\d+", text)[:3]]


@pytest.mark.parametrize("name", ["Subject_01.html", "index.html"])
def test_it_is_dark_where_the_reader_wants_it_dark(
    browser: Browser, pages: Path, name: str
) -> None:
    with opened(browser, pages / name, color_scheme="light") as found:
        page = found.page
        settle(page)
        assert min(background(page)) > 200
        ink = "[...document.querySelectorAll('.chart text')].map(n => getComputedStyle(n).fill)[0]"
        page.wait_for_function("() => " + ink)  # a chart is drawn once it is near
        before = page.evaluate(ink)
        page.emulate_media(color_scheme="dark")
        assert max(background(page)) < 60
        # The charts as well.
        page.wait_for_function(f"before => {ink} && {ink} !== before", arg=before)


@pytest.mark.parametrize("name", ["Subject_01.html", "index.html"])
def test_it_fits_on_a_phone(browser: Browser, many: Path, pages: Path, name: str) -> None:
    for folder in (pages, many):
        with opened(browser, folder / name, width=390) as found:
            settle(found.page)
            assert found.page.evaluate("document.documentElement.scrollWidth") <= 390


@pytest.mark.parametrize(
    ("name", "short", "width"),
    [
        ("Subject_01.html", "vid1", 1440),
        ("Subject_01.html", "vid1", 390),
        ("index.html", "Subject_01", 1440),
    ],
)
def test_a_long_name_leaves_the_other_columns_in_view(
    browser: Browser, pages: Path, tmp_path: Path, name: str, short: str, width: int
) -> None:
    text = (pages / name).read_text()
    assert short in text
    changed = tmp_path / name
    changed.write_text(text.replace(short, "exported_by_Zoom_" * 7))
    with opened(browser, changed, width=width) as found:
        widths = found.page.eval_on_selector_all(
            ".scroll", "nodes => nodes.map(node => [node.scrollWidth, node.clientWidth])"
        )
    assert widths
    assert all(inside <= there for inside, there in widths)


@pytest.mark.parametrize("name", ["Subject_01.html", "index.html"])
@pytest.mark.parametrize(("scheme", "width"), [("light", 1440), ("dark", 390)])
def test_axe_finds_nothing_serious(
    browser: Browser, many: Path, pages: Path, name: str, scheme: str, width: int
) -> None:
    folder = many if name == "index.html" else pages
    with opened(browser, folder / name, width=width, color_scheme=scheme) as found:
        settle(found.page)
        found.page.keyboard.press("j")
        results = Axe().run(found.page).response
    faults = [
        (violation["id"], [node["html"][:120] for node in violation["nodes"][:3]])
        for violation in results["violations"]
        if violation["impact"] in ("serious", "critical")
    ]
    assert results["passes"]
    assert faults == []


def test_it_can_be_printed(browser: Browser, pages: Path) -> None:
    with opened(browser, pages / "Subject_01.html") as found:
        assert found.page.pdf().startswith(b"%PDF")
        # The charts that are seen come back for the screen.
        found.page.wait_for_selector(".card .curves[data-drawn]")
        assert found.page.locator("html.printing").count() == 0


def test_curves_of_very_many_clips_are_not_printed(browser: Browser, many: Path) -> None:
    with opened(browser, many / "Subject_01.html", clip(347)) as found:
        found.page.wait_for_selector(".card .main-svg", state="attached")
        found.page.evaluate("dispatchEvent(new Event('beforeprint'))")
        assert found.page.locator(".main-svg").count() == 0
        assert found.page.locator(".card .meter").count() > MANY
        found.page.fill("#find", "vid0012")
        found.page.evaluate("dispatchEvent(new Event('beforeprint'))")
        assert found.page.locator(".main-svg").count() > 0


PAPER = 703
"""CSS pixels of A4 between margins of 12 mm."""


@pytest.mark.parametrize("name", ["Subject_01.html", "index.html"])
def test_on_paper_every_chart_is_drawn_in_its_panel(
    browser: Browser, pages: Path, name: str
) -> None:
    with opened(browser, pages / name, color_scheme="dark") as found:
        page = found.page
        settle(page)
        page.evaluate("dispatchEvent(new Event('beforeprint'))")
        page.emulate_media(media="print", color_scheme="light")
        page.set_viewport_size({"width": PAPER, "height": 1000})
        beyond = page.eval_on_selector_all(
            ".chart",
            """charts => charts.map(chart => Math.max(...[...chart.querySelectorAll('.main-svg')]
                .map(svg => svg.getBoundingClientRect().right))
                - chart.parentElement.getBoundingClientRect().right)""",
        )
        assert beyond
        assert max(beyond) <= 1
        assert page.evaluate("document.documentElement.scrollWidth") <= PAPER
        # Ink on paper is dark, whatever the screen's colours are.
        fills = page.eval_on_selector_all(
            ".chart text", "texts => texts.map(text => getComputedStyle(text).fill)"
        )
        assert all(int(number) < 200 for fill in fills for number in re.findall(r"\d+", fill)[:3])


# -- weight, network, bytes -------------------------------------------------------------------


def test_five_hundred_clips_stay_light_and_quick(browser: Browser, many: Path) -> None:
    path = many / "Subject_01.html"
    assert path.stat().st_size < 25e6
    with opened(browser, path) as found:
        page = found.page
        ready = page.evaluate("performance.getEntriesByName('ready')[0].startTime")
        assert ready < 2000
        # Charts that are far away are not held.
        for place in (0.3, 0.6, 1.0):
            page.evaluate(f"scrollTo(0, {place} * document.body.scrollHeight)")
            settle(page)
        assert page.locator(".js-plotly-plot .main-svg").count() < 40


def test_the_browser_itself_refuses_a_page_the_network(browser: Browser, pages: Path) -> None:
    ask = "url => fetch(url).then(() => 'sent', () => 'refused')"
    for path in sorted(pages.glob("*.html")):
        context = browser.new_context()
        page = context.new_page()
        said: list[str] = []
        page.on("console", lambda message, said=said: said.append(message.text))
        page.goto(path.as_uri())
        assert page.evaluate(ask, "http://127.0.0.1:9/") == "refused"
        assert any("Content Security Policy" in text for text in said)
        context.close()


def test_equal_results_give_equal_pages(finished_tiny: Project, tmp_path: Path) -> None:
    one = [p.read_bytes() for p in make_pages(finished_tiny.results, tmp_path / "one" / "reports")]
    two = [p.read_bytes() for p in make_pages(finished_tiny.results, tmp_path / "two" / "reports")]
    assert one == two
