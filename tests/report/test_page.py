"""report.html: what it says, what it escapes, how large it is; and in a real browser, that it works."""

from __future__ import annotations

import html
import json
import re
from pathlib import Path

import pytest
from made_records import made

from gradskew import aggregators, attacks
from gradskew.cli.publishing import report_html
from gradskew.report.page import svg
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
def test_nine_by_eight_by_three_is_under_five_megabytes(folder: Path, table: Table, tmp_path: Path) -> None:
    """A record of 60 rounds and 50 clients is made of one of 3 rounds and 12: each round drawn out to 50 clients."""
    store = Store(folder)
    source = table.cells["strike", "multikrum"].records[0]
    drawn = [picture.to_json() for picture in store.pictures(source.digest)]
    for picture in drawn:
        picture |= {"honest": (picture["honest"] * 5)[:40], "skewed": (picture["skewed"] * 5)[:40]}
    records = []
    for number, name in enumerate(attacks.names()):
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
    assert len(text.encode()) < 5_000_000


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
    opened.set_viewport_size({"width": 375, "height": 700})
    opened.click("table.heat tbody td a")
    opened.evaluate("for (const each of document.querySelectorAll('details')) each.open = true")
    assert opened.evaluate("document.documentElement.scrollWidth") <= 375


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


def test_points_that_hardly_differ_have_coordinates() -> None:
    """The scale of the smallest number would be infinite, and infinity times 0 is NaN."""
    for far in (5e-324, 1e-300, 1e100):
        chart = svg.points("x", [("a", "other", [(0.0, 0.0), (far, -far)])])
        assert not re.search("nan|inf", chart)
