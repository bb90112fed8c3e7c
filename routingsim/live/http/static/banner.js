// The banner during a replay: its title, progress and lag.

const SILENT = 5_000; // ms without progress after which the replay counts as ended
const ON_TIME = 0.05; // s of lag that is not shown

const minutes = (seconds) => `${Math.floor(seconds / 60)}:${String(Math.floor(seconds % 60)).padStart(2, "0")}`;

export function createBanner(box) {
  const [title, facts, bar] = box.querySelectorAll("b, span, progress");
  let current = null;
  let last = null; // the title of the last one
  let heard = 0;

  return {
    /** Take the progress published at `published` (ms); returns whether another replay begins. */
    receive(progress, published) {
      const isAnother = progress.title !== last;
      current = progress.over ? null : progress;
      last = progress.title;
      heard = published;
      return isAnother;
    },

    /** Draw the banner; returns whether there is a replay. */
    draw(clock) {
      if (current && clock - heard > SILENT) current = null;
      box.hidden = !current;
      if (!current) return false;
      const { at, end, speed, lag } = current;
      title.textContent = `Replay: ${current.title}`;
      facts.textContent = [
        `${Number(speed.toPrecision(3))} × real time`,
        end === null ? minutes(at) : `${minutes(at)} of ${minutes(end)}`,
        lag < ON_TIME ? "on time" : `${lag.toFixed(lag < 10 ? 1 : 0)} s late`,
      ].join(" · ");
      bar.hidden = end === null;
      bar.value = end ? Math.min(1, at / end) : 0;
      return true;
    },
  };
}
