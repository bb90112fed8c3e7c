// The panel of agents: status, load, queue, and time of the last status.

import { ago, element, span } from "./format.js";

const SILENT = 30; // s without a status after which an agent is shown as silent

/** Whether calls wait at an agent for longer than it serves one, on average. */
export function isSaturated({ status, wait, latency }) {
  return Boolean(status?.queued) && status.status !== "available" && wait >= (latency ?? 0) && wait > 0;
}

/** Agents in the order of the pool; others follow in the order of their first message. */
export function createAgents(list, note) {
  const known = [];
  const indexOf = new Map();

  function add({ id, name, strengths = [], latency, cost }) {
    const index = known.length;
    const item = element("li", `agent-${index % 10}`);
    const head = element("div", "head");
    const title = element("span", "name");
    title.append(element("i"), element("b", "", name));
    const badge = element("span", "status");
    head.append(title, badge);
    const meter = element("div", "meter");
    meter.setAttribute("role", "meter");
    meter.setAttribute("aria-label", `Load of ${name}`);
    meter.setAttribute("aria-valuemin", "0");
    meter.setAttribute("aria-valuemax", "100");
    const bar = element("i");
    meter.append(bar);
    const load = element("span", "load");
    const middle = element("div", "middle");
    middle.append(meter, load);
    const foot = element("div", "foot");
    const about = element("span", "about", strengths.join(", "));
    if (latency !== undefined) about.title = `${latency} s, $${cost} per 1,000 tokens`;
    const queue = element("span", "queue");
    const seen = element("span", "seen");
    foot.append(about, queue, seen);
    item.append(head, middle, foot);
    list.append(item);
    known.push({ id, name, latency, cost, item, badge, meter, bar, load, queue, seen, status: null, changed: true });
    indexOf.set(id, index);
    return index;
  }

  return {
    known,

    /** Index of an agent, which is added if it is new. */
    index(agent) {
      return indexOf.get(agent.id) ?? add(agent);
    },

    /** Take a status, received at `heard` (ms). */
    receive(status, heard) {
      const agent = known[this.index({ id: status.agentId, name: status.name })];
      agent.status = status;
      agent.wait = status.wait ?? agent.wait ?? 0; // s that the call that started last had waited
      agent.heard = heard;
      agent.changed = true;
    },

    /** Forget waits, as those of a replay that is over. */
    forget() {
      for (const agent of known) agent.wait = 0;
    },

    draw(clock) {
      for (const agent of known) {
        if (!agent.changed) continue;
        agent.changed = false;
        const { item, badge, meter, bar, load, queue, status } = agent;
        const percent = status ? Math.round(100 * status.load) : 0;
        item.dataset.status = status?.status ?? "unknown";
        badge.textContent = status?.status ?? "no status yet";
        bar.style.transform = `scaleX(${Math.min(100, percent) / 100})`;
        load.textContent = status ? `${percent} %` : "–";
        item.classList.toggle("saturated", isSaturated(agent));
        queue.textContent = status?.queued ? `${status.queued} waiting · ${span(agent.wait)}` : "";
        meter.setAttribute("aria-valuenow", Math.min(100, percent));
        item.title = status
          ? `Last status: ${new Date(status.timestamp).toLocaleString()}`
          : "No status since this page was opened";
      }
      this.age(clock);
    },

    /** Update the times, and grey out silent agents; called once a second. */
    age(clock) {
      let silent = 0;
      for (const { item, seen, status, heard } of known) {
        const seconds = status ? (clock - heard) / 1000 : Infinity;
        const isSilent = seconds >= SILENT;
        silent += isSilent;
        item.classList.toggle("silent", isSilent);
        const text = !status ? "" : isSilent ? `silent for ${ago(seconds)}` : seconds < 1.5 ? "now" : `${ago(seconds)} ago`;
        if (seen.textContent !== text) seen.textContent = text;
      }
      const text = known.length ? `${known.length - silent} of ${known.length} reported in ${SILENT} s` : "";
      if (note.textContent !== text) note.textContent = text;
    },
  };
}
