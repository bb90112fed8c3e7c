// The dashboard: reads its settings, receives messages, draws at most once a frame.

import { createAgents, isSaturated } from "./agents.js";
import { createBanner } from "./banner.js";
import { createChart } from "./charts.js";
import { agentBadge, createFeed, scoreBadge } from "./feed.js";
import { BANDS, ago, bandOf, element, span } from "./format.js";
import { createJourney } from "./journey.js";
import { createSeries } from "./series.js";
import { bridgeAddress, openStream } from "./stream.js";

const HISTORY = { "task:routing": 1000, "agent:status": 0, "replay:progress": 1 };
const BUCKETS = 60;
const FIGURES_EVERY = 100; // ms between updates of the figures
const CLOCK_OFF = 300_000; // ms from now beyond which a publisher's timestamp is ignored
const ANNOUNCE_EVERY = 30_000; // ms between summaries for screen readers

const $ = (id) => document.getElementById(id);
const series = createSeries();
const agents = createAgents($("agents"), $("agents-note"));
const banner = createBanner($("banner"));
const feed = createFeed({
  body: $("rows"),
  scroll: $("scroll"),
  empty: $("empty"),
  button: $("pause"),
  note: $("paused"),
  agentIndex: (agent) => agents.index(agent),
  resumed: schedule,
  opened: createJourney($("journey"), (id) => {
    const index = agents.index({ id, name: id });
    return { index, name: agents.known[index].name };
  }),
});

let stream = null;
let token = takeToken();
let offset = 0; // ms that the server's clock is ahead of ours, if that is much
let total = 0;
let seconds = 300;
let chosen = false; // whether the user has chosen how many seconds are shown
const begun = []; // the seconds in which replays began; figures are of the last one
let scheduled = false;
let drawn = -Infinity; // time of the last update of the figures
let state = { name: "connecting", until: 0 };
let announced = { at: 0, total: 0 };
let measured = false; // whether agents' statuses tell latencies
let shown = "queued"; // what the chart of waiting shows: "queued" or "waited"

const clock = () => Date.now() + offset;
const clockDifference = () => Date.now() - performance.now();
let usual = clockDifference(); // it changes when the clock is set, and after a sleep

// Settings and token

/** The token in the address (after #, so that it is not sent), or the one kept for this tab. */
function takeToken() {
  const given = new URLSearchParams(location.hash.slice(1)).get("token");
  if (given) {
    sessionStorage.setItem("routingsim-token", given);
    history.replaceState(null, "", location.pathname + location.search);
  }
  return given ?? sessionStorage.getItem("routingsim-token");
}

function api(path, options = {}) {
  const headers = { ...options.headers };
  if (token) headers.Authorization = `Bearer ${token}`;
  return fetch(path, { ...options, headers });
}

async function start() {
  let response;
  try {
    response = await api("api/config");
  } catch {
    showState("waiting", 2000);
    setTimeout(start, 2000);
    return;
  }
  if (response.status === 401) return askToken();
  const answer = await response.json();
  if (!answer.success) {
    showState("stopped");
    notify(answer.error);
    return;
  }
  setClock(response);
  const { websocket, policy, agents: pool } = answer.config;
  $("policy").lastElementChild.textContent = policy;
  pool.forEach((agent) => agents.index(agent));
  stream = openStream(bridgeAddress(websocket), token, HISTORY, {
    message: receive,
    state: showState,
    lost: notify,
  });
  schedule();
}

function setClock(response) {
  const ahead = Date.parse(response.headers.get("Date")) - Date.now();
  offset = Math.abs(ahead) > 5000 ? ahead : 0; // the header knows whole seconds only
}

/** Ask the server for the time if our clock was set, or the computer was asleep. */
async function checkClock() {
  if (Math.abs(clockDifference() - usual) < 2000) return;
  usual = clockDifference();
  try {
    setClock(await api("api/config"));
  } catch {
    // Our own clock is used.
  }
}

function askToken() {
  $("token").hidden = false;
  $("token-problem").textContent = token ? "That token is wrong." : "";
  $("token-field").focus();
  showState("unauthorized");
}

$("token").addEventListener("submit", (event) => {
  event.preventDefault();
  token = $("token-field").value;
  sessionStorage.setItem("routingsim-token", token);
  $("token").hidden = true;
  if (stream) stream.authorize(token);
  else start();
});

// Messages

function receive({ type, id, payload }, isNew) {
  try {
    // A new message was published now, whatever the clock of Redis says.
    const now = clock();
    const published = isNew ? now : Math.min(now, Number.parseInt(id, 10) || payload.timestamp);
    const isOff = Math.abs(published - payload.timestamp) > CLOCK_OFF;
    const heard = isOff ? published : Math.min(now, payload.timestamp);
    if (type === "agent_status") {
      agents.receive(payload, heard);
      series.tell(published, now, agents.index({ id: payload.agentId }), payload);
    } else if (type === "replay_progress") {
      if (banner.receive(payload, published)) begin(payload, published);
    } else {
      const index = agents.index(payload.agent);
      feed.add(payload, heard);
      series.add(published, now, index, payload.agent, payload.complexityScore.d_var, bandOf(payload));
      total += 1;
    }
  } catch (error) {
    console.warn("a message that cannot be shown", error); // other programs may publish, too
    return;
  }
  schedule();
}

/** Count anew for another replay, and show a minute of one that is over in two. */
function begin({ at, end, speed }, published) {
  begun.push(Math.ceil(published / 1000 - at / speed));
  agents.forget();
  if (!chosen && end !== null && end / speed < 120) {
    document.querySelector('#window input[value="60"]').checked = true;
    seconds = 60;
    showMeasured(measured);
  }
}

function schedule() {
  if (scheduled) return;
  scheduled = true;
  requestAnimationFrame(draw);
}

function draw(now) {
  scheduled = false;
  feed.draw(now, clock());
  if (now - drawn < FIGURES_EVERY) return; // tick() draws the last figures
  drawn = now;
  agents.draw(clock());
  drawBanner();
  setText("total", total.toLocaleString());
}

/** Show the banner, or else the API's policy, which is not that of a replay. */
function drawBanner() {
  $("policy").hidden = banner.draw(clock()) || !$("policy").lastElementChild.textContent;
}

// Once a second

function tick() {
  checkClock();
  feed.second();
  feed.age(clock());
  agents.age(clock());
  drawCharts();
  if (state.name === "waiting") showWait();
  announceSummary();
  schedule();
}

function drawCharts() {
  const data = { ...series.window(clock(), seconds, seconds / BUCKETS, begun.at(-1)), marks: begun };
  const { all } = data;
  const isMeasured = data.buckets.some(({ ended }) => ended);
  if (isMeasured !== measured) showMeasured(isMeasured);
  usage.update(data);
  latency.update(data);
  drawQueues(data);
  drawTip();
  const lately = series.window(clock(), 10, 1).all.total / 9; // the last second is not over
  setText("rate", lately ? lately.toPrecision(lately < 10 ? 2 : 3) : "0");
  setText("mean", all.total ? (all.dVar / all.total).toFixed(3) : "–");
  const [sum, count] = measured ? [all.took, all.ended] : [all.latency, all.total];
  setText("latency", count ? `${(sum / count).toFixed(2)} s` : "–");
  setText("price", all.total ? `$${(all.cost / all.total).toFixed(4)}` : "–");
  const banded = all.bands.reduce((sum, count) => sum + count); // some policies have no bands
  const shares = all.bands.map((count) => (banded ? (100 * count) / banded : 0));
  const mix = shares.map((share, band) => `${Math.round(share)} % ${BANDS[band]}`).join(", ");
  $("bands").title = banded ? mix : "";
  $("bands").setAttribute("aria-label", banded ? mix : "No decisions with a band of complexity");
  [...$("bands").children].forEach((part, band) => (part.style.flexGrow = shares[band]));
  drawLegend(all);
}

function drawLegend({ counts, total }) {
  const legend = $("legend");
  agents.known.forEach(({ name }, index) => {
    const share = total ? Math.round((100 * (counts[index] ?? 0)) / total) : 0;
    legendItem(legend, index, name, `${share} %`);
  });
  const shares = agents.known.map(({ name }, index) => `${name} ${legend.children[index].lastElementChild.textContent}`);
  const label = total
    ? `${total.toLocaleString()} decisions in ${ago(seconds)}: ${shares.join(", ")}`
    : `No decisions in the last ${ago(seconds)}`;
  $("usage-chart").setAttribute("aria-label", `Decisions per second, by agent. ${label}`);
  $("latency-chart").setAttribute(
    "aria-label",
    `${$("expected-title").textContent}. Mean in ${ago(seconds)}: ${$("latency").textContent}`,
  );
}

/** Say whether latencies are measured, as agents' statuses tell, or expected by their settings. */
function showMeasured(isMeasured) {
  measured = isMeasured;
  setText("latency-name", measured ? "Latency" : "Expected latency");
  setText("latency-note", measured ? `mean of calls ended in ${ago(seconds)}` : "mean of agents chosen");
  setText("expected-title", measured ? "Latency of calls that ended" : "Expected latency of routed tasks");
  setText(
    "latency-source",
    measured ? "From sending to the end of each call." : "Mean service time in the agents' settings; not measured.",
  );
}

/** Queues, where agents' statuses tell them, and who is saturated. */
function drawQueues(data) {
  const { queued, waited } = data.all;
  $("queues").hidden = $("waiting-figure").hidden = !queued.length;
  if (!queued.length) return;
  waiting.update(data);
  setText("waiting", queued.reduce((sum, count) => sum + (count ?? 0), 0).toLocaleString());
  const texts = agents.known.map(({ name }, index) => {
    const text = `${queued[index] ?? 0} · ${span(waited[index] ?? 0)}`;
    legendItem($("waiting-legend"), index, name, text).hidden = queued[index] === undefined;
    return queued[index] === undefined ? [] : `${name} ${text}`;
  });
  $("waiting-chart").setAttribute("aria-label", `Waiting, by agent. Tasks and last wait: ${texts.flat().join(", ")}`);
  const full = agents.known.filter(isSaturated).map(({ name, status, wait, latency: served }) => {
    const beside = served === undefined ? "" : `; a call takes ${span(served)}`;
    return `${name}: ${status.queued} wait; the last to start had waited ${span(wait)}${beside}`;
  });
  $("saturation").hidden = !full.length;
  setText("saturation", full.length ? `Saturated. ${full.join(" · ")}` : "");
}

function legendItem(legend, index, name, text) {
  let item = legend.children[index];
  if (!item) {
    item = element("li");
    item.append(agentBadge(index, name), element("b"));
    legend.append(item);
  }
  if (item.lastElementChild.textContent !== text) item.lastElementChild.textContent = text;
  return item;
}

function announceSummary() {
  const now = performance.now();
  if (now - announced.at < ANNOUNCE_EVERY) return;
  if (total > announced.total) {
    $("announce").textContent = `${(total - announced.total).toLocaleString()} new decisions`;
  }
  announced = { at: now, total };
}

// Charts

function colorOf(index) {
  return getComputedStyle(document.documentElement).getPropertyValue(`--agent-${index % 10}`);
}

const waiting = createChart($("waiting-chart"), {
  line: () => shown === "waited",
  unit: () => (shown === "waited" ? " s" : ""),
  values: (bucket) =>
    bucket.length && bucket.queued.length
      ? agents.known.map((_, index) => ({ value: bucket[shown][index] ?? 0, color: colorOf(index) }))
      : null,
  describe: ({ queued, waited }) =>
    agents.known.flatMap(({ name }, index) =>
      queued[index] === undefined ? [] : [{ text: `${name}  ${queued[index]} · ${span(waited[index] ?? 0)}`, index }],
    ),
  pointed,
});

const usage = createChart($("usage-chart"), {
  unit: () => "",
  values: ({ counts, length, known }) =>
    known ? agents.known.map((_, index) => ({ value: (counts[index] ?? 0) / length, color: colorOf(index) })) : null,
  describe: ({ counts, total, length }) => [
    { text: `${length ? Number((total / length).toPrecision(3)) : 0} a second` },
    ...agents.known.flatMap(({ name }, index) =>
      counts[index] ? [{ text: `${name}  ${Math.round((100 * counts[index]) / total)} %`, index }] : [],
    ),
  ],
  pointed,
});

const latency = createChart($("latency-chart"), {
  line: () => true,
  unit: () => " s",
  values: ({ latency, total, took, ended, known }) => {
    const [sum, count] = measured ? [took, ended] : [latency, total];
    return known && count ? [{ value: sum / count }] : null;
  },
  describe: ({ latency, total, took, ended }) => {
    if (measured) return [{ text: ended ? `${span(took / ended)}, ${ended} calls` : "no call ended" }];
    return [{ text: total ? `${(latency / total).toFixed(2)} s expected` : "no decisions" }];
  },
  pointed,
});

const charts = { "waiting-chart": waiting, "usage-chart": usage, "latency-chart": latency };
let pointedAt = null; // the chart that the user points at

function pointed(index, source) {
  for (const chart of Object.values(charts)) chart.show(index);
  pointedAt = source ? charts[source.id] : null;
  drawTip();
  if (source?.matches(":focus-visible")) {
    $("announce").textContent = [...$("tip").children].map((line) => line.textContent).join(", ");
  }
}

function drawTip() {
  const tip = $("tip");
  const shown = pointedAt?.tip();
  tip.hidden = !shown;
  if (!shown) return;
  tip.replaceChildren(
    element("p", "when", shown.when),
    ...shown.lines.map(({ text, index }) => (index === undefined ? element("p", "", text) : agentBadge(index, text))),
  );
  const left = Math.min(shown.x + 12, innerWidth - tip.offsetWidth - 8);
  tip.style.transform = `translate(${left}px, ${shown.y + 8}px)`;
}

// Connection

function showState(name, wait = 0) {
  state = { name, until: performance.now() + wait };
  const link = $("link");
  link.dataset.state = name;
  $("reconnect").hidden = name !== "waiting" || !stream;
  const texts = {
    connecting: "Connecting…",
    live: "Live",
    degraded: "The bridge has lost Redis",
    unauthorized: "Waiting for a token",
    stopped: "Not connected",
  };
  if (name === "waiting") showWait();
  else setText("link-text", texts[name]);
  if (name === "unauthorized" && $("token").hidden) askToken();
}

function showWait() {
  const left = Math.max(1, Math.ceil((state.until - performance.now()) / 1000));
  setText("link-text", `Connection lost, next try in ${left} s`);
}

$("reconnect").addEventListener("click", () => stream.reconnect());

function notify(text) {
  $("notice").firstElementChild.textContent = text;
  $("notice").hidden = false;
}

$("notice").lastElementChild.addEventListener("click", () => ($("notice").hidden = true));

// Sending a task

$("send").addEventListener("submit", async (event) => {
  event.preventDefault();
  const text = $("text").value;
  const answer = $("answer");
  $("send-button").disabled = true;
  const began = performance.now();
  try {
    const response = await api("api/routing/test", {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify({ text }),
    });
    const took = performance.now() - began;
    const body = await response.json();
    if (!body.success) throw new Error(body.error);
    showAnswer(body.decision, took);
  } catch (error) {
    answer.replaceChildren(element("p", "problem", `Not routed: ${error.message}`));
  } finally {
    $("send-button").disabled = false;
  }
});

function showAnswer(decision, took) {
  const { taskId, selectedAgent, reason } = decision;
  const head = element("p", "head");
  head.append(
    agentBadge(agents.index(selectedAgent), selectedAgent.name),
    scoreBadge(decision),
    element("span", "took", `answered in ${took < 10 ? took.toFixed(1) : Math.round(took)} ms`),
  );
  $("answer").replaceChildren(head, element("p", "why", reason));
  feed.claim(taskId);
}

$("text").addEventListener("keydown", (event) => {
  if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) {
    event.preventDefault();
    $("send").requestSubmit();
  }
});

function countCharacters() {
  const length = [...$("text").value].length;
  setText("count", length ? `${length.toLocaleString()} character${length === 1 ? "" : "s"}` : "");
}

$("text").addEventListener("input", countCharacters);

for (const button of document.querySelectorAll("[data-text]")) {
  button.addEventListener("click", () => {
    $("text").value = button.dataset.text;
    countCharacters();
    $("text").focus();
  });
}

// Theme and time window

$("theme").value = document.documentElement.dataset.theme;
$("theme").addEventListener("change", ({ target }) => {
  document.documentElement.dataset.theme = target.value;
  localStorage.setItem("routingsim-theme", target.value);
  drawCharts();
});
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => drawCharts());

$("window").addEventListener("change", ({ target }) => {
  seconds = Number(target.value);
  chosen = true;
  showMeasured(measured);
  drawCharts();
});

$("measure").addEventListener("change", ({ target }) => {
  shown = target.value;
  drawCharts();
});

function setText(id, text) {
  const node = $(id);
  if (node.textContent !== text) node.textContent = text;
}

setInterval(tick, 1000);
start();
