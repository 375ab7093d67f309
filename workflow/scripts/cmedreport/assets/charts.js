"use strict";
// The curves of a clip: head pose, what the fit left, and the motion of the expression.
function clipFigure(clip) {
  const drawn = clip.drawn;
  const x = drawn.curves.yaw.map((_, i) => i * drawn.every);
  const curve = (name, title, tint, axis, more = {}) => ({
    x, y: drawn.curves[name], name: title, mode: "lines", type: "scatter", yaxis: axis, connectgaps: false,
    line: { color: color(tint), width: 1.6 }, hovertemplate: `%{y}<extra>${title}</extra>`, ...more,
  });
  const first = (name) => drawn.curves[name].find((v) => v !== null) ?? 0;
  const change = (name) => ({ y: drawn.curves[name].map((v) => (v === null ? null : +(v - first(name)).toFixed(1))) });
  const data = [
    curve("yaw", "yaw", "blue", "y", change("yaw")),
    curve("pitch", "pitch", "orange", "y", change("pitch")),
    curve("roll", "roll", "green", "y", change("roll")),
    curve("residual", "residual", "violet", "y2"),
  ];
  if (drawn.curves.smooth) {
    data.push(
      curve("motion", "as measured", "grey", "y3", { mode: "markers", marker: { color: color("grey"), size: 4 } }),
      curve("smooth", "without noise", "teal", "y3", { line: { color: color("teal"), width: 2.2 } }),
    );
  }
  const shapes = [];
  const mark = (frame, tint, dash) => {
    if (frame !== null && frame !== undefined)
      shapes.push({ type: "line", xref: "x", yref: "paper", x0: frame, x1: frame, y0: 0, y1: 1,
        line: { color: color(tint), width: 1.4, dash } });
  };
  mark(clip.apex_frame, "annotated", "solid");
  mark(clip.motion_apex_frame, "spotted", "dot");
  const label = (text, y) => ({ text, xref: "paper", yref: "paper", x: 0, y, xanchor: "left", yanchor: "bottom",
    showarrow: false, font: { size: 11, color: color("muted") } });
  const swatch = (tint, text) => `<span style="color:${color(tint)}">${text}</span>`;
  return {
    data,
    layout: {
      height: 360, margin: { l: 76, r: 10, t: 20, b: 34 }, hovermode: "x unified", shapes,
      xaxis: { title: { text: "frame", standoff: 4 }, range: [-0.5, drawn.frames - 0.5], anchor: "y3" },
      yaxis: { domain: [0.7, 1], nticks: 5 },
      yaxis2: { domain: [0.41, 0.61], rangemode: "tozero", nticks: 3 },
      yaxis3: { domain: [0, 0.32], nticks: 5 },
      annotations: [
        label(`head pose since onset, ° — ${swatch("blue", "yaw")} ${swatch("orange", "pitch")} ${swatch("green", "roll")}`, 1.0),
        label(`${swatch("violet", "residual")} of the alignment, px`, 0.61),
        label(`${swatch("teal", "motion of the expression")}, px`, 0.32),
      ],
    },
  };
}
