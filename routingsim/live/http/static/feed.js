// The table of the last decisions, newest first. It pauses while the pointer is over it.

import { BANDS, ago, bandOf, element } from "./format.js";

const ROWS = 100;
const CALM = 20; // decisions a second above which rows are drawn in bursts; more are not highlighted
const BURST_EVERY = 250; // ms
const BURST_ROWS = 30; // others are drawn when it is calm; 100 rows take a slow machine 0.1 s

/** An agent's name with its colour. */
export function agentBadge(index, name) {
  const badge = element("span", `agent agent-${index % 10}`);
  badge.append(element("i"), element("span", "", name));
  return badge;
}

/** An id that fits its column: of a UUID the first part, of others the end, which tells them apart. */
function shortened(id) {
  if (/^[0-9a-f]{8}-[0-9a-f]{4}-/i.test(id)) return id.slice(0, 8);
  const end = [...id.slice(-18)];
  return id.length > 9 ? `…${end.slice(-8).join("")}` : id;
}

/** A decision's score, in the colour and with the name of its band, if it has one. */
export function scoreBadge(decision) {
  const band = BANDS[bandOf(decision)];
  const badge = element("span", "score");
  badge.append(element("b", "", decision.complexityScore.d_var.toFixed(3)));
  if (band) {
    badge.dataset.band = band;
    badge.append(element("span", "", band));
  }
  return badge;
}

export function createFeed({ body, scroll, empty, button, note, agentIndex, resumed, opened }) {
  let waiting = []; // newest last, at most ROWS
  let held = 0; // decisions received while paused
  let chosen = false; // paused by the button
  let hovered = false; // paused by the pointer
  let last = 0; // time of the last drawing
  let shown = []; // decisions that the table should show, newest last
  let leftOut = false; // whether some of them were not drawn yet
  let aged = 0; // time of the last update of the times
  let recent = 0; // decisions in the current second
  let before = 0; // decisions in the second before
  const decisions = new WeakMap(); // by row
  let mine = null; // id of the user's own task

  const isPaused = () => chosen || hovered;

  function makeRow(decision) {
    const { taskId, agent, complexityScore, reason, timestamp, heard } = decision;
    const row = element("tr");
    row.dataset.time = heard;
    row.dataset.task = taskId;
    const task = element("td", "task");
    const short = element("button");
    short.type = "button";
    short.title = `What became of task ${taskId}`;
    short.append(element("code", "", shortened(taskId)));
    task.append(short);
    decisions.set(row, decision);
    const who = element("td", "who");
    who.append(agentBadge(agentIndex(agent), agent.name));
    const score = element("td", "dvar");
    const { length, punctuation, uniqueTokens } = complexityScore.factors;
    score.append(scoreBadge(decision));
    score.title = `${length} characters, ${punctuation} punctuation, ${uniqueTokens} unique tokens`;
    const why = element("td", "why", reason);
    why.title = reason;
    const when = element("td", "when");
    when.title = new Date(timestamp).toLocaleString();
    row.append(task, who, score, why, when);
    if (taskId === mine) mark(row);
    return row;
  }

  function mark(row) {
    row.classList.add("mine");
    row.cells[3].prepend(element("span", "yours", "yours"));
  }

  function showPause() {
    body.closest("section").classList.toggle("is-paused", isPaused());
    note.hidden = !isPaused();
    note.textContent = held ? `Paused, ${held.toLocaleString()} more` : "Paused";
    button.setAttribute("aria-pressed", chosen);
    button.textContent = chosen ? "Resume" : "Pause";
  }

  function age(clock) {
    aged = clock;
    for (const row of body.rows) {
      const seconds = (clock - row.dataset.time) / 1000;
      const text = seconds < 1.5 ? "now" : ago(seconds);
      if (row.lastElementChild.textContent !== text) row.lastElementChild.textContent = text;
    }
  }

  /** Draw all rows, if some were left out. */
  function fill() {
    if (!leftOut) return;
    leftOut = false;
    body.replaceChildren(...shown.map(makeRow).reverse());
    age(aged);
  }

  function setPause(change) {
    change();
    if (isPaused()) fill();
    else {
      held = 0;
      resumed();
    }
    showPause();
  }

  scroll.addEventListener("pointerenter", (event) => {
    if (event.pointerType === "mouse") setPause(() => (hovered = true));
  });
  scroll.addEventListener("pointerleave", () => setPause(() => (hovered = false)));
  button.addEventListener("click", () => setPause(() => (chosen = !chosen)));
  body.addEventListener("click", ({ target }) => opened(decisions.get(target.closest("tr"))));

  return {
    /** Take a decision received at `heard` (ms). */
    add(decision, heard) {
      recent += 1;
      waiting.push({ ...decision, heard });
      if (waiting.length > 2 * ROWS) waiting = waiting.slice(-ROWS);
      if (isPaused()) held += 1;
    },

    /** Draw new decisions; called once a frame. */
    draw(now, clock) {
      if (isPaused()) {
        if (held) showPause();
        return;
      }
      const busy = Math.max(recent, before) > CALM;
      if (busy && now - last < BURST_EVERY) return;
      if (!waiting.length) return fill();
      last = now;
      const count = busy && body.rows.length === ROWS ? BURST_ROWS : ROWS;
      leftOut ||= waiting.length > count;
      shown = [...shown, ...waiting].slice(-ROWS);
      const rows = waiting.slice(-count).reverse().map(makeRow);
      waiting = [];
      empty.hidden = true;
      if (!busy && rows.length <= CALM) rows.forEach((row) => row.classList.add("fresh"));
      body.prepend(...rows);
      while (body.rows.length > ROWS) body.lastElementChild.remove();
      age(clock);
    },

    /** Update the times; called once a second. */
    age,

    /** Start counting a new second. */
    second() {
      before = recent;
      recent = 0;
    },

    /** Mark the user's own task, now or when it arrives. */
    claim(taskId) {
      mine = taskId;
      for (const row of body.rows) {
        if (row.dataset.task === taskId && !row.classList.contains("mine")) mark(row);
      }
    },
  };
}
