"use strict";
// What all pages share: their data, Plotly when it is first needed, and colours of the theme.
const DATA = JSON.parse(document.getElementById("data").textContent);

function element(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value !== null && value !== undefined && value !== false) made.setAttribute(name, value);
  }
  made.append(...children.filter((child) => child !== null && child !== undefined));
  return made;
}

const SVG = "http://www.w3.org/2000/svg";
function drawing(tag, attributes = {}, ...children) {
  const made = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  made.append(...children);
  return made;
}

// Plotly reads a little HTML in texts: names are data and no markup.
const plain = (text) =>
  String(text).replace(/[&<>]/g, (c) => ({ "&": "&amp;", "<": "&lt;", ">": "&gt;" })[c]);

const words = (status) => status.replaceAll("_", " ");
const plural = (n, noun) => `${n.toLocaleString("en")} ${noun}${n === 1 ? "" : "s"}`;
const number = (value, digits = 2, unit = "") =>
  value === null || value === undefined
    ? "—"
    : value.toLocaleString("en", { minimumFractionDigits: digits, maximumFractionDigits: digits }) +
      (unit ? `\u202f${unit}` : "");

const color = (name) => getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();

function layout(more) {
  const axis = {
    gridcolor: color("faint"), linecolor: color("line"), zerolinecolor: color("line"),
    tickcolor: color("line"), tickfont: { color: color("muted"), size: 11 }, automargin: false,
    title: { font: { color: color("muted"), size: 11 } },
  };
  const whole = {
    paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)", showlegend: false,
    font: { family: "system-ui, -apple-system, 'Segoe UI', 'Noto Sans', sans-serif", size: 12, color: color("ink") },
    margin: { l: 48, r: 12, t: 8, b: 36 }, dragmode: false, hovermode: "closest",
    hoverlabel: { bgcolor: color("surface"), bordercolor: color("line"), font: { color: color("ink"), size: 12 } },
    ...more,
  };
  for (const name of Object.keys(whole)) {
    if (/^[xy]axis/.test(name)) {
      whole[name] = { ...axis, ...whole[name] };
      const title = whole[name].title;
      whole[name].title = { ...axis.title, ...(typeof title === "string" ? { text: title } : title) };
      whole[name].fixedrange = true;
    }
  }
  return whole;
}

const CONFIG = { displayModeBar: false, responsive: true, displaylogo: false, showTips: false };

function plotly() {
  if (!window.Plotly) {
    // Four megabytes that a page without an open chart need not read.
    const source = document.getElementById("plotly");
    document.head.append(element("script", {}, source.textContent));
    source.remove();
  }
  return window.Plotly;
}

// Charts are drawn when they come near, one in a moment of rest at a time, and let go of when far.
const CHARTS = new Map();
const waiting = new Set();
let busy = false;

function work() {
  const next = waiting.values().next().value;
  if (next === undefined) { busy = false; return; }
  waiting.delete(next);
  if (next.isConnected && CHARTS.has(next) && !printing) {
    const { data, layout: own, after } = CHARTS.get(next)();
    plotly().react(next, data, layout(own), CONFIG);
    next.dataset.drawn = "yes";
    if (after) after(next);
  }
  rest(work);
}

const rest = (then) =>
  window.requestIdleCallback ? requestIdleCallback(then, { timeout: 300 }) : setTimeout(then, 16);

function enqueue(node) {
  waiting.add(node);
  if (!busy) { busy = true; rest(work); }
}

function letGo(node) {
  plotly().purge(node);
  node.replaceChildren();
  delete node.dataset.drawn;
}

const nearby = new IntersectionObserver(
  (entries) => {
    if (printing) return;
    for (const { target, isIntersecting } of entries) {
      if (isIntersecting) {
        if (!target.dataset.drawn) enqueue(target);
      } else {
        waiting.delete(target);
        if (target.dataset.drawn) letGo(target);
      }
    }
  },
  { rootMargin: "600px 0px" },
);

function chart(node, make) {
  CHARTS.set(node, make);
  nearby.observe(node);
}

function redraw() {
  if (!printing) for (const node of CHARTS.keys()) if (node.dataset.drawn) enqueue(node);
}

// On paper a chart is as wide as its place there, and in light colours. Where the paper is narrower
// still it shrinks as a picture does.
let printing = false;

function toPaper(nodes) {
  printing = true;
  waiting.clear();
  document.documentElement.classList.add("printing");
  for (const node of CHARTS.keys()) if (node.dataset.drawn) letGo(node);
  for (const node of nodes) {
    if (!node.clientWidth) continue;
    const { data, layout: own } = CHARTS.get(node)();
    const size = { width: node.clientWidth, height: own.height };
    plotly().newPlot(node, data, layout({ ...own, ...size }), { ...CONFIG, responsive: false, staticPlot: true });
    for (const svg of node.querySelectorAll(".main-svg")) svg.setAttribute("viewBox", `0 0 ${size.width} ${size.height}`);
    node.dataset.drawn = "yes";
  }
}

function toScreen() {
  printing = false;
  document.documentElement.classList.remove("printing");
  for (const node of CHARTS.keys()) {
    if (node.dataset.drawn) letGo(node);
    nearby.unobserve(node);
    nearby.observe(node);
  }
}
addEventListener("afterprint", toScreen);
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redraw);

// What is scrolled to has its place below the banner, however many lines that has.
const banner = document.querySelector(".banner");
if (banner) {
  const measure = () => document.documentElement.style.setProperty("--banner", `${banner.offsetHeight}px`);
  measure();
  new ResizeObserver(measure).observe(banner);
}

function announce(text) {
  document.getElementById("status").textContent = text;
}
