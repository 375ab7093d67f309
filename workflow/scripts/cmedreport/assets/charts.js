"use strict";
// The curves of a clip: head pose, what the fit left, and the motion of the expression. What is
// known in no frame has no panel; in a clip without a face that is all of it.
const GAP = 28;
const MARGIN = { l: 76, r: 10, t: 20, b: 34 };

function clipPanels(clip) {
  const { curves, every } = clip.drawn;
  const curve = (name, title, tint, more = {}) => ({
    x: (curves[name] ?? []).map((_, i) => i * every), y: curves[name] ?? [], name: title, mode: "lines", type: "scatter",
    connectgaps: false, line: { color: color(tint), width: 1.6 }, hovertemplate: `%{y}<extra>${title}</extra>`, ...more,
  });
  const change = (name, tint) => {
    const first = curves[name].find((v) => v !== null) ?? 0;
    return curve(name, name, tint, { y: curves[name].map((v) => (v === null ? null : +(v - first).toFixed(1))) });
  };
  const swatch = (tint, text) => `<span style="color:${color(tint)}">${text}</span>`;
  return [
    {
      name: "head pose", height: 92, axis: { nticks: 5 },
      title: `head pose since onset, ° — ${swatch("blue", "yaw")} ${swatch("orange", "pitch")} ${swatch("green", "roll")}`,
      lines: [change("yaw", "blue"), change("pitch", "orange"), change("roll", "green")],
    },
    {
      name: "residual of the alignment", height: 61, axis: { rangemode: "tozero", nticks: 3 },
      title: `${swatch("violet", "residual")} of the alignment, px`,
      lines: [curve("residual", "residual", "violet")],
    },
    {
      name: "motion of the expression", height: 98, axis: { nticks: 5 },
      title: `${swatch("teal", "motion of the expression")}, px`,
      lines: [
        curve("motion", "as measured", "grey", { mode: "markers", marker: { color: color("grey"), size: 4 } }),
        curve("smooth", "without noise", "teal", { line: { color: color("teal"), width: 2.2 } }),
      ],
    },
  ].filter(({ lines }) => lines.some(({ y }) => y.some((v) => v !== null)));
}

const panelsHeight = (panels) => panels.reduce((sum, panel) => sum + panel.height + GAP, -GAP);
const clipHeight = (panels) => MARGIN.t + panelsHeight(panels) + MARGIN.b;

function clipFigure(clip) {
  const panels = clipPanels(clip);
  const inner = panelsHeight(panels);
  const data = [], annotations = [], axes = {};
  let top = inner;
  panels.forEach(({ title, height, axis, lines }, n) => {
    const number = n ? n + 1 : "";
    data.push(...lines.map((line) => ({ ...line, yaxis: `y${number}` })));
    axes[`yaxis${number}`] = { ...axis, domain: [(top - height) / inner, top / inner] };
    annotations.push({ text: title, xref: "paper", yref: "paper", x: 0, y: top / inner, xanchor: "left", yanchor: "bottom",
      showarrow: false, font: { size: 11, color: color("muted") } });
    top -= height + GAP;
  });
  const mark = (frame, tint, dash) => ({ type: "line", xref: "x", yref: "paper", x0: frame, x1: frame, y0: 0, y1: 1,
    line: { color: color(tint), width: 1.4, dash } });
  const known = (frame) => frame !== null && frame !== undefined;
  return {
    data,
    layout: {
      height: clipHeight(panels), margin: MARGIN, hovermode: "x unified", annotations, ...axes,
      shapes: [
        ...(known(clip.apex_frame) ? [mark(clip.apex_frame, "annotated", "solid")] : []),
        ...(known(clip.motion_apex_frame) ? [mark(clip.motion_apex_frame, "spotted", "dot")] : []),
      ],
      xaxis: { title: { text: "frame", standoff: 4 }, range: [-0.5, clip.drawn.frames - 0.5], anchor: data.at(-1).yaxis },
    },
  };
}
