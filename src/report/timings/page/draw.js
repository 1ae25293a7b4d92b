// Drawing of bars: one test each where there is room, otherwise shares of time by pixel.

/** A bar of at least this many pixels is drawn by itself. */
const OWN_BAR = 2;

class Palette {
  constructor(context) {
    const style = getComputedStyle(document.documentElement);
    const read = (name) => style.getPropertyValue(`--${name}`).trim();
    for (const name of ["panel", "text", "muted", "line", "accent", "startup", "idle", "setup", "teardown", "failed"]) this[name] = read(name);
    this.idleLine = read("idle-line");
    this.barText = read("bar-text");
    this.endings = ENDINGS.map((ending) => read(ending.name));
    this.setupStripes = stripes(context, this.setup, this.panel, 1);
    this.teardownStripes = stripes(context, this.teardown, this.panel, -1);
  }
}

/** Diagonal stripes: phases differ by more than their colour. */
function stripes(context, colour, ground, direction) {
  const size = 8;
  const tile = document.createElement("canvas");
  tile.width = tile.height = size;
  const paint = tile.getContext("2d");
  paint.fillStyle = ground;
  paint.fillRect(0, 0, size, size);
  paint.globalAlpha = 0.6;
  paint.fillStyle = colour;
  paint.fillRect(0, 0, size, size);
  paint.globalAlpha = 1;
  paint.strokeStyle = colour;
  paint.lineWidth = 2.6;
  for (const shift of [-size, 0, size]) {
    paint.beginPath();
    paint.moveTo(shift, direction > 0 ? size : 0);
    paint.lineTo(shift + size, direction > 0 ? 0 : size);
    paint.stroke();
  }
  return context.createPattern(tile, "repeat");
}

/** Sets a canvas's pixels to what the screen has; returns its context, scaled to CSS pixels. */
function prepare(canvas, height) {
  const ratio = window.devicePixelRatio || 1;
  const width = canvas.clientWidth;
  if (height) canvas.style.height = `${height}px`;
  const tall = height || canvas.clientHeight;
  const [wide, high] = [Math.max(1, Math.round(width * ratio)), Math.max(1, Math.round(tall * ratio))];
  if (canvas.width !== wide || canvas.height !== high) [canvas.width, canvas.height] = [wide, high];
  const context = canvas.getContext("2d");
  context.setTransform(ratio, 0, 0, ratio, 0, 0);
  context.clearRect(0, 0, width, tall);
  return { context, width, height: tall };
}

/** Shares of time by pixel, one list for each kind of time. */
class Bins {
  constructor(width) {
    this.width = width;
    this.kinds = new Map();
  }

  /** Adds the time from `x0` to `x1` (pixels, fractions count). */
  add(kind, x0, x1) {
    let list = this.kinds.get(kind);
    if (!list) this.kinds.set(kind, (list = new Float32Array(this.width + 1)));
    const from = Math.max(0, x0);
    const to = Math.min(this.width, x1);
    for (let pixel = Math.floor(from); pixel < to; pixel++) {
      list[pixel] += Math.min(to, pixel + 1) - Math.max(from, pixel);
    }
  }

  /** Draws them upon each other, from the bottom up. */
  draw(context, left, bottom, height, fill) {
    const base = new Float32Array(this.width + 1);
    for (const kind of [...this.kinds.keys()].sort((one, two) => one - two)) {
      const list = this.kinds.get(kind);
      context.beginPath();
      for (let pixel = 0; pixel < this.width; pixel++) {
        if (!list[pixel]) continue;
        const tall = Math.min(Math.max(list[pixel] * height, 0.75), height - base[pixel]);
        context.rect(left + pixel, bottom - base[pixel] - tall, 1, tall);
        base[pixel] += tall;
      }
      fill(kind);
    }
  }
}

// Kinds of time in the bins: 0 to 7 calls by outcome, then set-up and teardown; with `DIM` of tests that are not searched for.
const SETUP = 8;
const TEARDOWN = 9;
const DIM = 16;

class LanePainter {
  constructor(context, palette, view, left, width) {
    Object.assign(this, { context, palette, view, left, width });
    this.data = view.data;
    this.scale = width / (view.to - view.from);
  }

  x(time) {
    return this.left + (time - this.view.from) * this.scale;
  }

  /** Draws the tests of a lane into a band; returns the pixels at which tests have failed. */
  draw(lane, top, height) {
    const { data, view, left } = this;
    const bins = new Bins(Math.ceil(this.width));
    const marks = new Set();
    const stop = data.first[lane + 1];
    for (let row = firstEndingAfter(data, lane, view.from); row < stop && data.start[row] < view.to; row++) {
      const wide = (data.end[row] - data.start[row]) * this.scale;
      if (ENDINGS[data.ending[row]].bad && view.isMatch(row)) marks.add(Math.round(this.x(this.lastMiddle(row))));
      if (wide < OWN_BAR) this.gather(bins, row, left);
      else this.bar(row, top, height);
    }
    bins.draw(this.context, left, top + height, height, (kind) => this.fillBins(kind));
    this.context.globalAlpha = 1;
    return marks;
  }

  /** The middle of the attempt that decided. */
  lastMiddle(row) {
    const { data } = this;
    const one = attemptsOf(data, row).at(-1);
    return data.start[row] + one.offset + (one.setup + one.call + one.teardown) / 2;
  }

  gather(bins, row, left) {
    const { data } = this;
    const dim = this.view.isMatch(row) ? 0 : DIM;
    for (const one of attemptsOf(data, row)) {
      const start = this.x(data.start[row] + one.offset) - left;
      const call = start + one.setup * this.scale;
      const teardown = call + one.call * this.scale;
      if (one.setup) bins.add(SETUP + dim, start, call);
      if (one.call) bins.add(one.ending + dim, call, teardown);
      if (one.teardown) bins.add(TEARDOWN + dim, teardown, teardown + one.teardown * this.scale);
    }
  }

  fillBins(kind) {
    const { context, palette } = this;
    const own = kind % DIM;
    context.globalAlpha = kind < DIM ? 1 : 0.2;
    context.fillStyle = own === SETUP ? palette.setup : own === TEARDOWN ? palette.teardown : palette.endings[own];
    context.fill();
  }

  /** One test: set-up, call, teardown, and its outcome as a strip below all of it. */
  bar(row, top, height) {
    const { context, palette, data, view } = this;
    context.globalAlpha = view.isMatch(row) ? 1 : 0.2;
    const tries = attemptsOf(data, row);
    tries.forEach((one, index) => {
      const start = data.start[row] + one.offset;
      const colour = palette.endings[one.ending];
      const x0 = this.x(start);
      const x1 = this.x(start + one.setup);
      const x2 = this.x(start + one.setup + one.call);
      const x3 = this.x(start + one.setup + one.call + one.teardown);
      // A line between neighbours, where it doesn't eat them.
      const gap = x3 - x0 > 5 ? 1 : 0;
      this.band(x0, x1, top, height, palette.setup, 0.55);
      this.band(x1, x2 - (one.teardown ? 0 : gap), top, height, colour, 1);
      this.band(x2, x3 - gap, top, height, palette.teardownStripes, 1);
      this.band(x0, x3 - gap, top + height - 3, 3, colour, 1);
      if (index === 0) this.fixtures(row, top, height - 3, x1 - x0);
      this.name(row, index, one, x0, x1, x2, top, height);
    });
  }

  band(x0, x1, top, height, fill, alpha) {
    const from = Math.max(x0, this.left - 2);
    const to = Math.min(x1, this.left + this.width + 2);
    if (to <= from) return;
    const { context } = this;
    const before = context.globalAlpha;
    context.globalAlpha = before * alpha;
    context.fillStyle = fill;
    context.fillRect(from, top, to - from, height);
    context.globalAlpha = before;
  }

  /** The fixtures within the set-up. */
  fixtures(row, top, height, wide) {
    const setups = wide < 3 ? null : this.data.setups.get(row);
    if (!setups) return;
    for (const { offset, length, fixture } of setups) {
      const x0 = this.x(this.data.start[row] + offset);
      const x1 = x0 + length * this.scale;
      this.band(x0, x1, top, height, this.palette.setupStripes, 1);
      this.text(fixtureName(this.data.fixtures[fixture].name), x0, x1, top, height, this.palette.text, true);
    }
  }

  name(row, index, one, x0, x1, x2, top, height) {
    const id = this.data.ids[row];
    const short = id.slice(id.lastIndexOf("::", id.indexOf("[") < 0 ? id.length : id.indexOf("[")) + 2) || id;
    const sign = ENDINGS[one.ending].mark;
    const label = one.ending === 0 ? short : `${sign} ${index ? "" : short}`;
    this.text(label, x1, x2, top, height, this.palette.barText, false);
  }

  /** Text within a band, cut off where the band ends; none where too little would be left of it. */
  text(label, x0, x1, top, height, colour, onStripes) {
    const from = Math.max(x0, this.left) + 5;
    const room = Math.min(x1, this.left + this.width) - from - 3;
    if (room < 26 || height < 13) return;
    const { context, palette } = this;
    context.font = `${height < 18 ? 11 : 12}px system-ui, sans-serif`;
    let shown = label;
    if (context.measureText(shown).width > room) {
      let [low, high] = [0, shown.length];
      while (low < high) {
        const middle = (low + high + 1) >> 1;
        if (context.measureText(`${shown.slice(0, middle)}…`).width <= room) low = middle;
        else high = middle - 1;
      }
      if (low < 3) return;
      shown = `${shown.slice(0, low)}…`;
    }
    context.textBaseline = "middle";
    context.textAlign = "left";
    const middle = top + height / 2;
    if (onStripes) {
      context.fillStyle = palette.panel;
      context.fillRect(from - 3, middle - 7.5, context.measureText(shown).width + 6, 15);
    }
    context.fillStyle = colour;
    context.fillText(shown, from, middle + 0.5);
  }
}

/** Steps of 1, 2 or 5 times a power of ten, at least `least` long. */
function niceStep(least) {
  const power = 10 ** Math.floor(Math.log10(least));
  return power * [1, 2, 5, 10].find((factor) => power * factor >= least * 0.999);
}
