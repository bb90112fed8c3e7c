// Elements, times and bands of complexity, as dashboard and notebooks show them.
// The dashboard imports it; the table for notebooks contains a copy (../feed.html).

export const BANDS = ["low", "medium", "high"];

/**
 * Index in BANDS of a decision's band, -1 if its policy has none.
 *
 * The policy's own reason states the band, such as "High complexity (D_var=0.652): …". The
 * bounds differ between policies, and decisions of several policies may come.
 */
export function bandOf({ reason }) {
  const match = /^(low|medium|high) complexity\b/i.exec(reason);
  return match ? BANDS.indexOf(match[1].toLowerCase()) : -1;
}

/** An element with a class and a text. Texts from messages are never parsed as HTML. */
export function element(tag, className = "", text = "") {
  const made = document.createElement(tag);
  if (className) made.className = className;
  if (text) made.textContent = text;
  return made;
}

/** Seconds of a wait or a call as "0.42 s", "14 s" or "2.5 min". */
export function span(seconds) {
  if (seconds < 100) return `${Number(seconds.toPrecision(seconds < 10 ? 2 : 3))} s`;
  return `${Number((seconds / 60).toPrecision(2))} min`;
}

/** Seconds as "45 s", "5 min", "2 h" or "3 d". */
export function ago(seconds) {
  const whole = Math.max(0, Math.round(seconds));
  if (whole < 60) return `${whole} s`;
  if (whole < 3600) return `${Math.round(whole / 60)} min`;
  if (whole < 86_400) return `${Math.round(whole / 3600)} h`;
  return `${Math.round(whole / 86_400)} d`;
}
