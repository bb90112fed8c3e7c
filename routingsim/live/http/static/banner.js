// The banner that says that what is shown is a replay, how far it is, and how late.

const SILENT = 5_000; // ms without a word after which it has ended, however it did
const PROMPT = 0.05; // s of lag that nobody sees

const minutes = (seconds) => `${Math.floor(seconds / 60)}:${String(Math.floor(seconds % 60)).padStart(2, "0")}`;

export function createBanner(box) {
  const [title, facts, bar] = box.querySelectorAll("b, span, progress");
  let word = null;
  let heard = 0;

  return {
    /** How far it was at `published` (ms). */
    receive(progress, published) {
      word = progress.over ? null : progress;
      heard = published;
    },

    /** Whether a replay is on. */
    draw(clock) {
      if (word && clock - heard > SILENT) word = null;
      box.hidden = !word;
      if (!word) return false;
      const { at, end, speed, lag } = word;
      title.textContent = `Replay: ${word.title}`;
      facts.textContent = [
        `${Number(speed.toPrecision(3))} × real time`,
        end === null ? minutes(at) : `${minutes(at)} of ${minutes(end)}`,
        lag < PROMPT ? "on time" : `${lag.toFixed(lag < 10 ? 1 : 0)} s late`,
      ].join(" · ");
      bar.hidden = end === null;
      bar.value = end ? Math.min(1, at / end) : 0;
      return true;
    },
  };
}
