// Policies by quality, cost and latency, who waits, and how latencies spread. A range of time that
// is marked in the chart of waiting holds for all. Used by a notebook's widget and by a page.

const NS = "http://www.w3.org/2000/svg";
const [H, LEFT, RIGHT, TOP, BOTTOM, GAP, LEAST] = [230, 44, 10, 8, 34, 18, 360];

/** Without it JupyterLab takes the arrow keys for commands of its own. */
const OWN_KEYS = { "data-lm-suppress-shortcuts": "true" };

function node(tag, attributes = {}, ...children) {
  const made = tag.startsWith("svg:") ? document.createElementNS(NS, tag.slice(4)) : document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  made.append(...children);
  return made;
}

const short = (value) => String(Number(value.toPrecision(3)));

/** A figure of a table: three digits, zeros too. */
const told = (value) => (Number.isFinite(value) ? (value < 100 ? value.toPrecision(3) : Math.round(value).toLocaleString("en")) : "–");

/** Figures of a run over the tasks that arrived in a range of time. */
function figures(run, [from, to]) {
  const chosen = [];
  run.arrived.forEach((at, i) => at >= from && at <= to && chosen.push(i));
  const answered = chosen.filter((i) => run.answered[i]);
  const latency = answered.map((i) => run.latency[i]).sort((a, b) => a - b);
  const mean = (values, of) => of.reduce((sum, i) => sum + values[i], 0) / of.length;
  return {
    latency,
    tasks: chosen.length,
    quality: run.quality ? mean(run.quality, chosen) : NaN,
    cost: run.cost ? 1000 * mean(run.cost, chosen) : NaN,
    // A percentile of a queue that grows says how long the run was, and is not shown.
    p95: run.ended && latency.length ? latency[Math.ceil(0.95 * latency.length) - 1] : NaN,
  };
}

/** Round values of an axis, with as many decimals as their distance needs. */
function steps(low, high) {
  const rough = (high - low) / 5 || 1;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = power * [1, 2, 5, 10].find((factor) => factor * power >= rough);
  const found = [];
  const digits = Math.max(0, -Math.floor(Math.log10(step)));
  for (let k = Math.ceil(low / step); k * step <= high + step / 1e6; k++) found.push([k * step, (k * step).toFixed(digits)]);
  return found;
}

/** Axes of a chart so many pixels wide; returns its svg and the scales of both. */
function axes(width, [x0, x1], [y0, y1], xName, label) {
  const x = (value) => LEFT + ((width - LEFT - RIGHT) * (value - x0)) / (x1 - x0 || 1);
  const y = (value) => H - BOTTOM - ((H - BOTTOM - TOP) * (value - y0)) / (y1 - y0 || 1);
  const svg = node("svg:svg", { width, height: H, role: "img", "aria-label": label });
  for (const [value, text] of steps(y0, y1)) {
    svg.append(node("svg:line", { class: "rule", x1: LEFT, x2: width - RIGHT, y1: y(value), y2: y(value) }));
    svg.append(node("svg:text", { x: LEFT - 5, y: y(value) + 4, "text-anchor": "end" }, text));
  }
  for (const [value, text] of steps(x0, x1)) {
    svg.append(node("svg:text", { x: x(value), y: H - BOTTOM + 15, "text-anchor": "middle" }, text));
  }
  svg.append(node("svg:text", { x: width - RIGHT, y: H - 3, "text-anchor": "end" }, xName));
  return { svg, x, y };
}

const span = (values) => {
  const known = values.filter(Number.isFinite);
  const [low, high] = [Math.min(...known), Math.max(...known)];
  const room = (high - low || Math.abs(high) || 1) * 0.12;
  return known.length ? [low - room, high + room] : [0, 1];
};

function frontier(width, { policies, quality }, found, selected) {
  const up = quality ? "quality" : "cost";
  const across = quality ? "cost" : "p95";
  const names = { quality: "quality", cost: "USD per 1,000 tasks", p95: "p95 latency (s)" };
  const [xs, ys] = [across, up].map((name) => found.map((each) => each[name]));
  const label = `${names[up]} against ${names[across]}, by policy`;
  const { svg, x, y } = axes(width, span(xs), span(ys), names[across], label);
  const named = []; // where names stand
  policies.forEach(({ name, color }, p) => {
    if (!Number.isFinite(xs[p]) || !Number.isFinite(ys[p])) return;
    const dot = { cx: x(xs[p]), cy: y(ys[p]), r: p === selected ? 8 : 5, fill: color };
    svg.append(node("svg:circle", dot, node("svg:title", {}, name)));
    const end = dot.cx > width / 2;
    const at = { x: dot.cx + (end ? -10 : 10), y: dot.cy + 4 };
    const hides = (other) => Math.abs(other.x - at.x) < width / 3 && Math.abs(other.y - at.y) < 11;
    for (let tries = 1; named.some(hides) && tries < 9; tries++) at.y = dot.cy + 4 + 11 * (tries % 2 ? 1 : -1) * Math.ceil(tries / 2);
    named.push(at);
    const text = { ...at, "text-anchor": end ? "end" : "start" };
    svg.append(node("svg:text", text, name));
  });
  return svg;
}

function spread(width, { policies }, found, selected) {
  const most = Math.max(...found.map(({ p95, latency }) => (Number.isFinite(p95) ? 1.6 * p95 : (latency.at(-1) ?? 0))), 0.1);
  const end = Math.min(most, 20 * Math.min(...found.map(({ latency }) => latency[latency.length >> 1] || Infinity)));
  const { svg, x, y } = axes(width, [0, end], [0, 100], "latency (s)", "Latency, by policy");
  policies.forEach(({ color }, p) => {
    const { latency, tasks } = found[p];
    const points = latency.flatMap((value, i) => (value <= end ? `${x(value)},${y((100 * (i + 1)) / tasks)}` : []));
    const line = { points: points.join(" "), fill: "none", stroke: color, "stroke-width": p === selected ? 3 : 1.5 };
    svg.append(node("svg:polyline", line));
  });
  return svg;
}

/**
 * Draw a view in an element. `ask(settings)`, if given, is called while a slider moves: once, and
 * again with the last settings when the answer has come. Returned is what to call with an answer.
 */
function show(root, first, ask) {
  let data = first;
  let waiting = 0; // the timer of an answer that has not come
  let moved = false; // since it was asked for
  let selected = 0;
  let range = [0, Infinity]; // of arrivals, s
  const asked = { load: 1, slots: {}, price: {}, ...structuredClone(first.asked) };
  const charts = node("div", { class: "charts" });
  const table = node("table");
  const wide = () => Math.max(charts.clientWidth, 240);
  const half = () => (wide() < 2 * LEAST + GAP ? wide() : (wide() - GAP) / 2);
  const note = node("p", { class: "note" });
  root.replaceChildren(...(ask ? [sliders()] : []), charts, node("div", { class: "table" }, table), note);

  function slider(name, { min, max, step, value }, told, changed) {
    const output = node("output", {}, told(value));
    const input = node("input", { type: "range", min, max, step, value, "aria-label": name, ...OWN_KEYS });
    input.addEventListener("input", () => {
      output.textContent = told(Number(input.value));
      changed(Number(input.value));
      run();
    });
    return node("label", {}, name, output, input);
  }

  function run() {
    moved = waiting !== 0;
    if (moved) return;
    root.classList.add("busy");
    waiting = setTimeout(() => (note.textContent = "No answer from the kernel yet. If it was restarted, run the cell again."), 3000);
    ask(structuredClone(asked));
  }

  function sliders() {
    const times = (value = 1) => ({ min: -2, max: 2, step: 0.25, value: Math.log2(value) });
    const factor = (value) => `× ${short(2 ** value)}`;
    return node(
      "div",
      { class: "asked" },
      slider("load", times(asked.load), factor, (value) => (asked.load = 2 ** value)),
      ...first.agents.flatMap(({ id, name, slots }) => [
        slider(`slots of ${name}`, { min: 1, max: 4 * first.slots[id], step: 1, value: slots }, String, (value) => (asked.slots[id] = value)),
        slider(`price of ${name}`, times(asked.price[id]), factor, (value) => (asked.price[id] = 2 ** value)),
      ]),
    );
  }

  function queues() {
    const { edges, waiting, name } = data.policies[selected];
    const most = Math.max(...edges.slice(1).map((_, i) => waiting.reduce((sum, row) => sum + row[i], 0)), 1);
    const label = `Tasks waiting under ${name}, by agent; arrow keys move a marked range`;
    const { svg, x, y } = axes(wide(), [0, edges.at(-1)], [0, most], "time (s)", label);
    edges.slice(1).forEach((_, i) => {
      let base = 0;
      waiting.forEach((row, a) => {
        if (!row[i]) return;
        const size = { x: x(edges[i]), width: Math.max(1, x(edges[i + 1]) - x(edges[i]) - 0.5) };
        svg.append(node("svg:rect", { ...size, y: y(base + row[i]), height: y(base) - y(base + row[i]), fill: data.agents[a].color }));
        base += row[i];
      });
    });
    const band = node("svg:rect", { class: "band", y: TOP, height: H - TOP - BOTTOM, x: 0, width: 0 });
    svg.append(band);
    const mark = () => {
      const [from, to] = [Math.max(0, range[0]), Math.min(edges.at(-1), range[1])];
      band.setAttribute("x", x(from));
      band.setAttribute("width", range[1] === Infinity ? 0 : Math.max(0, x(to) - x(from)));
    };
    const seconds = (event) => {
      const box = svg.getBoundingClientRect();
      const part = (event.clientX - box.left - LEFT) / (box.width - LEFT - RIGHT);
      return Math.min(1, Math.max(0, part)) * edges.at(-1);
    };
    let began = null;
    svg.addEventListener("pointerdown", (event) => {
      began = seconds(event);
      svg.setPointerCapture(event.pointerId);
    });
    svg.addEventListener("pointermove", (event) => {
      if (began === null) return;
      range = [Math.min(began, seconds(event)), Math.max(began, seconds(event))];
      mark();
    });
    svg.addEventListener("pointerup", () => {
      began = null;
      if (range[1] - range[0] < edges.at(-1) / 200) range = [0, Infinity]; // a click unmarks
      drawRest();
      mark();
    });
    svg.setAttribute("tabindex", "0");
    for (const [name, value] of Object.entries(OWN_KEYS)) svg.setAttribute(name, value);
    svg.addEventListener("keydown", (event) => {
      const move = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
      if (event.key === "Escape") range = [0, Infinity];
      else if (!move) return;
      else if (range[1] === Infinity) range = [0, edges.at(-1) / 10];
      else range = range.map((at) => at + (move * edges.at(-1)) / 20);
      event.preventDefault();
      drawRest();
      mark();
    });
    mark();
    return svg;
  }

  const figure = (title, content, kind = "") => node("figure", { class: kind }, node("figcaption", {}, title), content);

  function drawRest() {
    const found = data.policies.map((run) => figures(run, range));
    const title = data.quality ? "Quality (0–1) against cost" : "USD per 1,000 tasks against latency";
    const within = "Share answered within a latency (%)";
    const [one, two] = [figure(title, frontier(half(), data, found, selected)), figure(within, spread(half(), data, found, selected))];
    if (charts.children.length) [one, two].forEach((made, i) => charts.children[i].replaceWith(made));
    else charts.append(one, two, node("figure"));
    const head = ["policy", "tasks", ...(data.quality ? ["quality"] : []), "USD/1,000", "p95 (s)", "verdict"];
    table.replaceChildren(
      node("thead", {}, node("tr", {}, ...head.map((name) => node("th", { scope: "col" }, name)))),
      node("tbody", {}, ...data.policies.map((run, p) => row(run, found[p], p))),
    );
    const part = range[1] === Infinity ? "all tasks" : `tasks that arrived from ${short(range[0])} to ${short(range[1])} s`;
    const sample = data.policies[0].arrived.length < data.policies[0].tasks ? `, a sample of ${data.policies[0].arrived.length}` : "";
    note.textContent = `Shown: ${part}${sample}; one run under one seed, without intervals: compare() has them.`;
  }

  function row({ name, color, verdict }, { tasks, quality, cost, p95 }, p) {
    const button = node("button", { type: "button", "aria-pressed": String(p === selected) }, node("span", { class: "dot", style: `background:${color}` }), name);
    button.addEventListener("click", () => {
      selected = p;
      draw();
    });
    const cells = [tasks.toLocaleString(), ...(data.quality ? [told(quality)] : []), told(cost), told(p95), verdict];
    const made = node("tr", {}, node("th", { scope: "row" }, button));
    made.append(...cells.map((text) => node("td", {}, text)));
    return made;
  }

  function draw() {
    drawRest();
    const keys = data.agents.map(({ name, color }) => node("span", {}, node("span", { class: "dot box", style: `background:${color}` }), name));
    const drawn = figure(`Tasks waiting under ${data.policies[selected].name}: drag over a part of the time to see its figures alone`, queues(), "wide");
    drawn.append(node("div", { class: "legend" }, ...keys));
    charts.children[2].replaceWith(drawn);
  }

  let drawn = 0;
  new ResizeObserver(() => {
    if (charts.clientWidth && charts.clientWidth !== drawn) {
      drawn = charts.clientWidth;
      draw();
    }
  }).observe(charts);
  draw();
  return (next) => {
    if (next.asked.load !== (data.asked.load ?? 1)) range = [0, Infinity]; // other times
    data = next;
    clearTimeout(waiting);
    waiting = 0;
    root.classList.remove("busy");
    draw();
    if (moved) run();
  };
}

/** The front end of the widget. */
function render({ model, el }) {
  const root = node("div", { class: "explore" });
  // A picture stands in for the view wherever this script does not run.
  el.append(node("style", {}, `#${model.get("still")} { display: none; }`), root);
  const update = show(root, model.get("data"), (settings) => {
    model.set("asked", settings);
    model.save_changes();
  });
  model.on("change:data", () => update(model.get("data")));
}
