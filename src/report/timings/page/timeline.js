// The timeline: workers × time on a canvas, with mouse and keyboard, and the strip above that shows all of it.

const AXIS = 24;

class Timeline {
  constructor(view) {
    this.view = view;
    this.data = view.data;
    this.canvas = byId("timeline");
    this.overview = byId("overview");
    this.tip = byId("tip");
    this.canvas.setAttribute("aria-label", this.description());
    this.waiting = false;
    view.listen(() => this.later());
    new ResizeObserver(() => this.later()).observe(this.canvas);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
      this.palette = null;
      this.later();
    });
    listenToMouse(this);
    listenToKeys(this);
    listenToOverview(this);
  }

  description() {
    const { run, count, lanes } = this.data;
    return `Timeline of ${plural(count, "test")} on ${plural(lanes.length, "worker")} over ${duration(run.total)}. Arrow keys go from test to test.`;
  }

  later() {
    if (this.waiting) return;
    this.waiting = true;
    requestAnimationFrame(() => {
      this.waiting = false;
      this.draw();
    });
  }

  /** Where lanes lie: high bars for few workers, thin ones for many. */
  layout() {
    const count = Math.max(1, this.data.lanes.length);
    const bar = count <= 6 ? 34 : count <= 12 ? 24 : count <= 24 ? 16 : count <= 48 ? 10 : 6;
    const above = bar >= 16 ? 10 : 5;
    const left = this.canvas.clientWidth < 560 ? 40 : 96;
    return { count, bar, above, step: bar + above, left, width: Math.max(50, this.canvas.clientWidth - left - 8) };
  }

  draw() {
    const place = (this.place = this.layout());
    const bottom = AXIS + place.count * place.step;
    const { context, width, height } = prepare(this.canvas, bottom + 22);
    if (!this.palette) this.palette = new Palette(context);
    const painter = (this.painter = new LanePainter(context, this.palette, this.view, place.left, place.width));
    context.save();
    context.beginPath();
    context.rect(place.left, 0, place.width + 8, height);
    context.clip();
    this.drawAxis(context, painter, bottom);
    const marks = [];
    for (let lane = 0; lane < this.data.lanes.length; lane++) {
      const top = AXIS + lane * place.step + place.above;
      this.drawIdle(context, painter, lane, top);
      marks.push([top, painter.draw(lane, top, place.bar)]);
    }
    for (const [top, pixels] of marks) this.drawMarks(context, top, pixels);
    this.drawCrashes(context, painter);
    this.drawFlags(context, painter, bottom);
    this.drawFrame(context, painter, this.view.hovered, 1);
    this.drawFrame(context, painter, this.view.selected, 2);
    context.restore();
    this.drawLabels(context);
    this.drawOverview();
    this.canvas.dataset.drawn = String(Number(this.canvas.dataset.drawn || 0) + 1);
  }

  drawAxis(context, painter, bottom) {
    const { view, palette, place } = this;
    context.fillStyle = palette.startup;
    const ready = painter.x(this.data.run.ready);
    if (ready > place.left) context.fillRect(place.left, AXIS, ready - place.left, bottom - AXIS);
    // After the last test: pytest's summary and the end.
    const [last, end] = [Math.max(painter.x(this.data.run.last), place.left), painter.x(this.data.run.total)];
    if (end > last) context.fillRect(last, AXIS, end - last, bottom - AXIS);
    this.drawAside(context, "start and collection", place.left, ready, bottom);
    this.drawAside(context, "summary and end", last, Math.min(end, place.left + place.width), bottom);
    const step = niceStep(((view.to - view.from) * 92) / place.width);
    context.font = "12px system-ui, sans-serif";
    context.textBaseline = "middle";
    context.textAlign = "center";
    context.strokeStyle = palette.line;
    context.lineWidth = 1;
    for (let time = Math.ceil(view.from / step) * step; time <= view.to; time += step) {
      const x = Math.round(painter.x(time)) + 0.5;
      context.beginPath();
      context.moveTo(x, AXIS - 4);
      context.lineTo(x, bottom);
      context.stroke();
      context.fillStyle = palette.muted;
      context.fillText(tick(time, step), Math.min(Math.max(x, place.left + 14), place.left + place.width - 10), 10);
    }
  }

  /** What a part of the time without tests is. */
  drawAside(context, label, from, to, bottom) {
    context.font = "12px system-ui, sans-serif";
    if (to - from < context.measureText(label).width + 16) return;
    context.textAlign = "center";
    context.textBaseline = "middle";
    context.fillStyle = this.palette.muted;
    context.fillText(label, (from + to) / 2, (AXIS + bottom) / 2);
  }

  drawIdle(context, painter, lane, top) {
    const { data, palette, place } = this;
    const x0 = Math.max(painter.x(data.run.ready), place.left);
    const x1 = Math.min(painter.x(data.run.last), place.left + place.width);
    if (x1 <= x0) return;
    context.fillStyle = palette.idle;
    context.fillRect(x0, top, x1 - x0, place.bar);
    context.strokeStyle = palette.idleLine;
    context.lineWidth = 1;
    context.strokeRect(x0 + 0.5, top + 0.5, x1 - x0 - 1, place.bar - 1);
    // What is left of the run when a worker has nothing more to do.
    const rest = data.run.last - data.lanes[lane].last;
    const from = Math.max(painter.x(data.lanes[lane].last), x0);
    if (rest > 0 && data.lanes[lane].tests && x1 - from > 74 && place.bar >= 10) {
      context.fillStyle = palette.muted;
      context.font = "11px system-ui, sans-serif";
      context.textAlign = "center";
      context.textBaseline = "middle";
      context.fillText(`idle ${duration(rest)}`, (from + x1) / 2, top + place.bar / 2 + 0.5);
    }
  }

  /** A sign above what failed, however narrow it is. */
  drawMarks(context, top, pixels) {
    context.fillStyle = this.palette.failed;
    context.beginPath();
    for (const x of pixels) {
      context.moveTo(x - 4, top - 8);
      context.lineTo(x + 4, top - 8);
      context.lineTo(x, top - 1);
    }
    context.fill();
  }

  drawCrashes(context, painter) {
    const { palette, place } = this;
    for (const crash of this.data.crashes) {
      const x = painter.x(crash.at);
      const top = AXIS + crash.slot * place.step + place.above;
      context.strokeStyle = palette.failed;
      context.lineWidth = 2;
      context.beginPath();
      context.moveTo(x, top - 3);
      context.lineTo(x, top + place.bar + 3);
      context.stroke();
      context.fillStyle = palette.panel;
      context.strokeStyle = palette.failed;
      context.beginPath();
      context.arc(x, top + place.bar / 2, Math.min(9, place.bar / 2), 0, 7);
      context.fill();
      context.stroke();
      context.fillStyle = palette.failed;
      context.font = `bold ${Math.min(13, place.bar)}px system-ui, sans-serif`;
      context.textAlign = "center";
      context.textBaseline = "middle";
      context.fillText(crash.replacement === "coming" ? "↻" : "✕", x, top + place.bar / 2 + 1);
    }
  }

  /** Vertical lines with a text below: ready, predicted end, end. */
  drawFlags(context, painter, bottom) {
    const { data, palette } = this;
    const { run } = data;
    const flags = [[run.last, "last test ends", []]];
    if (run.ready > run.total / 50) flags.unshift([run.ready, "workers start", []]);
    if (run.predicted) flags.push([run.ready + run.predicted, "predicted end", [5, 4]]);
    context.font = "11px system-ui, sans-serif";
    context.textBaseline = "middle";
    const taken = [];
    for (const [time, label, dash] of flags) {
      const x = Math.round(painter.x(time)) + 0.5;
      const { left, width } = this.place;
      if (x < left || x > left + width + 2) continue;
      context.strokeStyle = dash.length ? palette.accent : palette.muted;
      context.setLineDash(dash);
      context.lineWidth = dash.length ? 1.5 : 1;
      context.beginPath();
      context.moveTo(x, AXIS - 4);
      context.lineTo(x, bottom + 4);
      context.stroke();
      context.setLineDash([]);
      const wide = context.measureText(label).width;
      const places = [x - wide / 2, x - wide - 8, x + 8, x - wide - 100].map((place) => Math.min(Math.max(place, left), left + width + 6 - wide));
      const at = places.find((place) => taken.every(([from, to]) => place > to + 6 || place + wide < from - 6));
      if (at === undefined) continue;
      taken.push([at, at + wide]);
      context.textAlign = "left";
      context.fillStyle = dash.length ? palette.accent : palette.muted;
      context.fillText(label, at, bottom + 13);
    }
  }

  drawFrame(context, painter, row, thick) {
    if (row < 0) return;
    const { data, palette, place } = this;
    const x0 = painter.x(data.start[row]);
    const wide = Math.max(3, painter.x(data.end[row]) - x0);
    const top = AXIS + data.lane[row] * place.step + place.above;
    context.strokeStyle = palette.panel;
    context.lineWidth = thick + 2;
    context.strokeRect(x0 - 1, top - 1.5, wide + 2, place.bar + 3);
    context.strokeStyle = palette.text;
    context.lineWidth = thick;
    context.strokeRect(x0 - 1, top - 1.5, wide + 2, place.bar + 3);
  }

  drawLabels(context) {
    const { data, palette, place } = this;
    context.textAlign = "left";
    context.textBaseline = "middle";
    const { run, lanes } = data;
    const every = Math.ceil(11 / place.step);
    lanes.forEach((lane, number) => {
      if (number % every) return;
      const middle = AXIS + number * place.step + place.above + place.bar / 2;
      const critical = number === run.critical && lanes.length > 1;
      const two = place.bar >= 24 && place.left > 50;
      context.fillStyle = palette.text;
      context.font = `${critical ? "bold " : ""}12px system-ui, sans-serif`;
      const name = place.left > 50 ? workerName(number) : String(number);
      context.fillText(critical && place.left > 50 ? `${name} ◂` : name, 0, two ? middle - 8 : middle);
      if (!two) return;
      context.font = "11px system-ui, sans-serif";
      context.fillStyle = palette.muted;
      context.fillText(`${percent(lane.busy, run.last - run.ready)} · ${number_tests(lane.tests)}`, 0, middle + 8);
    });
  }

  drawOverview() {
    const { data, view, palette, place } = this;
    const { context, height } = prepare(this.overview);
    const scale = place.width / view.whole;
    const wide = Math.ceil(place.width);
    if (!this.activity || this.activity.length !== wide + 1) this.activity = activity(data, wide, scale);
    context.fillStyle = palette.idle;
    context.fillRect(place.left, 0, place.width, height);
    context.fillStyle = palette.endings[0];
    context.beginPath();
    const lanes = Math.max(1, data.lanes.length);
    for (let pixel = 0; pixel < wide; pixel++) {
      const tall = (Math.min(lanes, this.activity[pixel]) / lanes) * (height - 4);
      if (tall > 0) context.rect(place.left + pixel, height - tall, 1, tall);
    }
    context.fill();
    context.fillStyle = palette.failed;
    for (let row = 0; row < data.count; row++) {
      if (ENDINGS[data.ending[row]].bad) context.fillRect(place.left + data.start[row] * scale - 0.5, 0, 2, 5);
    }
    context.fillStyle = palette.muted;
    context.font = "11px system-ui, sans-serif";
    context.textAlign = "left";
    context.textBaseline = "middle";
    if (place.left > 50) context.fillText("busy workers", 0, height / 2);
    const x0 = place.left + view.from * scale;
    const x1 = place.left + view.to * scale;
    context.globalAlpha = 0.65;
    context.fillStyle = palette.panel;
    context.fillRect(place.left, 0, x0 - place.left, height);
    context.fillRect(x1, 0, place.left + place.width - x1, height);
    context.globalAlpha = 1;
    context.strokeStyle = palette.accent;
    context.lineWidth = 1.5;
    context.strokeRect(x0 + 0.75, 0.75, Math.max(3, x1 - x0 - 1.5), height - 1.5);
  }

  timeAt(x) {
    return this.view.from + ((x - this.place.left) / this.place.width) * (this.view.to - this.view.from);
  }

  /** The test below a point of the canvas; -1: none. */
  rowBelow(x, y) {
    const lane = Math.floor((y - AXIS) / this.place.step);
    if (lane < 0 || lane >= this.data.lanes.length || x < this.place.left) return -1;
    return rowAt(this.data, lane, this.timeAt(x), (3 * (this.view.to - this.view.from)) / this.place.width);
  }
}

function number_tests(count) {
  return count >= 10000 ? `${(count / 1000).toFixed(count >= 99500 ? 0 : 1)} k` : number(count);
}

/** The label of a tick: as exact as the step between ticks. */
function tick(time, step) {
  if (time === 0) return "0";
  if (step >= 60e6) return duration(time);
  const [unit, name] = step >= 1e5 || time >= 1e7 ? [1e6, "s"] : step >= 100 || time >= 1e4 ? [1e3, "ms"] : [1, "µs"];
  const places = Math.max(0, Math.ceil(-Math.log10(step / unit) - 1e-9));
  return `${(time / unit).toFixed(places)} ${name}`;
}

/** How many workers were in a test, by pixel. */
function activity(data, wide, scale) {
  const busy = new Float32Array(wide + 1);
  for (let row = 0; row < data.count; row++) {
    const from = data.start[row] * scale;
    const to = Math.min(wide, data.end[row] * scale);
    for (let pixel = Math.floor(from); pixel < to; pixel++) busy[pixel] += Math.min(to, pixel + 1) - Math.max(from, pixel);
  }
  return busy;
}
