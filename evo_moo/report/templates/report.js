"use strict";
const PAGE = JSON.parse(document.getElementById("data").textContent);
const ROLES = PAGE.roles, N = PAGE.columns.id.length;
const el = id => document.getElementById(id);
const METRIC = Object.fromEntries(PAGE.columns.metrics.map(c => [c.name, c]));
const rowsOf = role => { const k = ROLES.indexOf(role), rows = []; for (let i = 0; i < N; i++) if (COLS.role[i] === k) rows.push(i); return rows; };
// What is shown of the front: with contexts that in the one which is chosen.
let DATA, COLS, OBJECTIVES, ROWS;
function lookAt(context) {
  const part = context ? PAGE.contexts[context] : {};
  DATA = { ...PAGE, ...part };
  COLS = { ...PAGE.columns, role: part.role || PAGE.columns.role };
  OBJECTIVES = DATA.objectives.map(o => ({ ...o, column: METRIC[o.name] }));
  ROWS = Object.fromEntries(ROLES.map(role => [role, rowsOf(role)]));
}
lookAt(PAGE.contexts && Object.keys(PAGE.contexts)[0]);
const pick = (column, rows) => rows.map(i => column.values[i]);
const css = name => getComputedStyle(document.documentElement).getPropertyValue("--" + name).trim();
const HAS_GL = (() => { try { return !!document.createElement("canvas").getContext("webgl"); } catch { return false; } })();
const FEW = 2000;

const named = id => (typeof id === "string" ? "Point " : "Evaluation ") + id;
// plotly.js takes its texts for markup; data are never that.
const plain = text => String(text).replace(/&/g, "&amp;").replace(/</g, "&lt;").replace(/>/g, "&gt;").replace(/\s+/g, " ");
const short = (text, most) => text.length > most ? text.slice(0, most - 1) + "…" : text;

function number(v) {
  if (v === null || v === undefined || Number.isNaN(v)) return "";
  const size = Math.abs(v);
  if (size !== 0 && (size < 1e-3 || size >= 1e7)) return v.toExponential(2).replace("e+", "e").replace("-", "−").replace("e-", "e−");
  return Number(v.toPrecision(Number.isInteger(v) ? 7 : 4)).toLocaleString("en-US", { maximumSignificantDigits: 7 }).replace("-", "−");
}

function shown(column, i) {
  const v = column.values[i];
  if (v === null) return null;
  if (column.levels) return column.levels[v];
  const of = table => METRIC[column.name] === column && table[column.name] ? table[column.name][i] : undefined;
  const sd = of(COLS.sd), doubt = of(COLS.doubts);
  if (doubt) return number(v) + "? (" + number(doubt[0]) + " to " + number(doubt[1]) + ")";
  return number(v) + (sd === undefined ? "" : " ± " + number(sd));
}

// ---- what is pointed at
const mouse = { x: 0, y: 0 };
addEventListener("mousemove", event => { mouse.x = event.clientX; mouse.y = event.clientY; }, { passive: true });

function fillTip(title, groups) {
  const tip = el("tip"), head = document.createElement("b"), table = document.createElement("table");
  head.textContent = title;
  groups.forEach((pairs, k) => pairs.forEach(([name, value], j) => {
    const row = table.insertRow();
    if (k && !j) row.className = "rule";
    row.insertCell().textContent = name;
    row.insertCell().textContent = value;
  }));
  tip.replaceChildren(head, table);
  tip.hidden = false;
  const box = tip.getBoundingClientRect(), gap = 14;
  tip.style.left = Math.max(4, mouse.x + gap + box.width > innerWidth ? mouse.x - gap - box.width : mouse.x + gap) + "px";
  tip.style.top = Math.max(4, Math.min(mouse.y + gap, innerHeight - box.height - 4)) + "px";
}

function tipOfRow(i) {
  const pairs = columns => columns.map(c => [c.title, shown(c, i)]).filter(pair => pair[1] !== null);
  const names = new Set(OBJECTIVES.map(o => o.name));
  const goals = OBJECTIVES.map(o => [o.words, shown(o.column, i) ?? ""]);
  const others = pairs(COLS.metrics.filter(c => !names.has(c.name))).slice(0, 10);
  const variables = pairs(COLS.variables), most = 18;
  const rest = variables.length > most ? [["and " + (variables.length - most) + " more", ""]] : [];
  fillTip(named(COLS.id[i]) + ", " + (ROLES[COLS.role[i]] === "front" ? "on the front" : kindNames()[ROLES[COLS.role[i]]]),
    [goals, others, variables.slice(0, most).concat(rest)].filter(group => group.length));
}

const hideTip = () => { el("tip").hidden = true; };
addEventListener("scroll", hideTip, { passive: true });

function listen(figure) {
  figure.on("plotly_hover", event => {
    const point = event.points[0], rows = point.data.meta && point.data.meta.rows, texts = point.data.meta && point.data.meta.texts;
    if (rows) tipOfRow(rows[point.pointNumber]);
    else if (texts) fillTip(texts[point.pointNumber], []);
  });
  figure.on("plotly_unhover", hideTip);
}

// ---- light and dark
const chosen = (() => { try { return localStorage.getItem("evo-moo-theme"); } catch { return null; } })();
const system = matchMedia("(prefers-color-scheme: dark)");
function setTheme(theme, redraw = true) {
  document.documentElement.dataset.theme = theme;
  el("theme").textContent = theme === "dark" ? "Light" : "Dark";
  if (redraw) drawAll();
}
setTheme(chosen || (system.matches ? "dark" : "light"), false);
el("theme").addEventListener("click", () => {
  const theme = document.documentElement.dataset.theme === "dark" ? "light" : "dark";
  try { localStorage.setItem("evo-moo-theme", theme); } catch { /* a page without storage forgets it */ }
  setTheme(theme);
});
system.addEventListener("change", event => setTheme(event.matches ? "dark" : "light"));
let beforePrint = null;
addEventListener("beforeprint", () => { beforePrint = document.documentElement.dataset.theme; if (beforePrint === "dark") setTheme("light"); });
addEventListener("afterprint", () => { if (beforePrint === "dark") setTheme("dark"); });
el("print").addEventListener("click", () => print());

// ---- the table of the front
document.querySelectorAll(".front-table thead button").forEach(button => {
  const table = button.closest("table"), column = button.closest("th").cellIndex;
  let sign = 1;
  button.addEventListener("click", () => {
    const body = table.tBodies[0];
    const key = row => {
      const text = row.cells[column].textContent, value = parseFloat(text.replaceAll(",", "")), [evaluation, point] = text.split(".");
      return Number.isNaN(value) ? text : column === 0 ? 1e6 * evaluation + Number(point || 0) : value;
    };
    const order = (a, b) => typeof a === typeof b ? (a < b ? -1 : a > b ? 1 : 0) : typeof a === "number" ? -1 : 1;
    body.append(...[...body.rows].sort((a, b) => sign * order(key(a), key(b))));
    sign = -sign;
  });
});

// ---- plotly.js, compressed to two fifths
async function loadPlotly() {
  const bytes = Uint8Array.from(atob(el("plotly").textContent), c => c.charCodeAt(0));
  const code = await new Response(new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"))).text();
  const script = document.createElement("script");
  script.textContent = code;
  document.head.append(script);
}

const FIGURES = [];
function drawAll() {
  if (!window.Plotly) return;
  for (const [name, draw] of FIGURES) if (el(name)) draw(el(name));
}

if (PAGE.contexts) el("context").addEventListener("change", event => {
  const context = event.target.value;
  lookAt(context);
  lookAtLines();
  document.querySelectorAll("[data-context]").forEach(part => { part.hidden = part.dataset.context !== context; });
  for (const name of ["front", "pairs", "parallel", "progress"]) if (el(name) && window.Plotly) { Plotly.purge(el(name)); el(name).replaceChildren(); }
  el("axis-choice")?.replaceChildren();
  hideTip();
  drawAll();
});

async function start() {
  try {
    await loadPlotly();
    drawAll();
  } catch (error) {
    el("failure").textContent = "The figures need a browser of 2023 or later: " + error.message;
    el("failure").hidden = false;
    console.error(error);
  }
  document.documentElement.dataset.ready = "yes";
}
