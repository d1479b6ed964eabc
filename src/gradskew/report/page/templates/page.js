"use strict";
// Sorting and filtering. Everything else on the page works without a script.
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

// A cell that opens takes the focus, so that the keyboard goes on from there.
addEventListener("hashchange", () => {
  const run = document.querySelector(".run:target");
  if (run) run.focus();
});
