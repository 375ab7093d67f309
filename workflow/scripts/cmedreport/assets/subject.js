"use strict";
const CLIPS = DATA.clips;
CLIPS.forEach((clip, i) => {
  clip.rank = i;
  clip.distance = clip.motion_apex_distance === null ? null : Math.abs(clip.motion_apex_distance);
  clip.text = [clip.clip_id, clip.filename, words(clip.status), clip.status, clip.reason, clip.emotion, clip.emotion_3class]
    .join(" ").toLowerCase();
});
const byId = new Map(CLIPS.map((clip) => [clip.clip_id, clip]));
const body = document.querySelector("#table tbody");
const rows = [...body.children];
const holder = document.getElementById("cards");
const cards = [...holder.querySelectorAll(".card")];
const find = document.getElementById("find");
const choices = { emotion: document.getElementById("emotion"), status: document.getElementById("state"), grade: document.getElementById("grade") };
let order = CLIPS.map((_, i) => i);
let shown = order;
let current = null;
let sort = { key: "rank", up: true };

// --- the table -------------------------------------------------------------------------------

function fits(clip) {
  const wanted = find.value.trim().toLowerCase().split(/\s+/).filter(Boolean);
  return (
    wanted.every((word) => clip.text.includes(word)) &&
    (!choices.emotion.value || clip.emotion === choices.emotion.value) &&
    (!choices.status.value || clip.status === choices.status.value) &&
    (!choices.grade.value || (clip.grade ?? "none") === choices.grade.value)
  );
}

function filter() {
  shown = order.filter((i) => fits(CLIPS[i]));
  const visible = new Set(shown);
  rows.forEach((row, i) => { row.hidden = !visible.has(i); });
  cards.forEach((card, i) => { card.hidden = !visible.has(i); });
  document.getElementById("none").hidden = shown.length > 0;
  const label = document.querySelector(`[data-sort="${sort.key}"]`).textContent;
  const how = sort.key === "rank" ? (sort.up ? "worst first" : "best first") : `by ${label}`;
  const text = shown.length === CLIPS.length
    ? `${plural(CLIPS.length, "clip")}, ${how}`
    : `${shown.length} of ${plural(CLIPS.length, "clip")}, ${how}`;
  document.getElementById("count").textContent = text;
  announce(text);
}

function compare(a, b) {
  const [x, y] = [CLIPS[a][sort.key], CLIPS[b][sort.key]];
  if (x === null || y === null) return (x === null) - (y === null) || a - b; // unknown ones last
  const difference = typeof x === "string" ? x.localeCompare(y, "en", { numeric: true }) : x - y;
  return (sort.up ? difference : -difference) || a - b;
}

function sortBy(key) {
  // Numbers first ask for the largest: that is where something is wrong.
  const first = key === "rank" || key === "clip_id";
  sort = { key, up: sort.key === key ? !sort.up : first };
  order = CLIPS.map((_, i) => i).sort(compare);
  for (const button of document.querySelectorAll("[data-sort]")) {
    const mine = button.dataset.sort === key;
    button.parentElement.setAttribute("aria-sort", mine ? (sort.up ? "ascending" : "descending") : "none");
  }
  body.append(...order.map((i) => rows[i]));
  holder.prepend(...order.map((i) => cards[i]));
  filter();
}

function choose(i, { card = true, address = true } = {}) {
  if (current !== null) for (const node of [rows[current], cards[current]]) node.classList.remove("current");
  current = i;
  for (const node of [rows[i], cards[i]]) node.classList.add("current");
  for (const link of body.querySelectorAll("[aria-current]")) link.removeAttribute("aria-current");
  rows[i].querySelector("a").setAttribute("aria-current", "true");
  rows[i].scrollIntoView({ block: "nearest" });
  if (card) { fill(cards[i]); cards[i].scrollIntoView({ block: "start" }); }
  if (address) history.replaceState(null, "", rows[i].querySelector("a").href);
}

function open(i) {
  if (!shown.includes(i)) showAll();
  choose(i, { address: false });
  cards[i].focus({ preventScroll: true });
  announce(`${CLIPS[i].clip_id}, ${words(CLIPS[i].status)}`);
}

function showAll() {
  find.value = "";
  for (const select of Object.values(choices)) select.value = "";
  filter();
}

function follow() {
  let name;
  try { name = decodeURIComponent(location.hash.slice(1)); } catch { return; }
  const clip = byId.get(name);
  if (clip) open(clip.rank);
}

function step(by) {
  if (!shown.length) return;
  const place = shown.indexOf(current);
  const next = place < 0 ? (by > 0 ? 0 : shown.length - 1) : Math.min(Math.max(place + by, 0), shown.length - 1);
  choose(shown[next]);
  rows[shown[next]].querySelector("a").focus({ preventScroll: true });
}

find.addEventListener("input", filter);
for (const select of Object.values(choices)) select.addEventListener("change", filter);
for (const button of document.querySelectorAll("[data-sort]")) button.addEventListener("click", () => sortBy(button.dataset.sort));
document.getElementById("clear").addEventListener("click", () => { showAll(); find.focus(); });
body.addEventListener("click", (event) => {
  const row = event.target.closest("tr");
  if (row && !event.target.closest("a")) location.hash = row.querySelector("a").hash;
});
// The same address once more opens the clip, too.
document.addEventListener("click", (event) => {
  const link = event.target.closest('a[href^="#"]');
  if (link && link.hash === location.hash) follow();
});
addEventListener("hashchange", follow);
document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  const typing = event.target.matches("input, select, textarea");
  if (event.key === "Escape") {
    const reading = event.target.closest(".card");
    const filtered = find.value || Object.values(choices).some((select) => select.value);
    if (filtered && !reading) showAll();
    else if (current !== null) rows[current].querySelector("a").focus();
    else document.activeElement.blur();
  } else if (typing) {
    if (event.key === "Enter" && event.target === find && shown.length) { event.preventDefault(); location.hash = rows[shown[0]].querySelector("a").hash; }
  } else if (event.key === "j") step(1);
  else if (event.key === "k") step(-1);
  else if (event.key === "/") { event.preventDefault(); find.focus(); find.select(); }
});

// --- a clip ----------------------------------------------------------------------------------

function fill(card) {
  const inside = card.querySelector(".body");
  const clip = CLIPS[card.dataset.i];
  if (inside.childElementCount || !clip.drawn) return;
  const drawn = clip.drawn;
  inside.classList.toggle("coarse", !DATA.faces);
  const panels = clipPanels(clip);
  const curves = panels.length
    ? element("div", { class: "chart curves", role: "img", "aria-label": describe(clip, panels), style: `height: ${clipHeight(panels)}px` })
    : null;
  const left = element("div", {}, timeline(clip), curves, legend(clip));
  const right = element("div", { class: "side" }, meters(clip), ...(drawn.tiles ? [pictures(clip)] : []));
  if (drawn.tiles) inside.append(strip(clip));
  inside.append(element("div", { class: "grid" }, left, right), facts(clip));
  if (curves) chart(curves, () => clipFigure(clip));
}

function unpack(text) {
  const bytes = Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
  const values = new DataView(bytes.buffer);
  return Array.from({ length: bytes.length / 2 }, (_, i) => values.getUint16(2 * i, true));
}

function dots(places, onset) {
  const at = (v) => ((v - 2000) / DATA.dots.units) * 100;
  const known = (list) => list && list[0] !== 65535;
  const svg = drawing("svg", { class: "dots", viewBox: "0 0 100 100", "aria-hidden": "true" });
  for (let i = 0; known(places) && i < places.length; i += 2) {
    const [x, y] = [at(places[i]), at(places[i + 1])];
    const moved = known(onset) ? Math.hypot(x - at(onset[i]), y - at(onset[i + 1])) : 0;
    svg.append(drawing("circle", {
      cx: x.toFixed(2), cy: y.toFixed(2), r: 1.7,
      fill: `color-mix(in oklab, var(--orange) ${Math.min(moved / 1.6, 1) * 100 | 0}%, var(--muted))`,
    }));
  }
  return svg;
}

function strip(clip) {
  const { frames, slots, scheme, dots: packed } = clip.drawn.strip;
  const places = unpack(packed);
  const size = DATA.dots.count * 2;
  const list = element("ol");
  frames.forEach((frame, n) => {
    const names = [];
    if (frame === 0) names.push("onset");
    if (frame === clip.apex_frame) names.push(clip.apex_source === "clamped" ? "apex, clamped" : "apex");
    if (frame === clip.drawn.frames - 1) names.push("offset");
    const spotted = frame === clip.motion_apex_frame;
    const picture = element("span", { class: DATA.faces ? "pic" : "pic pixels" });
    picture.style.backgroundImage = `url(${clip.drawn.tiles})`;
    picture.style.backgroundSize = `${frames.length * 100}% 100%`;
    picture.style.backgroundPosition = `${frames.length > 1 ? (n / (frames.length - 1)) * 100 : 0}% 50%`;
    const slot = slots[n].length
      ? element("span", { class: "slot", title: `slot ${slots[n].join(", ")} of ${scheme}` }, element("span", { class: "frame" }, frame), ` s${slots[n].join(",")}`)
      : element("span", { class: "frame" }, frame);
    list.append(element("li", {},
      element("span", { class: "mark" }, names.join(", ")),
      DATA.faces ? null : dots(places.slice(n * size, (n + 1) * size), places.slice(0, size)),
      picture, slot, spotted ? element("span", { class: "spot" }, "motion") : null));
  });
  const what = DATA.faces ? "aligned frames" : "landmarks, orange where they moved since the onset, above pixelated frames";
  return element("div", { class: "strip", tabindex: "0", role: "group", "aria-label": `Strip of ${frames.length} ${what}${scheme ? `; slots of ${scheme} are marked` : ""}` }, list);
}

const STATES = [
  ["no_image", "no image", "red"], ["no_face", "no face", "red"], ["interpolated", "interpolated", "yellow"],
  ["repeats", "repeats an earlier frame", "violet"], ["several", "several faces", "blue"],
];

function timeline(clip) {
  const { frames, runs, slots } = clip.drawn;
  const at = (frame) => `${(((frame + 0.5) / frames) * 100).toFixed(3)}%`;
  const track = (label, kind, ...marks) => element("div", { class: `lane ${kind}` }, element("span", { class: "lane-name", title: label }, label), element("div", { class: "lane-track" }, ...marks));
  const states = STATES.flatMap(([state, , tint]) => (runs[state] ?? []).map(([first, last]) =>
    element("i", { class: `run ${state}`, style: `left: ${at(first - 0.5)}; width: max(1.5px, ${((last - first + 1) / frames) * 100}%); background: var(--${tint})` })));
  const apexes = [[clip.apex_frame, "annotated"], [clip.motion_apex_frame, "spotted"]].filter(([frame]) => frame !== null)
    .map(([frame, tint]) => element("i", { class: `apex ${tint}`, style: `left: ${at(frame)}` }));
  const lanes = Object.entries(slots).map(([name, positions]) =>
    track(name, "sampled", ...positions.map((position) => element("i", { class: "slotmark", style: `left: ${at(position)}` }))));
  const said = STATES.filter(([s]) => runs[s]).map(([s, text]) => `${count(runs[s])} ${text}`).join(", ") || "each has a face of its own";
  return element("div", { class: "timeline", role: "img", "aria-label": `${plural(frames, "frame")}: ${said}` },
    track("frames", "states", ...states, ...apexes), ...lanes);
}

const count = (runs) => (runs ?? []).reduce((sum, [first, last]) => sum + last - first + 1, 0);

function legend(clip) {
  const { runs } = clip.drawn;
  const entry = (style, text, line = "") => element("li", {}, element("i", { class: line, style: `background: var(--${style})` }), text);
  return element("ul", { class: "legend" },
    clip.apex_frame === null ? null : entry("annotated", clip.apex_source === "annotated" ? "annotated apex" : `apex, ${clip.apex_source}`, "line"),
    clip.motion_apex_frame === null ? null : entry("spotted", "motion apex", "line"),
    Object.values(clip.drawn.slots).some((positions) => positions.length) ? entry("accent", "sampled slots", "dot") : null,
    ...STATES.filter(([state]) => runs[state]).map(([state, text, tint]) => entry(tint, `${text}: ${ranges(runs[state])}`)),
    clip.drawn.every > 1 ? element("li", {}, `curves show one of ${clip.drawn.every} frames`) : null);
}

function ranges(runs) {
  const texts = runs.slice(0, 6).map(([a, b]) => (a === b ? `${a}` : `${a}–${b}`));
  return texts.join(", ") + (runs.length > 6 ? ` and ${runs.length - 6} more` : "");
}

const describe = (clip, panels) =>
  `Curves over ${plural(clip.drawn.frames, "frame")}: ${panels.map((panel) => panel.name).join(", ")}. ` +
  (clip.apex_frame === null ? "No annotated apex. " : `Apex at frame ${clip.apex_frame}. `) +
  (clip.motion_apex_frame === null ? "No motion apex." : `Motion apex at frame ${clip.motion_apex_frame}, ${number(clip.motion_peak_px, 2)} px, snr ${number(clip.motion_snr, 1)}.`);

function pictures(clip) {
  const { mean, deviation, zones, images } = clip.drawn;
  const picture = (src, alt, text) => element("figure", {}, element("img", { class: "portrait", src, alt, width: 132, height: DATA.faces ? 132 : 44 }), element("figcaption", {}, text));
  const still = picture(mean, DATA.faces ? "Mean of the aligned frames" : "Mean of the aligned frames, pixelated", DATA.faces ? `mean of ${images} frames: sharp where nothing moves` : `mean of ${images} frames`);
  if (deviation) return element("div", { class: "pair" }, still, picture(deviation, "Standard deviation over time: bright where motion remains", `deviation: where motion remains, black 0 to white ${DATA.brightest} grey levels`));
  const names = ["brow and above", "brows, lids", "eyes, nose", "nose, mouth", "mouth, chin"];
  const table = element("table", { class: "zones" }, element("caption", { class: "sr" }, "Standard deviation over time in grey levels, in fifths of the height and thirds of the width of the crop"),
    element("tbody", {}, ...zones.map((zone, n) => element("tr", {}, element("th", { scope: "row" }, names[n]),
      ...zone.map((value) => element("td", { style: `background: color-mix(in oklab, var(--orange) ${Math.min(value / DATA.brightest, 1) * 45 | 0}%, var(--raised))` }, number(value, 1)))))));
  return element("div", { class: "pair" }, still, element("figure", {}, table, element("figcaption", {}, "deviation in grey levels: where motion remains")));
}

function meters(clip) {
  const box = element("div", { class: "meters" });
  const limits = DATA.grades.A;
  for (const [name, before, after, limit] of [
    ["jitter", clip.landmark_jitter_px, clip.residual_jitter_px, limits.jitter],
    ["drift", clip.landmark_drift_px, clip.residual_drift_px, limits.drift],
  ]) {
    if (before === null && after === null) continue;
    const most = Math.max(before ?? 0, after ?? 0, limit) * 1.08;
    const track = (value, kind) => element("div", { class: "track", "aria-hidden": "true" },
      element("div", { class: `fill ${kind}`, style: `width: ${((value ?? 0) / most) * 100}%` }),
      element("div", { class: "limit", style: `left: ${(limit / most) * 100}%`, title: `grade A: at most ${limit} px` }));
    box.append(element("div", { class: "meter" },
      element("span", {}, `${name}, landmarks`), track(before, ""), element("span", { class: "v" }, number(before, 2, "px")),
      element("span", {}, `${name}, stabilised`), track(after, "after"), element("span", { class: "v" }, number(after, 2, "px"))));
  }
  if (box.childElementCount) {
    box.prepend(element("h3", {}, "Before and after stabilisation"));
    box.append(element("p", { class: "small muted" }, "The mark is the most that grade A allows."));
  }
  return box;
}

function facts(clip) {
  const list = element("dl", { class: "facts" });
  const add = (name, value) => { if (value !== null) list.append(element("div", {}, element("dt", {}, name), element("dd", {}, value))); };
  const apart = clip.motion_apex_distance;
  add("label check", apart === null ? null : apart === 0 ? "at the annotated frame" : `${plural(Math.abs(apart), "frame")} ${apart < 0 ? "before" : "after"} the annotation`);
  add("motion", clip.motion_peak_px === null ? null : `${number(clip.motion_peak_px, 2, "px")}, snr ${number(clip.motion_snr, 1)}`);
  add("frames", `${clip.n_frames} decoded, ${clip.n_written} written, ${clip.n_stabilised} stabilised`);
  add("without face", `${clip.n_without_face}${clip.n_interpolated ? `, ${clip.n_interpolated} interpolated` : ""}${clip.longest_gap ? `, longest gap ${clip.longest_gap}` : ""}`);
  add("repeats", clip.n_repeats === null ? null : `${clip.n_repeats}${clip.longest_freeze ? `, at most ${clip.longest_freeze} in a row` : ""}`);
  add("eyes apart", number(clip.inter_ocular_px, 0, "px in the source"));
  add("video", `${clip.codec} ${clip.width} × ${clip.height}, ${number(clip.drawn.fps, 1)} fps, ${number(clip.duration_s, 2, "s")}`);
  return list;
}

const near = new IntersectionObserver((entries) => {
  for (const entry of entries) if (entry.isIntersecting) fill(entry.target);
}, { rootMargin: "800px 0px" });
cards.forEach((card) => near.observe(card));
addEventListener("beforeprint", () => {
  for (const i of shown) fill(cards[i]);
  // As many charts as a browser can hold; the numbers are there in any case.
  toPaper(shown.length <= 60 ? CHARTS.keys() : []);
});

filter();
follow();
performance.mark("ready");
// Before somebody scrolls, and after all that is seen first.
setTimeout(() => rest(plotly), 800);
document.documentElement.dataset.ready = "yes";
