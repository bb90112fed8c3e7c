// What became of a task: its calls, each with its wait and its service, in a dialog.

import { agentBadge, scoreBadge } from "./feed.js";
import { element, span } from "./format.js";

const WORDS = {
  ok: "answered",
  failed: "failed",
  timed_out: "timed out",
  shed: "refused, for the queue was full",
  rejected: "refused, over a limit",
  too_long: "refused, too long",
  escalated: "handed on to a better agent",
};

/** Show decisions in a dialog. `agentOf(id)` gives an agent's index and name. */
export function createJourney(dialog, agentOf) {
  const [title, about, list, note] = ["h2", ".head", "ol", ".footnote"].map((it) => dialog.querySelector(it));

  function makeTry({ agentId, sent, waited, served, status }, whole) {
    const { index, name } = agentOf(agentId);
    const item = element("li");
    const bar = element("div", `spans agent-${index % 10}`);
    for (const [kind, from, long] of [["waited", sent, waited], ["served", sent + waited, served]]) {
      const part = element("i", kind);
      part.style.left = `${(100 * from) / whole}%`;
      part.style.width = `${(100 * long) / whole}%`;
      bar.append(part);
    }
    const words = [...(sent ? [`sent after ${span(sent)}`] : []), `waited ${span(waited)}`];
    if (served) words.push(`served ${span(served)}`);
    item.append(agentBadge(index, name), element("span", "", `${words.join(", ")}: ${WORDS[status] ?? status}`), bar);
    return item;
  }

  dialog.addEventListener("click", ({ target }) => {
    if (target === dialog) dialog.close(); // beside it
  });

  return (decision) => {
    if (!decision) return;
    const { taskId, reason, timestamp, tries = [] } = decision;
    title.textContent = `Task ${taskId}`;
    about.replaceChildren(scoreBadge(decision), element("span", "", reason));
    const whole = Math.max(...tries.map(({ sent, waited, served }) => sent + waited + served), 1e-9);
    list.replaceChildren(...tries.map((each) => makeTry(each, whole)));
    const when = `Routed ${new Date(timestamp).toLocaleString()}.`;
    note.textContent = tries.length
      ? `${when} It ended after ${span(whole)} of simulated time, from its arrival on. Pale: waiting; full: being served.`
      : `${when} What became of it is not told by this publisher; replays tell it.`;
    dialog.showModal();
  };
}
