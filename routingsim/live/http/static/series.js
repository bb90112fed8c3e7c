// Decisions in each of the last 900 seconds, by agent.

export const SECONDS = 900;

export function createSeries() {
  const slots = Array.from({ length: SECONDS }, () => ({ second: -1 }));

  function slotOf(second) {
    const slot = slots[second % SECONDS];
    if (slot.second !== second) {
      Object.assign(slot, { second, counts: [], total: 0, latency: 0, cost: 0, dVar: 0, bands: [0, 0, 0] });
    }
    return slot;
  }

  return {
    /** Count a decision made at `time` (ms), with its band or -1. */
    add(time, now, agent, { latency, cost }, dVar, band) {
      const second = Math.floor(time / 1000);
      const current = Math.floor(now / 1000);
      if (second <= current - SECONDS || second > current + 1) return;
      const slot = slotOf(second);
      slot.counts[agent] = (slot.counts[agent] ?? 0) + 1;
      slot.total += 1;
      slot.latency += latency;
      slot.cost += cost;
      slot.dVar += dVar;
      if (band >= 0) slot.bands[band] += 1;
    },

    /** Sums over the last `seconds` whole seconds, and over buckets of `width` s each. */
    window(now, seconds, width) {
      const end = Math.floor(now / 1000); // the current second is not over yet
      const first = Math.floor(end / width) * width - seconds + width;
      const buckets = [];
      const all = { counts: [], total: 0, latency: 0, cost: 0, dVar: 0, bands: [0, 0, 0] };
      for (let start = first; start < first + seconds; start += width) {
        const bucket = { start, length: 0, counts: [], total: 0, latency: 0 };
        for (let second = start; second < Math.min(start + width, end); second++) {
          bucket.length += 1;
          const slot = slots[second % SECONDS];
          if (slot.second !== second) continue;
          slot.counts.forEach((count, agent) => {
            bucket.counts[agent] = (bucket.counts[agent] ?? 0) + count;
            all.counts[agent] = (all.counts[agent] ?? 0) + count;
          });
          bucket.total += slot.total;
          bucket.latency += slot.latency;
          for (const name of ["total", "latency", "cost", "dVar"]) all[name] += slot[name];
          slot.bands.forEach((count, band) => (all.bands[band] += count));
        }
        bucket.known = bucket.length * 2 >= width; // a bucket just begun has too few seconds
        buckets.push(bucket);
      }
      return { buckets, all, end, width, seconds };
    },
  };
}
