// ---- the course of the run, its models and its rungs
const PALETTE = () => [css("accent"), css("front"), css("true"), css("over"), css("short"), css("muted")];
const DASHES = ["solid", "dash", "dot", "dashdot"];

function progress(figure) {
  const h = DATA.history, line = { color: css("front"), width: 2, shape: "hv" }, hover = (words, values) => ({ hoverinfo: "none", meta: { texts: h.n.map((n, i) => `after evaluation ${number(n)}: ${words} ${number(values[i])}`) } });
  if (!h.best && !h.volume) { figure.textContent = "Nothing keeps the limits so far."; return; }
  if (h.best) {
    show(figure, [{ type: "scatter", mode: "lines", x: h.n, y: h.best, line, ...hover("best", h.best) }], layout(360, { showlegend: false, xaxis: axis("evaluation"), yaxis: ranged(OBJECTIVES[0], { title: { text: "best " + plain(OBJECTIVES[0].words) } }) }));
    return;
  }
  const shapes = h.true === null ? [] : [{ type: "line", xref: "paper", x0: 0, x1: 1, yref: "y", y0: h.true, y1: h.true, line: { color: css("true"), width: 1.5, dash: "dash" } }];
  const annotations = h.true === null ? [] : [{ xref: "paper", x: 0, xanchor: "left", yref: "y", y: h.true, yanchor: "bottom", showarrow: false, text: "true front", font: { color: css("true"), size: 12 } }];
  const top = Math.max(h.volume[h.volume.length - 1], h.true ?? 0);
  show(figure, [{ type: "scatter", mode: "lines", x: h.n, y: h.volume, line, ...hover("hypervolume", h.volume) },
    { type: "scatter", mode: "lines", x: h.n, y: h.size, yaxis: "y2", line: { color: css("accent"), width: 2, shape: "hv" }, ...hover("points on the front:", h.size) }],
    layout(470, { showlegend: false, shapes, annotations, xaxis: axis("evaluation", { anchor: "y2", range: [0, h.n[h.n.length - 1] * 1.01] }), yaxis: axis("hypervolume", { domain: [.42, 1], range: [Math.min(...h.volume) - .02 * top, top * 1.08] }), yaxis2: axis("size of the front", { domain: [0, .34], rangemode: "tozero", nticks: 5 }) }));
}

// One panel for each key, up to three in a row.
function panels(keys, height, make) {
  const columns = Math.min(keys.length, 3), rows = Math.ceil(keys.length / columns), drawn = [], more = { annotations: [] };
  keys.forEach((key, k) => {
    const s = k ? String(k + 1) : "", c = k % columns, r = Math.floor(k / columns), gap = .07, v = .24 / rows + .02;
    const x = [c / columns + (c ? gap / 2 : 0), (c + 1) / columns - (c < columns - 1 ? gap / 2 : 0)], y = [1 - (r + 1) / rows + (r < rows - 1 ? v : 0), 1 - r / rows];
    const its = make(key, k);
    drawn.push(...its.traces.map(t => ({ ...t, xaxis: "x" + s, yaxis: "y" + s })));
    more["xaxis" + s] = { ...its.xaxis, domain: x, anchor: "y" + s };
    more["yaxis" + s] = { ...its.yaxis, domain: y, anchor: "x" + s, automargin: c === 0 };
    more.annotations.push({ xref: "paper", yref: "paper", x: (x[0] + x[1]) / 2, y: y[1], yanchor: "bottom", showarrow: false, text: plain(short(its.title, 40)), font: { size: 13 } });
  });
  return [drawn, layout(height * rows + 70, { ...more, margin: { l: 65, r: 15, t: 60, b: 55 }, legend: { orientation: "h", y: 1 + 36 / (height * rows), yanchor: "bottom", x: 0 } })];
}

const MODELS = DATA.surrogate.metrics;
const withUnit = (name, unit) => unit && !name.split("@")[0].endsWith("_" + unit) ? `${name} (${unit})` : name;
function predicted(figure) {
  const keys = Object.keys(MODELS).filter(name => MODELS[name].pairs.length), rowOf = new Map(COLS.id.map((id, i) => [id, i]));
  show(figure, ...panels(keys, 330, (name, k) => {
    const its = MODELS[name], pairs = its.pairs, log = its.log && pairs.every(p => p[1] > 0 && p[3] > 0), type = log ? { type: "log", minorloglabels: "complete", exponentformat: "none", nticks: 6 } : { nticks: 6 };
    const all = pairs.flatMap(p => [p[1], p[3]]), ends = [Math.min(...all), Math.max(...all)];
    return { title: withUnit(name, its.unit), xaxis: axis("measured", type), yaxis: axis(k % 3 ? "" : "predicted, ± 2 sd", type), traces: [
      { type: "scatter", mode: "lines", x: ends, y: ends, hoverinfo: "skip", showlegend: false, line: { color: css("muted"), dash: "dash", width: 1 } },
      { type: "scatter", mode: "markers", showlegend: false, hoverinfo: "none", x: pairs.map(p => p[3]), y: pairs.map(p => p[1]), marker: { color: css("accent"), size: 7 }, error_y: { type: "data", array: pairs.map(p => 2 * p[2]), color: css("dominated"), thickness: 1, width: 0 },
        meta: pairs.every(p => rowOf.has(p[0])) ? { rows: pairs.map(p => rowOf.get(p[0])) } : { texts: pairs.map(p => named(p[0])) } }] };
  }));
}
function choices(figure) {
  const keys = Object.keys(MODELS).filter(name => MODELS[name].history.length), families = [...new Set(keys.flatMap(name => MODELS[name].history.flatMap(look => Object.keys(look.scores))))];
  show(figure, ...panels(keys, 230, (name, k) => ({ title: name, xaxis: axis(`${DATA.surrogate.learnt} learnt from`, { nticks: 6 }), yaxis: axis(k % 3 ? "" : "Kendall's τ", { range: [-.55, 1.08] }),
    traces: families.map((family, f) => {
      const looks = MODELS[name].history.filter(look => look.scores[family] && look.scores[family].rank_correlation !== null), y = looks.map(look => look.scores[family].rank_correlation);
      return { type: "scatter", mode: "lines+markers", name: plain(family), legendgroup: family, showlegend: !k, hoverinfo: "none", x: looks.map(look => look.n), y, line: { color: PALETTE()[f % 6], dash: DASHES[f % 4] },
        marker: { size: looks.map(look => look.chosen === family ? 11 : 6), symbol: looks.map(look => look.chosen === family ? "diamond" : "circle") }, meta: { texts: looks.map((look, i) => `${family} of ${look.n} ${DATA.surrogate.learnt}: τ ${number(y[i])}${look.chosen === family ? ", chosen" : ""}`) } };
    }) })));
}
function climbs(figure) {
  const list = DATA.rungs.climbs, fidelities = DATA.rungs.rungs.map(r => r.fidelity);
  show(figure, ...panels(OBJECTIVES, 300, o => ({ title: o.words, xaxis: axis("fidelity", { tickvals: fidelities }), yaxis: { ...ranged(o), title: { text: "" } },
    traces: list.map((climb, c) => {
      const steps = climb.filter(step => step.objectives[o.name] !== null && step.objectives[o.name] !== undefined);
      return { type: "scatter", mode: "lines+markers", showlegend: false, hoverinfo: "none", x: steps.map(s => s.fidelity), y: steps.map(s => s.objectives[o.name]), line: { color: PALETTE()[c % 6], dash: DASHES[Math.floor(c / 6) % 4] }, meta: { texts: steps.map(s => `Evaluation ${s.id} at ${s.fidelity}: ${number(s.objectives[o.name])}`) } };
    }) })));
}
function decisions(figure) {
  const entries = DATA.timeline.entries, lanes = ["state", "model choices", "promotions", "reuse", "retries", "other"].filter(lane => entries.some(e => e.lane === lane)).reverse();
  const symbols = { "state": "square", "model choices": "diamond", "promotions": "triangle-up", "reuse": "circle", "retries": "x", "other": "circle-open" };
  show(figure, lanes.map((lane, k) => {
    const its = entries.filter(e => e.lane === lane);
    return { type: "scatter", mode: "markers", name: lane, showlegend: false, hoverinfo: "none", x: its.map(e => e.n), y: its.map(() => lane), marker: { size: 11, symbol: symbols[lane], color: PALETTE()[k % 6], opacity: .75 }, meta: { texts: its.map(e => `After evaluation ${e.n}: ${e.text}`) } };
  }), layout(90 + 46 * lanes.length, { xaxis: axis("evaluations asked by then", { rangemode: "tozero" }), yaxis: axis("", { categoryarray: lanes, type: "category" }), margin: { l: 110, r: 20, t: 10, b: 50 } }));
}
FIGURES.push(["progress", progress], ["climbs", climbs], ["predicted", predicted], ["choices", choices], ["decisions", decisions]);
start();
