// Charts over time on canvases: stacked columns, or lines.

import { ago } from "./format.js";

const LEFT = 38;
const RIGHT = 8;
const TOP = 8;
const BOTTOM = 20;

/**
 * Make a chart on a canvas.
 *
 * `values(bucket)` returns the values of a bucket as [{value, color}], drawn as a stack; null
 * if they are unknown. With `line()`, each is a point of a line instead. `describe(bucket)` returns the
 * lines of its tooltip as [{text, index}], with an agent's index or none. `pointed(index,
 * canvas)` is called when the user points at a bucket; null when at none.
 */
export function createChart(canvas, { values, line = () => false, unit, describe, pointed }) {
  const context = canvas.getContext("2d");
  let data = null;
  let at = null;
  let scale = 1;

  function plotWidth() {
    return canvas.clientWidth - LEFT - RIGHT;
  }

  function draw() {
    const width = canvas.clientWidth;
    const height = canvas.clientHeight;
    const ratio = devicePixelRatio || 1;
    if (canvas.width !== Math.round(width * ratio) || canvas.height !== Math.round(height * ratio)) {
      canvas.width = Math.round(width * ratio);
      canvas.height = Math.round(height * ratio);
    }
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    context.clearRect(0, 0, width, height);
    if (!data || width < 80) return;
    const style = getComputedStyle(canvas);
    const ink = style.getPropertyValue("--ink-soft");
    const rule = style.getPropertyValue("--rule");
    context.font = `11px ${style.fontFamily}`;

    const drawn = data.buckets.map(values);
    const lines = line();
    const top = (most, { value }) => (lines ? Math.max(most, value ?? 0) : most + value);
    const tops = drawn.map((parts) => parts?.reduce(top, 0) ?? 0);
    const step = niceStep(Math.max(...tops, 0) || 1);
    scale = step * Math.max(2, Math.ceil(Math.max(...tops, step) / step));
    const y = (value) => height - BOTTOM - ((height - BOTTOM - TOP) * value) / scale;
    const column = plotWidth() / drawn.length;

    context.fillStyle = ink;
    context.strokeStyle = rule;
    context.lineWidth = 1;
    context.textAlign = "right";
    context.textBaseline = "middle";
    for (let value = 0; value <= scale + step / 2; value += step) {
      const level = Math.round(y(value)) + 0.5;
      context.beginPath();
      context.moveTo(LEFT, level);
      context.lineTo(width - RIGHT, level);
      context.stroke();
      context.fillText(`${Number(value.toPrecision(3))}${unit()}`, LEFT - 6, level);
    }
    context.textBaseline = "alphabetic";
    for (const part of width > 440 ? [0, 0.2, 0.4, 0.6, 0.8, 1] : [0, 0.4, 0.8, 1]) {
      context.textAlign = part === 0 ? "left" : part === 1 ? "right" : "center";
      const text = part === 1 ? "now" : `−${ago(data.seconds * (1 - part))}`;
      context.fillText(text, LEFT + plotWidth() * part, height - 5);
    }

    context.setLineDash([2, 3]);
    for (const mark of data.marks) {
      const x = LEFT + plotWidth() * ((mark - data.buckets[0].start) / data.seconds);
      if (x <= LEFT) continue;
      context.strokeStyle = ink;
      context.beginPath();
      context.moveTo(x, TOP);
      context.lineTo(x, height - BOTTOM);
      context.stroke();
    }
    context.setLineDash([]);

    if (at !== null) {
      context.fillStyle = style.getPropertyValue("--hover");
      context.fillRect(LEFT + at * column, TOP, column, height - BOTTOM - TOP);
    }
    if (!lines) return drawColumns(drawn, column, y);
    const most = Math.max(0, ...drawn.map((parts) => parts?.length ?? 0));
    for (let index = 0; index < most; index++) {
      const points = drawn.map((parts) => parts?.[index]?.value ?? null);
      const color = drawn.find((parts) => parts?.[index])[index].color ?? style.getPropertyValue("--accent");
      drawLine(points, column, y, color, most === 1);
    }
  }

  function drawColumns(drawn, column, y) {
    const space = column > 4 ? 1 : 0;
    drawn.forEach((parts, index) => {
      let base = 0;
      for (const { value, color } of parts ?? []) {
        if (!value) continue;
        context.fillStyle = color;
        const top = y(base + value);
        context.fillRect(LEFT + index * column + space / 2, top, column - space, y(base) - top);
        base += value;
      }
    });
  }

  function drawLine(points, column, y, color, filled) {
    const middle = (index) => LEFT + (index + 0.5) * column;
    context.strokeStyle = context.fillStyle = color;
    context.lineWidth = 2;
    context.lineJoin = "round";
    let run = [];
    const finish = () => {
      if (run.length === 1) {
        context.beginPath();
        context.arc(...run[0], 2, 0, 7);
        context.fill();
      } else if (run.length) {
        context.beginPath();
        for (const point of run) context.lineTo(...point);
        context.stroke();
      }
      if (filled && run.length > 1) {
        context.lineTo(run.at(-1)[0], y(0));
        context.lineTo(run[0][0], y(0));
        context.globalAlpha = 0.12;
        context.fill();
        context.globalAlpha = 1;
      }
      run = [];
    };
    points.forEach((value, index) => {
      if (value === null) finish();
      else run.push([middle(index), y(value)]);
    });
    finish();
  }

  function point(index, source) {
    at = index === null ? null : Math.max(0, Math.min(data.buckets.length - 1, index));
    pointed(at, source);
  }

  canvas.addEventListener("pointermove", (event) => {
    if (!data) return;
    const x = event.offsetX - LEFT;
    point(x < 0 ? null : Math.floor((x / plotWidth()) * data.buckets.length), canvas);
  });
  canvas.addEventListener("pointerleave", () => point(null));
  canvas.addEventListener("blur", () => point(null));
  canvas.addEventListener("keydown", (event) => {
    const move = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (!data || (!move && event.key !== "Escape")) return;
    event.preventDefault();
    point(move ? (at ?? data.buckets.length) + move : null, canvas);
  });
  new ResizeObserver(draw).observe(canvas);

  return {
    update(next) {
      data = next;
      draw();
    },
    show(index) {
      at = index;
      draw();
    },
    /** Lines and position of the tooltip of the bucket pointed at. */
    tip() {
      const bucket = at === null ? null : data.buckets[at];
      if (!bucket) return null;
      const box = canvas.getBoundingClientRect();
      const x = box.left + LEFT + ((at + 0.5) / data.buckets.length) * plotWidth();
      const when = `${ago(Math.max(0, data.end - bucket.start - bucket.length))} ago`;
      return { x, y: box.top, when, lines: describe(bucket) };
    },
  };
}

/** About four steps, each 1, 2 or 5 times a power of ten. */
function niceStep(most) {
  const rough = most / 4;
  const power = 10 ** Math.floor(Math.log10(rough));
  return power * [1, 2, 5, 10].find((factor) => factor * power >= rough);
}
