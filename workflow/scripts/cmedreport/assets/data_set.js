"use strict";
const EMOTION_COLORS = ["green", "yellow", "red", "violet", "blue", "orange", "grey", "teal"];
const OUTCOME_COLORS = ["accent", "yellow", "grey"];
const GRADE_COLORS = { A: "a", B: "b", C: "c" };
const clips = DATA.clips;
const every = clips.clip_id.map((_, i) => i);
const emotions = DATA.balance.emotions.map((e) => e.name);
const hueOf = (emotion) => EMOTION_COLORS[emotions.indexOf(emotion) % EMOTION_COLORS.length];
const tint = (emotion) => color(hueOf(emotion));
const known = (...names) => every.filter((i) => names.every((name) => clips[name][i] !== null));
const total = (counts) => counts.reduce((a, b) => a + b, 0);
const faint = (name, share = 40) => `color-mix(in srgb, ${color(name)} ${share}%, transparent)`;

function rgba(name, alpha) {
  const hex = color(name).slice(1);
  return `rgba(${[0, 2, 4].map((i) => parseInt(hex.slice(i, i + 2), 16)).join(",")},${alpha})`;
}

function bars(entries, names, colors, more = {}) {
  const y = entries.map((entry) => plain(words(entry.name)));
  return {
    data: names.map((name, n) => ({
      type: "bar", orientation: "h", name, y, x: entries.map((entry) => entry.counts[n]),
      marker: { color: color(colors[n]) }, hovertemplate: `%{y}: %{x} ${name}<extra></extra>`,
    })),
    layout: {
      barmode: "stack", height: 70 + 30 * entries.length, bargap: 0.35, showlegend: true,
      legend: { orientation: "h", x: 0, y: 1.02, yanchor: "bottom", font: { size: 11 }, traceorder: "normal" },
      margin: { l: 110, r: 40, t: 24, b: 34 }, yaxis: { autorange: "reversed", tickfont: { color: color("ink"), size: 12 }, gridcolor: "rgba(0,0,0,0)" },
      xaxis: { title: "clips", rangemode: "tozero" },
      annotations: more.totals === false ? [] : entries.map((entry) => ({
        x: total(entry.counts), y: plain(words(entry.name)), text: total(entry.counts).toLocaleString("en"),
        xanchor: "left", xshift: 5, showarrow: false, font: { size: 11, color: color("muted") },
      })),
    },
  };
}

function histogram(x, title, bins, tintName = "accent", more = {}) {
  return {
    data: [{ type: "histogram", x, ...bins, marker: { color: color(tintName), line: { color: color("surface"), width: 1 } }, hovertemplate: "%{x}: %{y} clips<extra></extra>" }],
    layout: { height: 260, bargap: 0.02, xaxis: { title }, yaxis: { title: "clips", rangemode: "tozero" }, ...more },
  };
}

const diagonal = (to) => ({ type: "line", x0: 0, y0: 0, x1: to, y1: to, line: { color: color("line"), width: 1 }, layer: "below" });

// Many points are drawn as how many there are.
const isCrowded = (indices) => indices.length > 3000;
const LISTS = {
  jitter: () => known("residual_jitter_px", "landmark_jitter_px"),
  places: () => known("motion_apex_distance").filter((i) => clips.n_frames[i] > 1),
};

function scatter(indices, x, y, xtitle, ytitle, to, text) {
  const many = isCrowded(indices);
  const range = [-0.02 * to, to * 1.02];
  const trace = many
    ? { type: "histogram2d", x, y, nbinsx: 50, nbinsy: 50, colorscale: [[0, rgba("accent", 0)], [1, rgba("accent", 1)]], showscale: false, hovertemplate: "%{z} clips<extra></extra>" }
    : { type: "scatter", mode: "markers", x, y, text, customdata: indices, hovertemplate: "%{text}<extra></extra>",
        marker: { color: indices.map((i) => tint(clips.emotion[i])), size: 7, opacity: 0.75, line: { color: color("surface"), width: 1 } } };
  return {
    data: [trace],
    layout: { height: 300, shapes: [diagonal(to)], xaxis: { title: xtitle, range }, yaxis: { title: ytitle, range } },
    after: many ? null : (node) => {
      node.removeAllListeners("plotly_click");
      node.on("plotly_click", (event) => {
        const i = event.points[0].customdata;
        location.href = `${encodeURIComponent(clips.subject[i])}.html#${clips.clip_id[i].split("/").map(encodeURIComponent).join("/")}`;
      });
    },
  };
}

const FIGURES = {
  ledger() {
    const { nodes, links } = DATA.ledger;
    const good = (name) => name.startsWith("sampled") || name === "aligned";
    const hue = (name) => (good(name) ? "accent" : name === "metadata rows" ? "blue" : name === "no images" ? "grey" : name === "videos without a row" ? "grey" : "orange");
    const inflow = nodes.map((_, n) => total(links.filter((l) => l[1] === n || (l[0] === n && !links.some((k) => k[1] === n))).map((l) => l[2])));
    return {
      data: [{
        type: "sankey", arrangement: "fixed", valueformat: ",d",
        node: { label: nodes.map((name, n) => `${plain(words(name))}  ${inflow[n].toLocaleString("en")}`), color: nodes.map((name) => color(hue(name))), pad: 16, thickness: 12, line: { width: 0 }, hovertemplate: "%{label}<extra></extra>" },
        link: { source: links.map((l) => l[0]), target: links.map((l) => l[1]), value: links.map((l) => l[2]), color: links.map((l) => rgba(hue(nodes[l[1]]), 0.22)), hovertemplate: "%{value} rows: %{source.label} → %{target.label}<extra></extra>" },
        textfont: { color: color("ink"), size: 12 },
      }],
      layout: { height: Math.max(260, 60 + 34 * (nodes.length - 3)), margin: { l: 8, r: 8, t: 8, b: 12 } },
    };
  },
  subjects() {
    const list = DATA.subjects.filter((s) => s.selected);
    const upright = list.length > 12;
    return {
      data: emotions.map((emotion, n) => ({
        type: "bar", name: plain(words(emotion)), marker: { color: tint(emotion) },
        x: list.map((s) => plain(s.subject)), y: list.map((s) => s.emotions[n]), hovertemplate: `%{x}: %{y} ${plain(words(emotion))}<extra></extra>`,
      })),
      layout: {
        barmode: "stack", height: upright ? 340 : 280, bargap: list.length < 6 ? 0.6 : 0.2,
        margin: { l: 48, r: 12, t: 8, b: upright ? 90 : 36 }, xaxis: { type: "category", tickangle: upright ? -60 : 0 }, yaxis: { title: "usable clips", rangemode: "tozero" },
      },
    };
  },
  emotions: () => bars(DATA.balance.emotions, DATA.balance.outcomes, OUTCOME_COLORS),
  classes: () => bars(DATA.balance.classes, DATA.balance.outcomes, OUTCOME_COLORS),
  length: () => histogram(clips.n_frames, "frames", { nbinsx: 30 }),
  size: () => histogram(clips.inter_ocular_px, "pixels between the eyes", { nbinsx: 30 }),
  apex() {
    const list = known("apex_frame").filter((i) => clips.apex_source[i] === "annotated" && clips.n_frames[i] > 1);
    return histogram(list.map((i) => clips.apex_frame[i] / (clips.n_frames[i] - 1)), "from onset (0) to offset (1)", { xbins: { start: 0, end: 1.0001, size: 0.05 }, autobinx: false }, "accent", { xaxis: { title: "from onset (0) to offset (1)", range: [0, 1] } });
  },
  grades() {
    const entries = emotions.map((name) => ({ name, counts: ["A", "B", "C"].map((g) => every.filter((i) => clips.emotion[i] === name && clips.grade[i] === g).length) })).filter((e) => total(e.counts));
    return bars(entries, ["A", "B", "C"], ["a", "b", "c"]);
  },
  jitter() {
    const list = LISTS.jitter();
    const [before, after] = [list.map((i) => clips.landmark_jitter_px[i]), list.map((i) => clips.residual_jitter_px[i])];
    const to = Math.max(0.3, ...before, ...after);
    const figure = scatter(list, before, after, "by landmarks alone, px", "stabilised, px", to, list.map((i, n) => `${plain(clips.clip_id[i])}<br>${before[n]} → ${clips.residual_jitter_px[i]} px`));
    const limit = DATA.grades.A.jitter;
    figure.layout.shapes.push({ type: "line", x0: 0, x1: to, y0: limit, y1: limit, line: { color: color("a"), width: 1, dash: "dot" } });
    figure.layout.annotations = [{ x: to, y: limit, text: "grade A", showarrow: false, xanchor: "right", yanchor: "bottom", font: { size: 11, color: color("a") } }];
    return figure;
  },
  distance() {
    const list = known("motion_apex_distance");
    const most = Math.max(5, ...list.map((i) => Math.abs(clips.motion_apex_distance[i])));
    return histogram(list.map((i) => clips.motion_apex_distance[i]), "frames", { xbins: { start: -most - 0.5, end: most + 0.5, size: Math.max(1, Math.ceil(most / 40)) }, autobinx: false }, "accent", { height: 300, xaxis: { title: "frames", range: [-most - 0.6, most + 0.6] } });
  },
  places() {
    const list = LISTS.places();
    const place = (name) => list.map((i) => +(clips[name][i] / (clips.n_frames[i] - 1)).toFixed(3));
    return scatter(list, place("apex_frame"), place("motion_apex_frame"), "annotated", "motion", 1, list.map((i) => `${plain(clips.clip_id[i])}<br>annotated ${clips.apex_frame[i]}, motion ${clips.motion_apex_frame[i]}, snr ${clips.motion_snr[i]}`));
  },
};

// A chart of nothing would have axes that Plotly makes up.
const isEmpty = ({ type, orientation, x, y }) =>
  type === "bar" ? !total(orientation === "h" ? x : y) : type !== "sankey" && x.every((value) => value === null);
const nothing = () => ({
  data: [],
  layout: {
    height: 260, xaxis: { visible: false }, yaxis: { visible: false },
    annotations: [{ text: "no clip to show", xref: "paper", yref: "paper", x: 0.5, y: 0.5, showarrow: false, font: { size: 12, color: color("muted") } }],
  },
});

function figure(name) {
  const made = FIGURES[name]();
  return made.data.every(isEmpty) ? nothing() : made;
}

for (const node of document.querySelectorAll("[data-chart]")) chart(node, () => figure(node.dataset.chart));
addEventListener("beforeprint", () => toPaper(CHARTS.keys()));

// --- tables that sort by a click on a head ----------------------------------------------------

// A dash is nothing known, a point is none.
function read(cell) {
  const text = cell.textContent.trim();
  if (!cell.matches(".n")) return text;
  return text === "—" ? null : text === "·" ? 0 : parseFloat(text.replaceAll(",", ""));
}

function sortable(table) {
  const rows = [...table.tBodies[0].rows];
  const heads = [...table.tHead.rows[0].cells];
  heads.forEach((head, n) => {
    const button = element("button", { type: "button" }, head.textContent);
    head.replaceChildren(button);
    head.setAttribute("aria-sort", "none");
    button.addEventListener("click", () => {
      // Numbers first ask for the largest, as on a subject's page.
      const before = head.getAttribute("aria-sort");
      const up = before === "none" ? !head.matches(".n") : before !== "ascending";
      for (const other of heads) other.setAttribute("aria-sort", "none");
      head.setAttribute("aria-sort", up ? "ascending" : "descending");
      const keys = new Map(rows.map((row) => [row, read(row.cells[n])]));
      const compare = (a, b) => {
        const [x, y] = [keys.get(a), keys.get(b)];
        if (x === null || y === null) return (x === null) - (y === null);
        const difference = typeof x === "string" ? x.localeCompare(y, "en", { numeric: true }) : x - y;
        return up ? difference : -difference;
      };
      table.tBodies[0].append(...[...rows].sort(compare));
      announce(`sorted by ${button.textContent}, ${up ? "ascending" : "descending"}`);
    });
  });
}
for (const table of document.querySelectorAll("table.sorts")) sortable(table);

// --- legends of the emotions' colours ---------------------------------------------------------

for (const node of document.querySelectorAll("[data-legend]")) {
  const crowded = node.dataset.legend !== "subjects" && isCrowded(LISTS[node.dataset.legend]());
  node.append(...(crowded
    ? [element("li", {}, "the darker, the more clips")]
    : emotions.map((name) => element("li", {}, element("i", { style: `background: var(--${hueOf(name)})` }), words(name)))));
}
performance.mark("ready");
// Before somebody scrolls, and after all that is seen first.
setTimeout(() => rest(plotly), 800);
document.documentElement.dataset.ready = "yes";
