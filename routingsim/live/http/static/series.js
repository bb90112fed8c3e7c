// Decisions, queues, waits and latencies in each of the last 900 seconds, by agent.

export const SECONDS = 900;

// Of decisions: number, expected latencies and prices, scores. Of calls that ended: latencies, number.
const SUMS = { total: 0, latency: 0, cost: 0, dVar: 0, took: 0, ended: 0 };

export function createSeries() {
  const slots = Array.from({ length: SECONDS }, () => ({ second: -1 }));

  function slotOf(second) {
    const slot = slots[second % SECONDS];
    if (slot.second !== second) {
      Object.assign(slot, { second, ...SUMS, counts: [], bands: [0, 0, 0], queued: [], waited: [] });
    }
    return slot;
  }

  /** The slot of `time` (ms); null where it is too old or not yet. */
  function slotAt(time, now) {
    const second = Math.floor(time / 1000);
    const current = Math.floor(now / 1000);
    return second <= current - SECONDS || second > current + 1 ? null : slotOf(second);
  }

  return {
    /** Count a decision made at `time` (ms), with its band or -1. */
    add(time, now, agent, { latency, cost }, dVar, band) {
      const slot = slotAt(time, now);
      if (!slot) return;
      slot.counts[agent] = (slot.counts[agent] ?? 0) + 1;
      slot.total += 1;
      slot.latency += latency;
      slot.cost += cost;
      slot.dVar += dVar;
      if (band >= 0) slot.bands[band] += 1;
    },

    /** Take an agent's status: its queue, and the wait or the latency of a call, where told. */
    tell(time, now, agent, { queued, wait, latency }) {
      const slot = slotAt(time, now);
      if (!slot) return;
      if (Number.isFinite(queued)) slot.queued[agent] = queued;
      if (Number.isFinite(wait)) slot.waited[agent] = wait;
      if (!Number.isFinite(latency)) return;
      slot.took += latency;
      slot.ended += 1;
    },

    /**
     * Sums over the last `seconds` whole seconds, from second `since` on, and over buckets of `width` s
     * each. A bucket's `queued` and `waited` are what each agent last told by its end, since then.
     */
    window(now, seconds, width, since = 0) {
      const end = Math.floor(now / 1000); // the current second is not over yet
      const first = Math.floor(end / width) * width - seconds + width;
      const buckets = [];
      const all = { ...SUMS, counts: [], bands: [0, 0, 0], queued: [], waited: [] };
      let begun = false;
      const told = (second) => {
        if (!begun && second >= since) {
          begun = true;
          all.queued = [];
          all.waited = [];
        }
        const slot = slots[second % SECONDS];
        if (slot.second !== second) return null;
        slot.queued.forEach((count, agent) => (all.queued[agent] = count));
        slot.waited.forEach((wait, agent) => (all.waited[agent] = wait));
        return slot;
      };
      for (let second = end - SECONDS + 1; second < first; second++) told(second);
      for (let start = first; start < first + seconds; start += width) {
        const bucket = { ...SUMS, start, length: 0, counts: [] };
        for (let second = start; second < Math.min(start + width, end); second++) {
          bucket.length += 1;
          const slot = told(second);
          if (!slot) continue;
          for (const sums of begun ? [bucket, all] : [bucket]) {
            slot.counts.forEach((count, agent) => (sums.counts[agent] = (sums.counts[agent] ?? 0) + count));
            for (const name of Object.keys(SUMS)) sums[name] += slot[name];
          }
          if (begun) slot.bands.forEach((count, band) => (all.bands[band] += count));
        }
        bucket.queued = [...all.queued];
        bucket.waited = [...all.waited];
        bucket.known = bucket.length * 2 >= width; // a bucket just begun has too few seconds
        buckets.push(bucket);
      }
      if (!begun) all.queued = all.waited = []; // the second of `since` is not over
      return { buckets, all, end, width, seconds };
    },
  };
}
