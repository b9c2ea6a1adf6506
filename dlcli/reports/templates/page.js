"use strict";

const settings = JSON.parse(document.getElementById("settings").textContent);
const options = {
  mode: "vega-lite",
  ast: true, // expressions are interpreted: the page allows no `eval`
  renderer: "svg",
  actions: false,
  defaultStyle: false,
  tooltip: { disableDefaultStyle: true },
  config: settings,
};

async function draw(figure) {
  const spec = JSON.parse(figure.querySelector("script").textContent);
  const choice = figure.querySelector("[data-log]");
  for (const part of choice ? spec.layer : []) {
    const y = part.encoding.y;
    if (!y?.scale) continue;
    y.scale.type = choice.checked ? "log" : "linear";
    y.axis = { ...y.axis, labelExpr: choice.checked ? choice.dataset.log : "datum.label" };
  }
  figure.drawing?.finalize();
  figure.drawing = await vegaEmbed(figure.querySelector(".canvas"), spec, options);
}

// Charts are drawn one after the other, so the page can be scrolled in between. Folded charts have
// no width and are drawn when they are opened.
function drawAll() {
  const waiting = [...document.querySelectorAll("figure.chart")].filter(
    (figure) => figure.querySelector(".canvas") && !figure.isBegun && figure.offsetParent !== null,
  );
  for (const figure of waiting) {
    figure.isBegun = true;
    document.documentElement.charts = document.documentElement.charts
      .then(() => draw(figure))
      .catch((error) => console.error("a chart could not be drawn:", error));
  }
}

document.documentElement.charts = Promise.resolve();
for (const fold of document.querySelectorAll("details.fold")) {
  fold.addEventListener("toggle", drawAll);
}
for (const choice of document.querySelectorAll("[data-log]")) {
  choice.addEventListener("change", () => draw(choice.closest("figure")));
}
drawAll();

// The contents mark the section that is at the top of the window.
const links = new Map(
  [...document.querySelectorAll("nav a")].map((link) => [link.getAttribute("href").slice(1), link]),
);
const watcher = new IntersectionObserver(
  (entries) => {
    for (const { target, isIntersecting } of entries) {
      if (!isIntersecting) continue;
      for (const link of links.values()) link.removeAttribute("aria-current");
      links.get(target.id)?.setAttribute("aria-current", "true");
    }
  },
  { rootMargin: "-10% 0px -85% 0px" },
);
for (const section of document.querySelectorAll("section")) watcher.observe(section);

// The headers of a sortable table are buttons, which sort its rows and reverse their order. A cell may
// have a name before its number, such as `RMSE 2.5`.
const NUMBER = /^(?:(.*)\s)?([−-]?[\d,]*\.?\d+(?:e[−+-]?\d+)?)(?:\s?%)?$/i;

function sortKey(row, column) {
  const text = row.cells[column].textContent.trim();
  const [, name = "", digits] = NUMBER.exec(text) ?? [];
  if (digits === undefined) return { name: text };
  return { name, number: parseFloat(digits.replaceAll("−", "-").replaceAll(",", "")) };
}

function compareKeys(a, b) {
  const areNumbers = [a, b].map((key) => key.number !== undefined);
  if (areNumbers[0] !== areNumbers[1]) return areNumbers[0] ? -1 : 1;
  const order = a.name.localeCompare(b.name, undefined, { numeric: true });
  return order || (areNumbers[0] ? a.number - b.number : 0);
}

function sortRows(table, header) {
  const ascending = header.getAttribute("aria-sort") !== "ascending";
  const column = header.cellIndex;
  const sorted = [...table.tBodies[0].rows]
    .map((row) => [sortKey(row, column), row])
    .sort(([a], [b]) => compareKeys(a, b) * (ascending ? 1 : -1));
  table.tBodies[0].append(...sorted.map(([, row]) => row));
  for (const each of table.tHead.rows[0].cells) each.removeAttribute("aria-sort");
  header.setAttribute("aria-sort", ascending ? "ascending" : "descending");
}

for (const table of document.querySelectorAll("table.sortable")) {
  for (const header of table.tHead.rows[0].cells) {
    const button = document.createElement("button");
    button.append(...header.childNodes);
    button.addEventListener("click", () => sortRows(table, header));
    header.append(button);
  }
}
