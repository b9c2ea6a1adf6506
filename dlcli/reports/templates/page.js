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
  if (figure.querySelector("[data-log]")?.checked) {
    for (const part of [spec, ...(spec.layer ?? [])]) {
      if (part.encoding?.y?.scale) part.encoding.y.scale.type = "log";
    }
  }
  figure.drawing?.finalize();
  figure.drawing = await vegaEmbed(figure.querySelector(".canvas"), spec, options);
}

// Charts are drawn one after the other, so that the page can be scrolled meanwhile. Folded charts
// have no width to draw in and wait until they are opened.
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
