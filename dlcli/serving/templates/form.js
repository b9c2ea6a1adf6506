"use strict";
// Asks for the prediction of the row in the form as one types, and shows it.
const settings = JSON.parse(document.getElementById("settings").textContent);
const form = document.getElementById("form");
const fields = [...form.querySelectorAll(".field")];
const SVG = "http://www.w3.org/2000/svg";
const WAIT = 150;  // milliseconds after the last key
let asked = 0, timer = 0;

function make(parent, name, text, attributes = {}) {
  const svg = name === "svg" || parent.namespaceURI === SVG;
  const made = svg ? document.createElementNS(SVG, name) : document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  if (text !== undefined) made.textContent = text;
  return parent.appendChild(made);
}

const withMinus = (text) => text.replace("-", "−");

function shown(number) {
  if (number === null || number === undefined) return "–";
  return withMinus(Number(number.toPrecision(4)).toLocaleString("en", {maximumSignificantDigits: 4}));
}

function percent(share) {
  return share === null || share === undefined ? "" : `${(100 * share).toFixed(1)} %`;
}

function input(field) { return field.querySelector("input:not(.slider), select, textarea"); }

function value(index) {
  const text = input(fields[index]).value, type = settings.columns[index].type;
  if (text.trim() === "") return null;
  if (type === "boolean") return text === "true";
  const number = Number(text);
  return type === "number" && Number.isFinite(number) ? number : text;
}

function row() {
  return Object.fromEntries(settings.columns.map((column, index) => [column.name, value(index)]));
}

async function ask() {
  const number = ++asked, answer = document.getElementById("answer");
  answer.classList.add("stale");
  let content, ok = false;
  try {
    const reply = await fetch(settings.path, {method: "POST", body: JSON.stringify(row())});
    content = await reply.json();
    ok = reply.ok;
  } catch {
    content = {error: "no response from the server"};
  }
  if (number !== asked) return;  // one has typed on
  const notes = new Map(Object.entries(ok ? content.notes : {}));
  for (const problem of content.problems ?? []) if (problem.column) notes.set(problem.column, problem.message);
  fields.forEach((field, index) => {
    field.querySelector(".complaint").textContent = notes.get(settings.columns[index].name) ?? "";
  });
  answer.classList.toggle("stale", !ok);
  if (ok) {
    answer.replaceChildren();
    (content.numbers ? showNumbers : showNames)(answer, content);
    showCurves(content.curves);
    explain(number);
  } else if (!content.problems) {
    answer.replaceChildren();
    make(answer, "p", content.error, {class: "complaint"});
  }
  document.documentElement.dataset.answered = number;
}

const level = (content) => `${Number((100 * content.level).toPrecision(6))} %`;

// Two digits of the uncertainty, half the interval.
function rounder(lower, upper) {
  const digits = 1 - Math.floor(Math.log10((upper - lower) / 2));
  if (!Number.isFinite(digits) || Math.abs(digits) > 15) return shown;
  const step = 10 ** -digits, decimals = Math.max(0, digits);
  const format = {minimumFractionDigits: decimals, maximumFractionDigits: decimals};
  return (number) => withMinus((digits < 0 ? Math.round(number / step) * step : number).toLocaleString("en", format));
}

function showNumbers(answer, content) {
  for (const each of content.numbers) {
    const round = rounder(each.lower, each.upper);
    make(answer, "p", round(each.value), {class: "value"});
    make(answer, "p", each.name, {class: "of"});
    if (typeof each.lower === "number") {
      const ends = `${round(each.lower)} to ${round(each.upper)}`;
      make(answer, "p", `${level(content)} interval: ${ends}`, {class: "interval"});
    }
  }
}

function showNames(answer, content) {
  const chosen = content.names.filter((each) => each.is_chosen).map((each) => each.name);
  make(answer, "p", chosen.join(", ") || "none", {class: "value"});
  if (typeof content.margin === "number") make(answer, "p", `margin ${shown(content.margin)}`, {class: "of"});
  if (content.set) {
    const set = `${level(content)} set: ${content.set.join(", ")}`;
    make(answer, "p", set, {class: "interval"});
  }
  const list = make(answer, "ul", undefined, {class: "shares"});
  for (const each of content.names.slice(0, 10)) {
    if (typeof each.share !== "number") continue;
    const item = make(list, "li", undefined, {class: each.is_chosen ? "chosen" : ""});
    make(item, "span", each.name);
    make(item, "span", percent(each.share), {class: "number"});
    const bar = make(item, "span", undefined, {class: "bar"});
    const svg = make(bar, "svg", undefined, {viewBox: "0 0 100 1", preserveAspectRatio: "none", "aria-hidden": "true"});
    make(svg, "rect", undefined, {class: "fill", width: 100 * each.share, height: 1});
  }
}

// Shows how much each column contributes to the prediction, once the prediction is shown.
async function explain(number) {
  if (!settings.explanations) return;
  const effects = document.getElementById("effects");
  effects.classList.add("stale");
  let content = {rows: []};
  try {
    const reply = await fetch(settings.explanations, {method: "POST", body: JSON.stringify([row()])});
    if (reply.ok) content = await reply.json();
  } catch { /* the prediction remains */ }
  if (number !== asked) return;
  effects.replaceChildren();
  effects.classList.remove("stale");
  if (content.rows.length) showEffects(effects, content.rows[0], content.unit);
  document.documentElement.dataset.explained = number;
}

function showEffects(holder, row, unit) {
  const isShare = unit === "probability", format = isShare ? percent : shown;
  const top = row.columns.filter((each) => each.shapley).slice(0, 8);
  if (!top.length) return;
  make(holder, "h3", "Why");
  const mean = `Mean of training rows ${format(row.mean_prediction)}, this row ${format(row.prediction)}`;
  const what = {probability: `probability of ${row.explained}`, target: row.explained}[unit] ?? unit;
  make(holder, "p", `${mean} (${what}). Each column contributes:`, {class: "of"});
  const rest = row.columns.filter((each) => !top.includes(each));
  const others = rest.reduce((sum, each) => sum + each.shapley, 0);
  if (others) top.push({column: `${rest.length} other column${rest.length > 1 ? "s" : ""}`, shapley: others});
  const largest = Math.max(...top.map((each) => Math.abs(each.shapley)));
  const digits = isShare ? 1 : Math.min(12, Math.max(0, 2 - Math.floor(Math.log10(largest))));
  const list = make(holder, "ul", undefined, {class: "shares"});
  for (const each of top) {
    const item = make(list, "li"), scaled = (isShare ? 100 : 1) * Math.abs(each.shapley);
    const format = {minimumFractionDigits: digits, maximumFractionDigits: digits};
    make(item, "span", each.column);
    make(item, "span", (each.shapley < 0 ? "−" : "+") + scaled.toLocaleString("en", format), {class: "number"});
    const bar = make(item, "span", undefined, {class: "bar"});
    const svg = make(bar, "svg", undefined, {viewBox: "-100 0 200 1", preserveAspectRatio: "none", "aria-hidden": "true"});
    const width = 100 * Math.abs(each.shapley) / largest;
    make(svg, "rect", undefined, {class: each.shapley < 0 ? "less" : "more", x: each.shapley < 0 ? -width : 0, width, height: 1});
  }
}

function showCurves(curves) {
  const holder = document.getElementById("curves"), current = row();
  holder.replaceChildren();
  if (!curves.length) return;
  document.getElementById("label").textContent = `They show the ${curves[0].label}.`;
  const heights = curves.flatMap((curve) => curve.points.map((point) => point[1]));
  let low = Math.min(...heights), high = Math.max(...heights);
  if (curves[0].label.startsWith("probability")) [low, high] = [0, 1];
  else if (low === high) [low, high] = [low - 1, high + 1];
  for (const curve of curves) {
    const figure = make(holder, "figure");
    make(figure, "figcaption", curve.column);
    draw(figure, curve, low, high, current[curve.column]);
  }
}

function draw(figure, curve, low, high, now) {
  const [left, right, top, bottom] = [34, 236, 8, 84];
  const first = curve.points[0], last = curve.points[curve.points.length - 1];
  const title = `${curve.label} from ${shown(first[1])} at ${first[0]} to ${shown(last[1])} at ${last[0]}`;
  const svg = make(figure, "svg", undefined, {viewBox: "0 0 240 100", role: "img", "aria-label": title});
  const y = (height) => bottom - (bottom - top) * (height - low) / (high - low);
  for (const end of [low, high]) {
    make(svg, "line", undefined, {class: "axis", x1: left, x2: right, y1: y(end), y2: y(end)});
    make(svg, "text", shown(Number(end.toPrecision(3))), {x: left - 3, y: y(end) + 3, "text-anchor": "end"});
  }
  const isBars = curve.axis === "choices";
  const count = curve.points.length;
  if (isBars) {
    const width = (right - left) / count;
    curve.points.forEach(([name, height], at) => {
      const isHere = String(name) === String(now), x = left + at * width;
      const bar = {class: isHere ? "column here" : "column", x: x + 1, width: Math.max(width - 2, 1)};
      const mark = make(svg, "rect", undefined, {...bar, y: y(height), height: Math.max(bottom - y(height), 1)});
      make(mark, "title", `${name}: ${shown(height)}`);
      const most = Math.max(2, Math.floor(width / 5)), text = String(name);
      const short = text.length > most ? `${text.slice(0, most - 1)}…` : text;
      make(svg, "text", short, {x: x + width / 2, y: 95, "text-anchor": "middle"});
    });
    return;
  }
  const isNumber = curve.axis === "numbers";
  const place = (at) => isNumber ? (curve.points[at][0] - first[0]) / (last[0] - first[0]) : at / (count - 1);
  const x = (share) => left + (right - left) * share;
  const line = curve.points.map(([, height], at) => `${x(place(at)).toFixed(1)},${y(height).toFixed(1)}`);
  make(svg, "polyline", undefined, {class: "line", points: line.join(" ")});
  const areYears = [first[0], last[0]].every((end) => Number.isInteger(end) && end >= 1700 && end <= 2100);
  const end = (value) => isNumber && !areYears ? shown(value) : value;
  make(svg, "text", end(first[0]), {x: left, y: 95});
  make(svg, "text", end(last[0]), {x: right, y: 95, "text-anchor": "end"});
  if (isNumber && typeof now === "number" && now >= first[0] && now <= last[0]) {
    const share = (now - first[0]) / (last[0] - first[0]) * (count - 1), at = Math.min(Math.floor(share), count - 2);
    const height = curve.points[at][1] + (share - at) * (curve.points[at + 1][1] - curve.points[at][1]);
    make(svg, "circle", undefined, {class: "now", cx: x(share / (count - 1)), cy: y(height), r: 3});
  }
}

// The slider's value with four digits of its range, which it does not leave.
function within(slider) {
  const [low, high] = [Number(slider.min), Number(slider.max)];
  const digits = Math.min(100, Math.max(0, 3 - Math.floor(Math.log10(high - low))));
  return Math.min(high, Math.max(low, Number(Number(slider.value).toFixed(digits))));
}

function askSoon() {
  clearTimeout(timer);
  timer = setTimeout(ask, WAIT);
}

form.addEventListener("input", (event) => {
  const field = event.target.closest(".field"), slider = field.querySelector(".slider");
  if (event.target === slider) input(field).value = within(slider);
  else if (slider && input(field).value.trim() !== "") slider.value = input(field).value;
  askSoon();
});
form.addEventListener("reset", () => setTimeout(ask));
form.addEventListener("submit", (event) => event.preventDefault());
ask();
