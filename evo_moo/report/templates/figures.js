const CONFIG = { displaylogo: false, responsive: true, modeBarButtonsToRemove: ["select2d", "lasso2d", "autoScale2d"], toImageButtonOptions: { format: "svg" } };
const FONT = 'system-ui, "Segoe UI", Roboto, "Helvetica Neue", "DejaVu Sans", Arial, sans-serif';

function layout(height, more) {
  return { height, paper_bgcolor: css("bg"), plot_bgcolor: css("bg"), font: { family: FONT, size: 13, color: css("text") },
    margin: { l: 70, r: 20, t: 52, b: 60 }, hovermode: "closest", legend: { orientation: "h", y: 1.02, yanchor: "bottom", x: 0 }, ...more };
}
function axis(title, more) {
  return { title: { text: plain(title), standoff: 10 }, gridcolor: css("dim"), linecolor: css("line"), zerolinecolor: css("line"), automargin: true, ...more };
}
const ranged = (o, more) => axis(o.words, { type: o.column.log ? "log" : "linear", ...(o.column.log ? { exponentformat: "none", minorloglabels: "complete" } : {}), ...more });
const frameOf = o => { const f = DATA.frame[o.name]; return f && (o.column.log ? f.map(Math.log10) : f); };
function show(figure, traces, itsLayout) {
  const first = !figure.data;
  Plotly.react(figure, traces, itsLayout, CONFIG);
  if (first) listen(figure);
}

// ---- the kinds of evaluations: colour and symbol both tell them apart
let kept = null;  // rows that the brushed ranges keep; null for all
const KINDS = [["dominated", "dominated", "circle", 6, .55, true], ["over a limit", "over", "x", 7, .7, true],
  ["short", "short", "square", 6, .6, "legendonly"], ["front", "front", "diamond", 10, 1, true]];
const kindNames = () => ({ "short": "short evaluations", "over a limit": "over a limit", "dominated": OBJECTIVES.length > 1 ? "dominated" : "others", "front": !DATA.feasible ? "nearest to the limits" : OBJECTIVES.length > 1 ? "Pareto front" : "best" });
function traces(make, many) {
  return KINDS.filter(([role]) => ROWS[role].length).map(([role, colour, symbol, size, opacity, visible]) => {
    const rows = ROWS[role], large = rows.length > FEW;
    const points = role === "front" ? new Set(rows.map(i => OBJECTIVES.map(o => o.column.values[i]).join())).size : rows.length;
    return { name: `${kindNames()[role]} (${number(rows.length)}${points < rows.length ? ` at ${number(points)} points` : ""})`, meta: { rows }, visible, hoverinfo: "none", mode: "markers",
      ...(kept && !many ? { selectedpoints: rows.flatMap((i, j) => kept.has(i) ? [j] : []), unselected: { marker: { opacity: .08 } } } : {}),
      marker: { color: css(colour), symbol, size: large ? size * .7 : size, opacity: large ? opacity * .7 : opacity, line: role === "front" ? { color: css("bg"), width: 1 } : { width: 0 } }, ...make(rows) };
  });
}
const kindOfScatter = rows => HAS_GL && rows.length > FEW ? "scattergl" : "scatter";

function staircase(x, y) {
  const rows = [...ROWS.front].sort((a, b) => x.column.values[a] - x.column.values[b]);
  return { type: "scatter", mode: "lines", x: pick(x.column, rows), y: pick(y.column, rows), hoverinfo: "skip", showlegend: false,
    line: { color: css("front"), width: 1.5, shape: x.direction === "max" ? "vh" : "hv" } };
}
function goalLines(x, y, suffix = "") {
  const line = { color: css("muted"), width: 1, dash: "dash" };
  return [...(x.goal === null ? [] : [{ type: "line", xref: "x" + suffix, yref: `y${suffix} domain`, x0: x.goal, x1: x.goal, y0: 0, y1: 1, line }]),
    ...(y.goal === null ? [] : [{ type: "line", xref: `x${suffix} domain`, yref: "y" + suffix, x0: 0, x1: 1, y0: y.goal, y1: y.goal, line }])];
}
// Numbers of the front's evaluations, as many as have room.
function labels(x, y, ranges, width, height) {
  const place = (o, range, size, i) => { const v = o.column.log ? Math.log10(o.column.values[i]) : o.column.values[i]; return (v - range[0]) / (range[1] - range[0]) * size; };
  const taken = [];
  return ROWS.front.map(i => {
    const px = place(x, ranges[0], width, i), py = place(y, ranges[1], height, i);
    if (taken.some(([a, b]) => Math.abs(a - px) < 34 && Math.abs(b - py) < 17)) return "";
    taken.push([px, py]);
    return String(COLS.id[i]);
  });
}

function front2d(figure) {
  const [x, y] = OBJECTIVES, frames = [frameOf(x), frameOf(y)], before = figure.layout;
  const ranges = before && before.xaxis.range ? [before.xaxis.range, before.yaxis.range] : frames;
  const drawn = traces(rows => ({ type: kindOfScatter(rows), x: pick(x.column, rows), y: pick(y.column, rows) }));
  const its = drawn[drawn.length - 1], side = x.direction === "max" ? (y.direction === "max" ? "top right" : "bottom right") : (y.direction === "max" ? "top left" : "bottom left");
  Object.assign(its, { type: "scatter", mode: "markers+text", textposition: side, textfont: { size: 11, color: css("muted") }, text: labels(x, y, ranges, figure.clientWidth - 110, 400) });
  for (const [axisName, o] of [["x", x], ["y", y]]) if (COLS.sd[o.name])
    its["error_" + axisName] = { type: "data", array: ROWS.front.map(i => COLS.sd[o.name][i] ?? 0), color: css("front"), thickness: 1, width: 3 };
  const truth = DATA.true_front ? [{ type: "scatter", mode: "markers", name: "true front", hoverinfo: "skip", x: DATA.true_front.map(p => p[0]), y: DATA.true_front.map(p => p[1]), marker: { color: css("true"), size: 3.5, symbol: "circle" } }] : [];
  show(figure, [...drawn.slice(0, -1), ...truth, staircase(x, y), its], layout(520, { shapes: goalLines(x, y), xaxis: ranged(x, { range: [...ranges[0]] }), yaxis: ranged(y, { range: [...ranges[1]] }) }));
  const all = ROWS.front.length + ROWS.dominated.length + ROWS["over a limit"].length, out = DATA.outside[0];
  el("front-note").textContent = (out ? `${number(out)} of ${number(all)} ${DATA.members} lie outside of the frame around the front. ` : "") + leftOut() + `Numbers are those of ${DATA.members}.`;
  if (!before) {
    el("zoom-front").hidden = el("zoom-all").hidden = false;
    el("zoom-front").onclick = () => Plotly.relayout(figure, { "xaxis.range": [...frames[0]], "yaxis.range": [...frames[1]] });
    el("zoom-all").onclick = () => Plotly.relayout(figure, { "xaxis.autorange": true, "yaxis.autorange": true });
    figure.on("plotly_relayout", change => { if (Object.keys(change).some(key => key.includes("range"))) Plotly.restyle(figure, { text: [labels(x, y, [figure.layout.xaxis.range, figure.layout.yaxis.range], figure.clientWidth - 110, 400)] }, [figure.data.length - 1]); });
  }
}
const leftOut = () => COLS.n_left_out ? `The figures show ${number(N)} of ${number(N + COLS.n_left_out)} ${DATA.members}: the whole front, and the others evenly over the run. ` : "";

function front1d(figure) {
  const [o] = OBJECTIVES;
  const drawn = traces(rows => ({ type: kindOfScatter(rows), x: rows.map(i => parseInt(COLS.id[i])), y: pick(o.column, rows) }));
  show(figure, drawn, layout(440, { xaxis: axis("evaluation"), yaxis: ranged(o) }));
  el("front-note").textContent = leftOut();
}

function front3d(figure) {
  const [x, y, z] = OBJECTIVES, size = { front: 5, dominated: 2.5 };
  const drawn = traces(rows => ({ type: "scatter3d", x: pick(x.column, rows), y: pick(y.column, rows), z: pick(z.column, rows) }));
  for (const t of drawn) { t.marker = { ...t.marker, size: t.meta.rows === ROWS.front ? size.front : size.dominated, line: { width: 0 } }; delete t.selectedpoints; delete t.unselected; }
  if (DATA.true_front) drawn.push({ type: "scatter3d", mode: "markers", name: "true front", visible: "legendonly", hoverinfo: "skip", x: DATA.true_front.map(p => p[0]), y: DATA.true_front.map(p => p[1]), z: DATA.true_front.map(p => p[2]), marker: { color: css("true"), size: 1.5 } });
  const side = o => ({ title: { text: plain(o.words) }, type: o.column.log ? "log" : "linear", gridcolor: css("line"), zerolinecolor: css("line"), backgroundcolor: css("bg"), color: css("text"), tickfont: { size: 11 } });
  show(figure, drawn, layout(600, { margin: { l: 0, r: 0, t: 30, b: 0 }, uirevision: "camera", scene: { xaxis: side(x), yaxis: side(y), zaxis: side(z), aspectmode: "cube", camera: { eye: { x: 1.5, y: 1.35, z: .85 }, center: { x: 0, y: 0, z: -.16 } } } }));
  el("front-note").textContent = leftOut() + "Drag to turn; click the legend to hide and show.";
}

function pairs(figure) {
  const places = [[0, 1], [0, 2], [1, 2]], drawn = [], axes = {}, shapes = [], annotations = [];
  places.forEach(([a, b], k) => {
    const s = k ? String(k + 1) : "", x = OBJECTIVES[a], y = OBJECTIVES[b];
    for (const t of traces(rows => ({ type: kindOfScatter(rows), x: pick(x.column, rows), y: pick(y.column, rows) })))
      drawn.push({ ...t, xaxis: "x" + s, yaxis: "y" + s, showlegend: false, marker: { ...t.marker, size: t.marker.size * .75 } });
    axes["xaxis" + s] = ranged(x, { range: frameOf(x), domain: [k / 3 + (k ? .045 : 0), (k + 1) / 3 - (k < 2 ? .035 : 0)], anchor: "y" + s, nticks: 6 });
    axes["yaxis" + s] = ranged(y, { range: frameOf(y), anchor: "x" + s, automargin: !k, nticks: 6, title: { text: plain(y.words), standoff: 4 } });
    shapes.push(...goalLines(x, y, s));
    if (DATA.outside[k]) annotations.push({ xref: `x${s} domain`, yref: `y${s} domain`, x: 1, y: 1, xanchor: "right", yanchor: "bottom", showarrow: false, text: `${number(DATA.outside[k])} outside of the frame`, font: { size: 11, color: css("muted") } });
  });
  show(figure, drawn, layout(386, { ...axes, shapes, annotations, margin: { l: 60, r: 10, t: 36, b: 60 } }));
}

function frontMany(figure) {
  const brief = OBJECTIVES.map(o => plain(short(o.title, 14)) + (o.direction === "max" ? " ↑" : " ↓"));
  const drawn = traces(rows => ({ type: "splom", diagonal: { visible: false }, showupperhalf: false, dimensions: OBJECTIVES.map((o, k) => ({ label: brief[k], values: pick(o.column, rows), axis: { type: o.column.log ? "log" : "linear" } })) }));
  for (const t of drawn) t.marker = { ...t.marker, size: t.meta.rows === ROWS.front ? 7 : Math.min(t.marker.size, 5) };
  const axes = {};
  OBJECTIVES.forEach((_, k) => { for (const a of ["xaxis", "yaxis"]) axes[a + (k ? k + 1 : "")] = { gridcolor: css("dim"), zerolinecolor: css("line"), tickfont: { size: 10 }, nticks: 4 }; });
  show(figure, drawn, layout(Math.min(180 + 130 * OBJECTIVES.length, 1100), axes));
  el("front-note").textContent = leftOut() + "↑ more is better, ↓ less is better.";
}
FIGURES.push(["front", [null, front1d, front2d, front3d][OBJECTIVES.length] || frontMany], ["pairs", pairs]);

// ---- parallel coordinates
const MOST_LINES = 1000, MOST_AXES = 12;
let DIMENSIONS, axesChosen, LINES, N_LINES_LEFT_OUT;
const brushes = new Map();  // index of a dimension to its brushed ranges
function lookAtLines() {
  brushes.clear();
  kept = null;
  DIMENSIONS = [...COLS.variables.filter(c => c.values.some(v => v !== null)), ...OBJECTIVES.map(o => ({ ...o.column, objective: o }))];
  axesChosen = new Set([...DIMENSIONS.filter(c => !c.objective).slice(0, Math.max(4, MOST_AXES - OBJECTIVES.length)), ...DIMENSIONS.filter(c => c.objective)].map(c => DIMENSIONS.indexOf(c)));
  const others = [...ROWS["over a limit"], ...ROWS.dominated].sort((a, b) => a - b), step = Math.max(1, others.length / MOST_LINES), thin = [];
  for (let k = 0; k < others.length; k += step) thin.push(others[Math.floor(k)]);
  LINES = [...thin, ...ROWS.front].filter(i => OBJECTIVES.every(o => o.column.values[i] !== null));
  N_LINES_LEFT_OUT = ROWS["over a limit"].length + ROWS.dominated.length + ROWS.front.length - LINES.length;
}
lookAtLines();

function ticks(low, high, log, whole) {
  if (!log) { const step = Math.max(10 ** Math.floor(Math.log10((high - low) / 4 || 1)), whole ? 1 : 0), by = step * [1, 2, 5, 10].find(m => (high - low) / (m * step) <= 6), out = []; for (let v = Math.ceil(low / by) * by; v <= high + by * 1e-9; v += by) out.push(Math.abs(v) < by * 1e-9 ? 0 : v); return out.map(v => [v, number(Number(v.toPrecision(10)))]); }
  const out = [];
  for (const digits of [[1], [1, 3], [1, 2, 5]]) { out.length = 0; for (let e = Math.floor(low) - 1; e <= high + 1; e++) for (const d of digits) { const v = e + Math.log10(d); if (v >= low - 1e-9 && v <= high + 1e-9) out.push([v, number(Number((10 ** v).toPrecision(3)))]); } if (out.length >= 3) break; }
  if (out.length < 2) return [[low, number(10 ** low)], [high, number(10 ** high)]];
  return out.length > 9 ? out.filter((_, k) => k % Math.ceil(out.length / 8) === 0) : out;
}
// A variable that does not exist in a configuration has a place of its own under the axis.
function dimension(c, index) {
  const raw = pick(c, LINES).map(v => v === null ? null : c.log ? Math.log10(v) : v), known = raw.filter(v => v !== null);
  let low = known.reduce((a, b) => Math.min(a, b), Infinity), high = known.reduce((a, b) => Math.max(a, b), -Infinity);
  if (!known.length) { low = 0; high = 1; }
  if (c.levels) { low = 0; high = Math.max(c.levels.length - 1, 1); }
  if (high === low) { const pad = Math.abs(low) / 10 || .5; low -= pad; high += pad; }
  const span = high - low, absent = low - .14 * span, lacks = known.length < raw.length;
  const marks = c.levels ? c.levels.map((text, k) => [k, short(text, 14)]) : ticks(low, high, c.log, known.every(Number.isInteger));
  if (lacks) marks.unshift([absent, "not there"]);
  const name = plain(short(c.title, 16)) + (c.objective ? (c.objective.direction === "max" ? " ↑" : " ↓") : "");
  return { label: name, name: String(index), values: raw.map(v => v === null ? absent : v), range: [lacks ? absent - .03 * span : low, high], tickvals: marks.map(m => m[0]), ticktext: marks.map(m => m[1]) };
}
function parallel(figure) {
  const indices = [...axesChosen].sort((a, b) => a - b);
  const dims = indices.map(k => ({ ...dimension(DIMENSIONS[k], k), ...(brushes.has(k) ? { constraintrange: brushes.get(k) } : {}) }));
  const isFront = LINES.map(i => ROLES[COLS.role[i]] === "front" ? 1 : 0);
  figure.style.minWidth = 90 * dims.length + "px";
  const text = { color: css("text"), size: 12 };
  if (!HAS_GL) { figure.textContent = "This figure needs WebGL, which this browser does not offer."; return; }
  const first = !figure.data;
  show(figure, [{ type: "parcoords", dimensions: dims, line: { color: isFront, cmin: 0, cmax: 1, colorscale: [[0, css(LINES.length > 200 ? "line-faint" : "dominated")], [1, css("front")]] }, labelangle: dims.length > 7 ? -22 : 0, labelfont: { ...text, size: 13 }, tickfont: text, rangefont: { color: "rgba(0,0,0,0)", size: 1 }, unselected: { line: { color: css("dim"), opacity: .5 } } }],
    layout(470, { margin: { l: 80, r: 110, t: dims.length > 7 ? 95 : 55, b: 25 } }));
  if (first) {
    figure.on("plotly_restyle", brushed);
    el("brush-clear").onclick = () => { brushes.clear(); parallel(figure); keep(); };
    if (DIMENSIONS.length > 3) DIMENSIONS.forEach((c, k) => {
      const label = document.createElement("label"), box = document.createElement("input");
      box.type = "checkbox"; box.checked = axesChosen.has(k);
      box.onchange = () => { if (box.checked) axesChosen.add(k); else { axesChosen.delete(k); brushes.delete(k); } parallel(figure); keep(); };
      label.append(box, " " + c.title);
      el("axis-choice").append(label);
    });
    keep();
  }
}
function brushed() {
  brushes.clear();
  for (const d of el("parallel").data[0].dimensions) if (d.constraintrange && d.constraintrange.length) brushes.set(Number(d.name), d.constraintrange);
  keep();
}
function keep() {
  const inside = (v, range) => Array.isArray(range[0]) ? range.some(r => inside(v, r)) : v >= Math.min(...range) && v <= Math.max(...range);
  const tests = [...brushes].map(([k, range]) => { const d = dimension(DIMENSIONS[k], k); return j => inside(d.values[j], range); });
  kept = tests.length ? new Set(LINES.filter((_, j) => tests.every(test => test(j)))) : null;
  const left = N_LINES_LEFT_OUT ? `${number(N_LINES_LEFT_OUT)} dominated ${DATA.members} are left out of this figure. ` : "";
  const onFront = kept ? ROWS.front.filter(i => kept.has(i)).length : 0;
  const hidden = DIMENSIONS.length - axesChosen.size;
  el("brush-note").textContent = left + (hidden ? `${hidden} ${hidden > 1 ? "axes are" : "axis is"} hidden. ` : "") + (kept ? `${number(kept.size)} of ${number(LINES.length)} ${DATA.members} are within the ranges, ${number(onFront)} of them on the front.` : `All ${number(LINES.length)} lines are kept.`);
  const byId = new Map(ROWS.front.map(i => [String(COLS.id[i]), i]));
  document.querySelectorAll(".front-table tbody tr").forEach(row => row.classList.toggle("faded", !!kept && !kept.has(byId.get(row.dataset.id))));
  for (const [name, draw] of FIGURES) if ((name === "front" || name === "pairs") && el(name)) draw(el(name));
}
FIGURES.push(["parallel", parallel]);
