"use strict";
// Sorting, filtering, several open cells, one chart of many, saving. Everything else works without a script.
document.documentElement.classList.add("script");

// What a reader sees in a cell: in the heatmap, the text of the view that is on.
function shown(cell) {
  const views = [...cell.querySelectorAll("a > span")];
  const view = views.find((span) => span.offsetParent !== null) || views[0];
  return (view || cell).textContent.trim();
}

function compare(a, b) {
  const x = parseFloat(a), y = parseFloat(b);
  if (Number.isNaN(x) !== Number.isNaN(y)) return Number.isNaN(x) ? 1 : -1;
  return Number.isNaN(x) ? a.localeCompare(b) : x - y;
}

for (const table of document.querySelectorAll("table.sortable")) {
  const heads = [...table.tHead.rows[0].cells];
  heads.forEach((head, column) => {
    const button = head.querySelector("button");
    button.disabled = false;
    button.addEventListener("click", () => {
      const down = head.getAttribute("aria-sort") === "ascending";
      heads.forEach((other) => other.setAttribute("aria-sort", "none"));
      head.setAttribute("aria-sort", down ? "descending" : "ascending");
      const rows = [...table.tBodies[0].rows];
      rows.sort((a, b) => (down ? -1 : 1) * compare(shown(a.cells[column]), shown(b.cells[column])));
      table.tBodies[0].append(...rows);
    });
  });
}

// A name passes if it holds one of the words between the commas.
function passes(name, words) {
  return words.length === 0 || words.some((word) => name.toLowerCase().includes(word));
}

for (const section of document.querySelectorAll(".federation")) {
  const form = section.querySelector(".tools");
  const heat = section.querySelector("table.heat");
  const words = (kind) =>
    form.querySelector(`[data-filter=${kind}]`).value.toLowerCase().split(",").map((word) => word.trim()).filter(Boolean);
  const filter = () => {
    const attacks = words("rows"), rules = words("columns");
    let rows = 0, columns = 0;
    [...heat.tHead.rows[0].cells].slice(1).forEach((head, index) => {
      const good = passes(head.textContent, rules);
      columns += good;
      for (const row of heat.rows) row.cells[index + 1].hidden = !good;
    });
    for (const row of heat.tBodies[0].rows) {
      row.hidden = !passes(row.cells[0].textContent, attacks);
      rows += !row.hidden;
    }
    for (const row of section.querySelector("table.runs").tBodies[0].rows)
      row.hidden = !passes(row.cells[0].textContent, attacks) || !passes(row.cells[1].textContent, rules);
    form.querySelector("output").textContent = attacks.length || rules.length ? `${rows} attacks, ${columns} rules` : "";
  };
  form.addEventListener("input", filter);
  form.addEventListener("submit", (event) => event.preventDefault());
}

// A large page has its details in files beside it. Each calls details() with the HTML of some elements by their ids.
const loaded = {};

function details(blocks) {
  Object.assign(loaded, blocks);
}

// Fill an element whose content is in a file, then go on.
function fill(element, then = () => {}) {
  const file = element.dataset.file;
  if (!file) return then();
  const place = () => {
    if (!element.dataset.file) return then();
    element.innerHTML = loaded[element.id];
    delete element.dataset.file;
    addButtons(element);
    then();
  };
  if (element.id in loaded) return place();
  const script = document.createElement("script");
  script.src = `{{ folder }}/${file}`;
  script.addEventListener("load", place);
  document.head.append(script);
}

for (const text of document.querySelectorAll("pre[data-file]"))
  text.parentElement.addEventListener("toggle", () => fill(text));

// Cells stay open beside each other until they are closed; the one that opens takes the focus.
function openCell() {
  const run = document.querySelector(".run:target");
  if (!run) return;
  fill(run, () => {
    run.classList.add("open");
    mark(run, true);
    run.focus();
  });
}

function mark(run, on) {
  for (const link of document.querySelectorAll(`.heat a[href="#${run.id}"]`)) link.classList.toggle("open", on);
}

addEventListener("click", (event) => {
  if (!event.target.matches(".run .close")) return;
  const run = event.target.closest(".run");
  run.classList.remove("open");
  mark(run, false);
});
addEventListener("hashchange", openCell);
addEventListener("load", openCell);

for (const choice of document.querySelectorAll(".choice")) {
  const select = choice.querySelector("select");
  if (!select) continue;
  const show = () => {
    for (const option of select.options) {
      const chart = document.getElementById(option.value);
      chart.hidden = !option.selected;
      if (option.selected) fill(chart);
    }
  };
  select.addEventListener("change", show);
  show();
}

// Each chart as SVG, with the colours that it has now, and its numbers as CSV; nothing leaves the page.
const STYLE = ["fill", "stroke", "stroke-width", "stroke-dasharray", "stroke-linecap", "stroke-linejoin", "opacity", "text-anchor", "font-family", "font-size", "font-weight"];

function drawn(svg) {
  const copy = svg.cloneNode(true);
  const originals = svg.querySelectorAll("*");
  copy.querySelectorAll("*").forEach((element, index) => {
    const seen = getComputedStyle(originals[index]);
    for (const name of STYLE) element.setAttribute(name, seen.getPropertyValue(name));
    element.removeAttribute("class");
  });
  copy.removeAttribute("data-csv");
  const [, , width, height] = svg.getAttribute("viewBox").split(" ");
  return wrapped(copy.innerHTML, width, height);
}

function wrapped(content, width, height) {
  const paper = getComputedStyle(document.documentElement).backgroundColor;
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" width="${2 * width}" height="${2 * height}"><rect width="100%" height="100%" fill="${paper}"/>${content}</svg>`;
}

function escaped(text) {
  return text.replace(/&/g, "&amp;").replace(/</g, "&lt;").replace(/>/g, "&gt;").replace(/"/g, "&quot;");
}

// The heatmap in the view that is on, without the rows and columns that are filtered out.
function cells(table) {
  return [...table.rows].filter((row) => !row.hidden).map((row) => [...row.cells].filter((cell) => !cell.hidden));
}

// A view's title and its colours with their numbers.
function drawnScale(caption, top, ink) {
  const written = (text, x, y) => `<text x="${x}" y="${y}" font-family="sans-serif" font-size="11" fill="${ink}">${escaped(text)}</text>`;
  let content = written(caption.firstChild.textContent.trim(), 2, top + 17), x = 2;
  for (const part of caption.querySelector(".scale").childNodes) {
    const text = part.textContent.trim();
    if (text) content += written(text, x + 2, top + 37);
    if (part.tagName) content += `<rect x="${x}" y="${top + 26}" width="12" height="14" fill="${getComputedStyle(part).backgroundColor}"/>`;
    x += part.tagName ? 12 : 6 * text.length + 8;
  }
  return content;
}

function drawnHeat(table, caption) {
  const rows = cells(table), ink = getComputedStyle(table).color, high = 26;
  const widest = (column) => 7 * Math.max(...column.map((cell) => label(cell).length)) + 8;
  const wide = Math.max(84, widest(rows[0].slice(1))), left = Math.max(110, widest(rows.map((row) => row[0])));
  let content = drawnScale(caption, rows.length * high, ink);
  rows.forEach((row, i) => row.forEach((cell, j) => {
    const shown = [...cell.querySelectorAll("a > span")].find((span) => span.offsetParent !== null);
    const filled = shown && !shown.classList.contains("empty");
    const x = j ? left + (j - 1) * wide : 0, y = i * high;
    if (filled) content += `<rect x="${x + 1}" y="${y + 1}" width="${wide - 2}" height="${high - 2}" fill="${getComputedStyle(shown).backgroundColor}"/>`;
    const place = j ? `x="${x + wide / 2}" text-anchor="middle"` : `x="2"`;
    const bold = shown && shown.classList.contains("worst") ? ` font-weight="bold"` : "";
    content += `<text ${place} y="${y + 17}" font-family="sans-serif" font-size="11" fill="${filled ? "#101418" : ink}"${bold}>${escaped(label(cell))}</text>`;
  }));
  const width = Math.max(left + (rows[0].length - 1) * wide, 6.5 * caption.firstChild.textContent.length);
  return wrapped(content, width, rows.length * high + 46);
}

function label(cell) {
  return cell.tagName === "TD" ? shown(cell) : cell.textContent.trim();
}

function field(text) {
  const safe = /^[=+@-]/.test(text) && Number.isNaN(Number(text)) ? `'${text}` : text;
  return /[",\n]/.test(safe) ? `"${safe.replace(/"/g, '""')}"` : safe;
}

function save(name, type, content) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([content], { type }));
  link.download = name.toLowerCase().replace(/[^a-z0-9]+/g, "-").replace(/^-|-$/g, "") + (type === "text/csv" ? ".csv" : ".svg");
  link.click();
  URL.revokeObjectURL(link.href);
}

function addButtons(root) {
  for (const figure of root.querySelectorAll("figure")) addButtonsTo(figure);
}

function addButtonsTo(figure) {
  const svg = figure.querySelector("svg[data-csv]"), heat = figure.querySelector("table.heat");
  if (!svg && !heat) return;
  const run = figure.closest(".run");
  const view = () => [...figure.querySelectorAll(".of-view")].find((each) => each.offsetParent !== null);
  const name = () => (svg ? `${run ? run.querySelector("h3").firstChild.textContent : ""} ${svg.getAttribute("aria-label")}` : `heatmap ${view().dataset.name}`);
  const kinds = {
    SVG: () => save(name(), "image/svg+xml", svg ? drawn(svg) : drawnHeat(heat, view())),
    CSV: () => save(name(), "text/csv", svg ? svg.getAttribute("data-csv") : cells(heat).map((row) => row.map((cell) => field(label(cell))).join(",") + "\n").join("")),
  };
  const buttons = document.createElement("span");
  buttons.className = "save";
  for (const [kind, action] of Object.entries(kinds)) {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = kind;
    button.title = `Save as ${kind}`;
    button.addEventListener("click", action);
    buttons.append(button);
  }
  figure.querySelector("figcaption").append(buttons);
}

addButtons(document);
