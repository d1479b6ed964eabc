"""The details of a large page: in files beside it, loaded when they are opened; a small page has them itself."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

import pytest
from made_records import made

from gradskew.cli.publishing import publish, report_html
from gradskew.report.page import details
from gradskew.report.table import Table

HOSTILE = "</script><img src=x onerror=alert(1)>'\"&{{7*7}}"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("details")


@pytest.fixture(scope="module")
def table(folder: Path) -> Table:
    return made(folder, seeds=1)


@pytest.fixture
def large(monkeypatch: pytest.MonkeyPatch) -> None:
    """A page with more than 20,000 characters of details is large."""
    monkeypatch.setattr(details, "MOST", 20_000)
    monkeypatch.setattr(details, "PART", 30_000)


def blocks(out: Path) -> dict[str, str]:
    """The HTML of all files beside a page by id."""
    found: dict[str, str] = {}
    for path in (out / "report-details").iterdir():
        call = re.fullmatch(r"details\((.*)\);\n", path.read_text(), re.DOTALL)
        assert call
        of_file = json.loads(call.group(1))
        assert not found.keys() & of_file.keys()
        found |= of_file
    return found


def test_a_large_page_is_the_small_one_with_its_details_in_files(
    folder: Path, table: Table, tmp_path: Path, large: None
) -> None:
    whole = report_html([table], folder)
    page = report_html([table], folder, beside=tmp_path)
    in_files = blocks(tmp_path)
    assert len(list((tmp_path / "report-details").iterdir())) > 2
    assert len(page) < len(whole) / 2
    assert {f"run-0-{i}-{j}" for i in range(2) for j in range(2)} < in_files.keys()
    for anchor, block in in_files.items():
        element = re.search(rf' id="{anchor}"[^>]*>', page).group()
        assert page.count(element) == 1
        page = page.replace(element, re.sub(' data-file="[0-9a-f]{16}.js"', "", element) + block)
    assert page.replace(" &#39;strict-dynamic&#39;", "") == whole


def test_a_page_that_becomes_small_again_leaves_no_details(
    folder: Path, table: Table, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(details, "MOST", 20_000)
    assert "report-details" in publish([table], folder, tmp_path)
    few = Table(record for record in table.records if record.spec["aggregator_name"] == "median")
    assert "report-details" in publish([few], folder, tmp_path)
    assert {f"{path.name}" for path in (tmp_path / "report-details").iterdir()} == set(
        re.findall(r'data-file="(.*?)"', (tmp_path / "report.html").read_text())
    )
    (tmp_path / "report-details" / "notes.js").write_text("of the user")
    monkeypatch.undo()
    assert "report-details" in publish([table], folder, tmp_path)
    assert [path.name for path in (tmp_path / "report-details").iterdir()] == ["notes.js"]
    (tmp_path / "report-details" / "notes.js").unlink()
    assert "report-details" not in publish([table], folder, tmp_path)
    assert not (tmp_path / "report-details").exists()
    assert (tmp_path / "report.html").read_text() == report_html([table], folder)


def test_equal_records_give_equal_files(folder: Path, table: Table, tmp_path: Path, large: None) -> None:
    for name in ("a", "b"):
        report_html([table], folder, beside=tmp_path / name)
    assert blocks(tmp_path / "a") == blocks(tmp_path / "b")
    first, second = ({path.name for path in (tmp_path / name).rglob("*.js")} for name in ("a", "b"))
    assert first == second


def hostile(table: Table) -> Table:
    return Table(
        replace(record, spec={**record.spec, "attack_name": record.spec["attack_name"] + HOSTILE})
        for record in table.records
    )


def test_hostile_names_in_files_are_only_text(folder: Path, table: Table, tmp_path: Path, large: None) -> None:
    page = report_html([hostile(table)], folder, title=HOSTILE, beside=tmp_path)
    for text in (page, *blocks(tmp_path).values()):
        assert "<img" not in text
        assert text.count("</script>") == (text is page)
    assert "&lt;img src=x onerror=alert(1)&gt;" in blocks(tmp_path)["run-0-0-0"]


# In a browser; by default one of these tests starts it


@pytest.fixture
def opened(browser, folder: Path, table: Table, tmp_path: Path, large: None):
    """Open a large page from disk; at the end, check that the console is empty."""
    path = tmp_path / "report.html"
    path.write_text(report_html([hostile(table)], folder, title=HOSTILE, beside=tmp_path))
    page = browser.new_page()
    happened: list[str] = []
    page.on("console", lambda message: happened.append(message.text))
    page.on("pageerror", lambda error: happened.append(str(error)))
    page.on("dialog", lambda dialog: (happened.append(dialog.message), dialog.dismiss()))
    page.goto(path.as_uri())
    yield page
    assert happened == []
    assert page.query_selector_all("img") == []
    page.close()


def test_a_cell_is_loaded_when_it_is_opened(opened, table: Table) -> None:
    assert opened.query_selector_all("article.run svg") == []
    opened.click("table.heat tbody tr:nth-child(2) td:nth-child(2) a")
    opened.wait_for_selector("article.run.open svg")
    assert opened.inner_text("article.run.open h3").startswith(f"strike{HOSTILE} against multikrum")
    assert len(opened.query_selector_all("article.run.open svg")) >= 6
    with opened.expect_download() as download:
        opened.click("article.run.open figure:first-child .save button:text-is('CSV')")
    rows = Path(download.value.path()).read_text().splitlines()
    assert [float(row.split(",")[-1]) for row in rows[1:]] == pytest.approx(
        table.cells["strike", "multikrum"].records[0].accuracies, rel=1e-5
    )
    opened.click("article.run.open .close")
    assert not opened.query_selector("article.run.open")


@pytest.mark.processes
def test_a_chart_and_a_text_are_loaded_when_they_are_chosen(opened, table: Table) -> None:
    label = f"Test accuracy of all rules under none{HOSTILE}"
    opened.select_option(".choice select", label=f"none{HOSTILE}")
    opened.wait_for_selector("#attack-0-0 svg")
    assert opened.get_attribute("#attack-0-0 svg", "aria-label") == label
    opened.click("summary:text-is('CSV')")
    opened.wait_for_selector("#copy-0-2:not([data-file])")
    assert opened.inner_text("#copy-0-2").count("\n") >= len(table.records)


@pytest.mark.processes
def test_a_link_to_a_cell_opens_it(opened) -> None:
    opened.goto(opened.url + "#run-0-1-0")
    opened.reload()
    opened.wait_for_selector("#run-0-1-0.open svg")


@pytest.mark.processes
def test_a_page_without_its_folder_says_what_it_lacks(
    browser, folder: Path, table: Table, tmp_path: Path, large
) -> None:
    path = tmp_path / "elsewhere.html"
    path.write_text(report_html([table], folder, beside=tmp_path / "not here"))
    page = browser.new_page()
    page.goto(path.as_uri())
    page.click("table.heat tbody td a")
    said = page.evaluate("getComputedStyle(document.querySelector('.run:target'), '::before').content")
    assert "report-details" in said
    page.close()
