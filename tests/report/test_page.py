"""report.html: what it says, what it escapes, how large it is; and in a real browser, that it works."""

from __future__ import annotations

import csv
import html
import json
import re
from pathlib import Path
from statistics import fmean
from xml.etree import ElementTree

import pytest
from made_records import made

from gradskew import aggregators, attacks
from gradskew.cli.publishing import report_html
from gradskew.report.cell import Cell
from gradskew.report.page import svg
from gradskew.report.page.cells import open_cell
from gradskew.report.page.views import views
from gradskew.report.table import Table, federations
from gradskew.runs.record import Record
from gradskew.runs.store import Store

HOSTILE = "</script><img src=x onerror=alert(1)>'\"&{{7*7}}"


def renamed(record: Record, **spec: str) -> Record:
    return Record({**record.spec, **spec}, record.rounds, record.params_sha256, record.class_counts)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("page")
    made(folder)
    return folder


@pytest.fixture(scope="module")
def table(folder: Path) -> Table:
    (table,) = federations(Store(folder).all())
    return table


def test_it_says_what_the_records_say(folder: Path, table: Table) -> None:
    text = report_html([table], folder)
    for (attack, rule), cell in table.cells.items():
        assert f"{attack} against {rule}" in text
        assert cell.text in text
    for record in table.records:
        assert f"{record.accuracy:.2f}" in text
    assert "gradskew bench --dataset digits" in text
    assert "gradient skew" in text
    assert text.count('<article class="run"') == 4
    assert r"\toprule" in text
    timing = Store(folder).timing(table.records[0].digest)
    assert timing["torch"] in text


def test_the_same_records_give_the_same_bytes(folder: Path, table: Table) -> None:
    again = federations(reversed(list(Store(folder).all())))
    assert report_html(again, folder) == report_html([table], folder)


def test_it_needs_nothing_but_itself(folder: Path, table: Table) -> None:
    text = report_html([table], folder)
    assert not re.search(r"""(?:src|href)\s*=\s*["'](?!#)""", text)
    assert "url(" not in text
    assert "@import" not in text
    assert "default-src 'none'" in html.unescape(text)
    assert str(folder) not in text


def test_hostile_text_is_only_text(folder: Path, table: Table) -> None:
    """Whatever a record says of names, versions or paths, no tag of it survives."""
    names = ("attack_name", "aggregator_name")
    records = [
        renamed(record, dataset=HOSTILE, torch=HOSTILE, **{name: record.spec[name] + HOSTILE for name in names})
        for record in table.records
    ]
    text = report_html([Table(records)], folder, title=HOSTILE)
    assert "<img" not in text
    assert text.count("</script>") == 1
    assert "49" not in re.findall(r"<h1>(.*?)</h1>", text)[0]
    assert "&lt;img src=x onerror=alert(1)&gt;" in text


@pytest.mark.parametrize("changes", [{"rounds": 1}, {"lens": False}, {"byzantine": 0}], ids=str)
def test_small_federations_have_a_page(changes: dict[str, object], tmp_path: Path) -> None:
    table = made(tmp_path, sent="strike", rules="median", seeds=1, **changes)
    text = report_html([table], tmp_path)
    assert "strike against median" in text
    assert "nan" not in re.sub(r"<style>.*?</style>|<script>.*?</script>", "", text, flags=re.DOTALL).lower().split()
    assert ("have no lens" in text) == (changes.get("lens") is False)


def test_a_store_without_timings_and_pictures_is_enough(folder: Path, table: Table, tmp_path: Path) -> None:
    assert "strike against median" in report_html([table], tmp_path)


@pytest.mark.slow
def test_nine_by_eight_by_three_is_about_five_megabytes(folder: Path, table: Table, tmp_path: Path) -> None:
    """A record of 60 rounds and 50 clients is made of one of 3 rounds and 12: each round drawn out to 50 clients."""
    store = Store(folder)
    source = table.cells["strike", "multikrum"].records[0]
    drawn = [picture.to_json() for picture in store.pictures(source.digest)]
    for picture in drawn:
        picture |= {"honest": (picture["honest"] * 5)[:40], "skewed": (picture["skewed"] * 5)[:40]}
    records = []
    for number, name in enumerate(attacks.PAPER):
        for rule in aggregators.names()[:8]:
            for seed in range(3):
                rounds = []
                for t in range(60):
                    seen = dict(source.rounds[t % 3]["lens"])
                    seen["clients"] = None
                    for kind in ("towards", "principal"):
                        seen[kind] = [round(value + 0.01 * (t + number), 4) for value in (seen[kind] * 4)[:40]]
                    seen["shut_out"] = [client for client in range(10, 50) if (client * 7 + t) % 4 == 0]
                    rounds.append(
                        {**source.rounds[t % 3], "round": t, "accuracy": 40 + (t * 7 + seed) % 50 + 0.25, "lens": seen}
                    )
                spec = {**source.spec, "attack_name": name, "aggregator_name": rule, "seed": seed}
                spec |= {"clients": 50, "byzantine": 10, "sampled": 50, "rounds": 60}
                record = Record(spec, rounds, "0" * 64, [[5] * 10] * 50)
                records.append(record)
                where = tmp_path / "runs" / record.digest
                where.mkdir(parents=True)
                (where / "pictures.json").write_text(json.dumps(drawn))
    text = report_html([Table(records)], tmp_path)
    assert text.count('<article class="run"') == 72
    assert len(text.encode()) < 5_500_000


def test_an_opened_cell_has_means_over_seeds_or_says_which_seed(folder: Path, table: Table) -> None:
    """Two seeds: means of both records' numbers. Clients and pictures are of one of them, as each seed deals anew."""
    cell, usual = table.cells["strike", "multikrum"], table.cells["none", "multikrum"]
    pictures = {record.digest: Store(folder).pictures(record.digest) for record in table.records}
    figures = open_cell(table, "x", ("strike", "multikrum"), pictures).figures
    captions = {re.search('aria-label="(.*?)"', chart).group(1): caption for chart, caption in figures}
    columns = {}
    for chart, _ in figures:
        head, *rows = csv.reader(html.unescape(re.search('data-csv="(.*?)"', chart, re.DOTALL).group(1)).splitlines())
        label = re.search('aria-label="(.*?)"', chart).group(1)
        columns |= {(label, name): [row[i] for row in rows] for i, name in enumerate(head)}

    def mean(of: Cell, name: str) -> list[float]:
        return [fmean(values) for values in zip(*(lens.series(name) for lens in of.lenses), strict=True)]

    def shown(label: str, name: str) -> object:
        return pytest.approx([float(value) for value in columns[label, name]], rel=1e-5)

    accuracies = [fmean(pair) for pair in zip(*(record.accuracies for record in usual.records), strict=True)]
    assert accuracies == shown("Test accuracy by round", "without an attack")
    assert mean(usual, "kappa") == shown("Empirical kappa by round", "without an attack")
    selected = [100 * value for value in mean(cell, "selected")]
    assert selected == shown("Weight of the Byzantine rows", "part of them chosen")
    assert mean(cell, "skewness") == shown("Skewness by round", "skewness")
    for label in ("Test accuracy by round", "Empirical kappa by round"):
        assert captions[label].endswith("Grey: without an attack, mean over seeds.")
    assert "towards their median, mean over seeds; 0" in captions["Skewness by round"]
    assert captions["Weight of the Byzantine rows"].endswith("chosen, mean over seeds.")
    assert captions["Honest clients shut out, client by round"].startswith("Honest clients of seed 0 (down)")
    assert captions["Accuracy by class"].startswith("Accuracy by class, mean over seeds.")
    drawn = [caption for caption in captions.values() if "against multikrum" in caption]
    assert drawn
    assert all(re.match(r"Round \d+, seed 0, ", caption) for caption in drawn)
    pictures[cell.records[0].digest] = []
    drawn = [caption for _, caption in open_cell(table, "x", ("strike", "multikrum"), pictures).figures]
    assert any(re.match(r"Round \d+, seed 1, ", caption) for caption in drawn)


def test_an_opened_cell_of_one_seed_names_no_seed(folder: Path, table: Table) -> None:
    alone = Table(record for record in table.records if record.spec["seed"] == 1)
    pictures = {record.digest: Store(folder).pictures(record.digest) for record in alone.records}
    for _, caption in open_cell(alone, "x", ("strike", "multikrum"), pictures).figures:
        assert "seed" not in caption


# In a browser; by default one of these tests starts it


@pytest.fixture
def opened(browser, folder: Path, table: Table, tmp_path: Path):
    """Open the page from disk; at the end, check that the console is empty and that nothing else was requested."""
    path = tmp_path / "report.html"
    path.write_text(report_html([table], folder))
    page = browser.new_page()
    messages: list[str] = []
    requested: list[str] = []
    page.on("console", lambda message: messages.append(message.text))
    page.on("pageerror", lambda error: messages.append(str(error)))
    page.on("request", lambda request: requested.append(request.url))
    page.goto(path.as_uri())
    yield page
    assert messages == []
    assert [url for url in requested if not url.startswith(path.as_uri())] == []
    page.close()


def names(page, selector: str) -> list[str]:
    return [each.inner_text().split()[0] for each in page.query_selector_all(selector) if each.is_visible()]


def test_a_cell_opens_by_click_and_closes(opened) -> None:
    assert names(opened, "article.run h3") == []
    opened.click("table.heat tbody tr:nth-child(2) td:nth-child(2) a")
    (heading,) = [each.inner_text() for each in opened.query_selector_all("article.run h3") if each.is_visible()]
    assert heading.startswith("strike against multikrum")
    assert len(opened.query_selector_all("article.run:target svg")) >= 6
    opened.click("article.run:target .close")
    assert names(opened, "article.run h3") == []


@pytest.mark.processes
def test_several_cells_are_open_at_once(opened) -> None:
    for column in (2, 3):
        opened.click(f"table.heat tbody tr:nth-child(2) td:nth-child({column}) a")
    assert names(opened, "article.run h3") == ["strike", "strike"]
    assert len(opened.query_selector_all("table.heat a.open")) == 2
    opened.click("article.run.open .close")
    assert names(opened, "article.run h3") == ["strike"]
    assert len(opened.query_selector_all("table.heat a.open")) == 1


@pytest.mark.processes
def test_the_first_screen_has_the_ranking_and_the_heatmap(opened) -> None:
    opened.set_viewport_size({"width": 1280, "height": 800})
    for selector in (".ranking svg", "table.heat", "fieldset.views"):
        box = opened.query_selector(selector).bounding_box()
        assert box["y"] + box["height"] < 800
    assert opened.query_selector(".verdict").bounding_box()["y"] > 800


@pytest.mark.processes
def test_the_mark_follows_the_view(opened) -> None:
    marked = "table.heat span.worst"
    for number in range(1, len(opened.query_selector_all("fieldset.views input")) + 1):
        opened.check(f"fieldset.views label:nth-of-type({number}) input")
        seen = [each.get_attribute("class") for each in opened.query_selector_all(marked) if each.is_visible()]
        assert all(f"v{number - 1} " in each for each in seen)
        assert len([each for each in opened.query_selector_all(".scale") if each.is_visible()]) == 1


@pytest.mark.processes
def test_one_chart_of_many_is_chosen(opened) -> None:
    shown = ".choice:first-of-type svg"
    before = [each.get_attribute("aria-label") for each in opened.query_selector_all(shown) if each.is_visible()]
    assert before == ["Test accuracy of all rules under strike"]
    opened.select_option(".choice:first-of-type select", label="none")
    after = [each.get_attribute("aria-label") for each in opened.query_selector_all(shown) if each.is_visible()]
    assert after == ["Test accuracy of all rules without an attack"]


@pytest.mark.processes
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_charts_are_saved_offline(opened, scheme: str, tmp_path: Path, table: Table) -> None:
    """As SVG with the colours that it has on the page, and as CSV."""
    opened.emulate_media(color_scheme=scheme)
    opened.click("table.heat tbody tr:nth-child(2) td:nth-child(2) a")
    saved = {}
    for selector in (".ranking", ".heatmap", "article.run:target figure:first-child"):
        for kind in ("SVG", "CSV"):
            with opened.expect_download() as download:
                opened.click(f"{selector} .save button:text-is('{kind}')")
            path = tmp_path / download.value.suggested_filename
            download.value.save_as(path)
            saved[path.name] = path.read_text()
    assert sorted(saved) == [
        *("heatmap-accuracy.csv", "heatmap-accuracy.svg"),
        *("rules-by-the-worst-found.csv", "rules-by-the-worst-found.svg"),
        *("strike-against-multikrum-test-accuracy-by-round.csv", "strike-against-multikrum-test-accuracy-by-round.svg"),
    ]
    for name, content in saved.items():
        if name.endswith(".svg"):
            root = ElementTree.fromstring(content)
            assert root.tag == "{http://www.w3.org/2000/svg}svg"
            assert "var(" not in content
            assert "class=" not in content
            assert len([each for each in root.iter() if each.tag.endswith("text")]) > 4
    rows = list(csv.reader(saved["heatmap-accuracy.csv"].splitlines()))
    assert rows[0] == ["attack", *table.rules]
    texts = {(row[0], rule): text for row in rows[1:] for rule, text in zip(table.rules, row[1:], strict=True)}
    assert texts == {key: cell.text for key, cell in table.cells.items()}
    curve = list(csv.reader(saved["strike-against-multikrum-test-accuracy-by-round.csv"].splitlines()))
    first, second = table.cells["strike", "multikrum"].records
    assert curve[0] == ["round", "without an attack", "seed 0", "seed 1"]
    assert [float(row[2]) for row in curve[1:]] == pytest.approx(first.accuracies, rel=1e-5)
    assert [float(row[3]) for row in curve[1:]] == pytest.approx(second.accuracies, rel=1e-5)


@pytest.mark.processes
def test_saved_files_say_which_view_and_which_picture_they_are_of(opened, tmp_path: Path, table: Table) -> None:
    """The pictures of a round by PCA and by LLE have names and a legend of their own."""
    opened.check("fieldset.views label:nth-of-type(2) input")
    opened.click("table.heat tbody tr:nth-child(2) td:nth-child(2) a")
    saved = {}
    pictures = [f"article.run:target figure:has(svg[aria-label$='by {method}'])" for method in ("PCA", "LLE")]
    for selector in (".heatmap", *pictures):
        with opened.expect_download() as download:
            opened.locator(selector).first.locator(".save button:text-is('SVG')").click()
        path = tmp_path / download.value.suggested_filename
        download.value.save_as(path)
        root = ElementTree.fromstring(path.read_text())
        saved[path.stem] = [each.text for each in root.iter("{http://www.w3.org/2000/svg}text")]
    names = [name.removeprefix("strike-against-multikrum-") for name in saved]
    assert names[0] == "heatmap-points-lost"
    assert re.fullmatch(r"updates-of-round-\d+-by-pca", names[1])
    assert re.fullmatch(r"updates-of-round-\d+-by-lle", names[2])
    heat, *drawn = saved.values()
    assert "Points of accuracy lost against the same rule without an attack." in heat
    (lost,) = [view for view in views(table) if view.name == "points lost"]
    assert {*lost.legend} <= {*heat}
    for texts in drawn:
        assert {"Byzantine updates", "mean of the honest updates", "result of the rule"} <= {*texts}


@pytest.mark.processes
def test_without_a_script_every_chart_is_there(browser, folder: Path, table: Table, tmp_path: Path) -> None:
    path = tmp_path / "report.html"
    path.write_text(report_html([table], folder))
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(path.as_uri())
    drawn = [each for each in page.query_selector_all(".choice svg") if each.is_visible()]
    assert len(drawn) == len(table.attacks) + len(table.rules) + 2  # and who holds what, for two seeds
    page.click("table.heat tbody td a")
    assert len([each for each in page.query_selector_all("article.run") if each.is_visible()]) == 1
    context.close()


@pytest.mark.processes
def test_a_cell_opens_by_keyboard(opened) -> None:
    opened.focus("table.heat tbody td a")
    opened.keyboard.press("Enter")
    assert len(names(opened, "article.run h3")) == 1


@pytest.mark.processes
def test_rows_sort_by_click_and_keyboard(opened, table: Table) -> None:
    column = table.column("median")
    usual, attacked = column["none"].mean, column["strike"].mean
    button = opened.locator("table.heat thead th:nth-child(3) button")
    button.click()
    first = names(opened, "table.heat tbody th")
    assert opened.get_attribute("table.heat thead th:nth-child(3)", "aria-sort") in ("ascending", "descending")
    button.press("Enter")
    second = names(opened, "table.heat tbody th")
    assert usual != attacked
    assert sorted([first, second]) == [["none", "strike"], ["strike", "none"]]


@pytest.mark.processes
def test_rows_and_columns_are_filtered(opened) -> None:
    opened.fill("input[data-filter=rows]", "strike")
    assert names(opened, "table.heat tbody th") == ["strike"]
    opened.fill("input[data-filter=rows]", "")
    assert names(opened, "table.heat tbody th") == ["none", "strike"]
    opened.fill("input[data-filter=columns]", "median")
    assert names(opened, "table.heat thead th") == ["attack", "median"]


@pytest.mark.processes
def test_views_change_what_cells_show(opened) -> None:
    before = opened.inner_text("table.heat tbody tr:nth-child(2) td:nth-child(2)")
    opened.check("fieldset.views label:nth-of-type(2) input")
    assert opened.inner_text("table.heat tbody tr:nth-child(2) td:nth-child(2)") != before


@pytest.mark.processes
def test_a_phone_shows_it_without_scrolling_sideways(opened) -> None:
    for width in (375, 390):
        opened.set_viewport_size({"width": width, "height": 700})
        opened.click("table.heat tbody td a")
        opened.evaluate("for (const each of document.querySelectorAll('details')) each.open = true")
        assert opened.evaluate("document.documentElement.scrollWidth") <= width


@pytest.mark.processes
def test_on_a_phone_a_rule_is_a_card_with_its_words_across_the_screen(opened) -> None:
    opened.set_viewport_size({"width": 390, "height": 844})
    rows = opened.query_selector_all("table.stacked tbody tr:has(.words)")
    assert len(rows) > 2
    for row in rows:
        words = row.query_selector(".words").bounding_box()
        assert words["width"] > 340
        assert row.bounding_box()["height"] - words["height"] < 120  # the name and two or three lines of numbers
    assert not opened.query_selector("table.stacked thead").is_visible()
    opened.set_viewport_size({"width": 1280, "height": 800})
    assert opened.query_selector("table.stacked thead").is_visible()


@pytest.mark.processes
def test_it_follows_a_dark_scheme(opened) -> None:
    def paper() -> str:
        return opened.evaluate("getComputedStyle(document.documentElement).backgroundColor")

    opened.emulate_media(color_scheme="light")
    assert paper() == "rgb(255, 255, 255)"
    opened.emulate_media(color_scheme="dark")
    assert max(map(int, re.findall(r"\d+", paper())[:3])) < 64


@pytest.mark.processes
def test_hostile_names_run_nothing(browser, folder: Path, table: Table, tmp_path: Path) -> None:
    records = [renamed(record, attack_name=record.spec["attack_name"] + HOSTILE) for record in table.records]
    path = tmp_path / "report.html"
    path.write_text(report_html([Table(records)], folder, title=HOSTILE))
    page = browser.new_page()
    happened: list[str] = []
    page.on("dialog", lambda dialog: (happened.append(dialog.message), dialog.dismiss()))
    page.on("pageerror", lambda error: happened.append(str(error)))
    page.goto(path.as_uri())
    page.click("table.heat tbody td a")
    assert happened == []
    assert page.query_selector_all("img") == []
    page.close()


@pytest.mark.processes
def test_no_label_of_a_tick_is_cut(browser) -> None:
    """Labels of up to nine characters lie inside the chart, whatever the values are."""
    page = browser.new_page()
    for values in ([0.00125, 0.00375], [-123456.0, 2.0], [-1.5e-07, 2e-07], [12345.25, 12345.75], [97.0, 99.0]):
        chart = svg.lines("x", [svg.Line("a", svg.line_style(0), [0, 1], values)])
        style = "svg text { font: 10px 'DejaVu Sans', sans-serif } svg .r { text-anchor: end }"
        page.set_content(f"<style>{style}</style>{chart}")
        least = "Math.min(...[...document.querySelectorAll('text.r')].map((each) => each.getBBox().x))"
        assert page.evaluate(least) >= 0
    page.close()


@pytest.mark.parametrize(
    "values",
    [
        [0.5, 0.5],
        [0.5, 0.5 + 1e-12],
        [0.0, 0.0],
        [-3.0, -3.0],
        [1e9, 1e9],
        [1e9, 1e9 + 1],
        [97.031, 97.032],
        [1e-200] * 2,
    ],
    ids=str,
)
def test_the_labels_of_an_axis_differ(values: list[float]) -> None:
    """Also those of a constant, and of values that differ in the seventh digit; the values are within them."""
    chart = svg.lines("x", [svg.Line("a", svg.line_style(0), [0, 1], values)])
    labels = [float(text) for text in re.findall(r'class="r">(.*?)</text>', chart)]
    assert len({*labels}) == len(labels) >= 2
    assert labels[0] <= min(values) <= max(values) <= labels[-1]


def test_points_that_hardly_differ_have_coordinates() -> None:
    """The scale of the smallest number would be infinite, and infinity times 0 is NaN."""
    for far in (5e-324, 1e-300, 1e100):
        chart = svg.points("x", [("a", "other", [(0.0, 0.0), (far, -far)])])
        assert not re.search("nan|inf", chart)
