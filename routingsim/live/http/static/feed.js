// The table of the last decisions: newest first, bounded, and still while it is read.

import { ago } from "./charts.js";

const ROWS = 100;
const CALM = 20; // new rows a second above which they come in gulps and without a highlight
const GULP = 250; // ms
const MOST = 30; // rows a gulp, the others when it is calm; a hundred take a slow machine 0.1 s

/** The band of a complexity score, as the colours have it. */
export function bandOf(dVar) {
  return dVar < 0.3 ? 0 : dVar < 0.5 ? 1 : 2;
}

export const BANDS = ["low", "medium", "high"];

/** An element with a class and a text; texts are never markup. */
export function element(tag, className = "", text = "") {
  const made = document.createElement(tag);
  if (className) made.className = className;
  if (text) made.textContent = text;
  return made;
}

/** The name of an agent beside a patch of its colour. */
export function agentBadge(index, name) {
  const badge = element("span", `agent agent-${index % 10}`);
  badge.append(element("i"), element("span", "", name));
  return badge;
}

/** A score in the colour of its band, with the band's name. */
export function scoreBadge(dVar) {
  const band = BANDS[bandOf(dVar)];
  const badge = element("span", "score");
  badge.dataset.band = band;
  badge.append(element("b", "", dVar.toFixed(3)), element("span", "", band));
  return badge;
}

export function createFeed({ body, scroll, empty, button, note, agentIndex, resumed }) {
  let waiting = []; // newest last, at most ROWS
  let held = 0; // how many came while paused
  let chosen = false; // by the button
  let hovered = false;
  let last = 0;
  let shown = []; // what the table holds, newest last, but for those left out in a hurry
  let leftOut = false;
  let aged = 0; // the server's time when the times were brought up to date
  let recent = 0;
  let mine = null;

  const isPaused = () => chosen || hovered;

  function makeRow({ taskId, agent, complexityScore, reason, timestamp, heard }) {
    const row = element("tr");
    row.dataset.time = heard;
    row.dataset.task = taskId;
    const task = element("td", "task");
    const short = element("code", "", [...taskId.slice(0, 16)].slice(0, 8).join(""));
    short.title = taskId;
    task.append(short);
    const who = element("td", "who");
    who.append(agentBadge(agentIndex(agent), agent.name));
    const score = element("td", "dvar");
    const { length, punctuation, uniqueTokens } = complexityScore.factors;
    score.append(scoreBadge(complexityScore.d_var));
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

  function tellPause() {
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

  /** Draw the rows that were left out. */
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
    tellPause();
  }

  scroll.addEventListener("pointerenter", (event) => {
    if (event.pointerType === "mouse") setPause(() => (hovered = true));
  });
  scroll.addEventListener("pointerleave", () => setPause(() => (hovered = false)));
  button.addEventListener("click", () => setPause(() => (chosen = !chosen)));

  return {
    /** Take a decision heard at `heard` (ms); refuses what could not be drawn later. */
    add(decision, heard) {
      const { d_var: dVar, factors } = decision.complexityScore;
      if (typeof decision.taskId !== "string" || typeof dVar !== "number" || !factors) {
        throw new TypeError("no decision");
      }
      recent += 1;
      waiting.push({ ...decision, heard });
      if (waiting.length > 2 * ROWS) waiting = waiting.slice(-ROWS);
      if (isPaused()) held += 1;
    },

    /** Draw what came since; called once a frame. */
    draw(now, clock) {
      if (isPaused()) {
        if (held) tellPause();
        return;
      }
      const hurried = recent > CALM;
      if (hurried && now - last < GULP) return;
      if (!waiting.length) return fill();
      last = now;
      const count = hurried && body.rows.length === ROWS ? MOST : ROWS;
      leftOut ||= waiting.length > count;
      shown = [...shown, ...waiting].slice(-ROWS);
      const rows = waiting.slice(-count).reverse().map(makeRow);
      waiting = [];
      empty.hidden = true;
      if (!hurried) rows.forEach((row) => row.classList.add("fresh"));
      body.prepend(...rows);
      while (body.rows.length > ROWS) body.lastElementChild.remove();
      age(clock);
    },

    /** Bring the times up to date; called once a second. */
    age,

    /** Forget how much came in the last second. */
    second() {
      recent = 0;
    },

    /** Mark the reader's own task, here already or yet to come. */
    claim(taskId) {
      mine = taskId;
      for (const row of body.rows) {
        if (row.dataset.task === taskId && !row.classList.contains("mine")) mark(row);
      }
    },
  };
}
