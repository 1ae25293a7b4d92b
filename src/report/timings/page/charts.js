// Predicted against actual, and how durations are distributed.

function segment(kind, part, whole, title, colour) {
  return el("div", {
    class: `seg ${kind}`,
    title,
    style: { width: `${(100 * part) / whole}%`, ...(colour ? { background: colour } : {}) },
  });
}

/** What the plan gave to each worker, and what it did. */
function drawPlan(data) {
  const { run, lanes } = data;
  const box = byId("plan");
  const known = run.known > 0;
  const longest = Math.max(...lanes.map((lane) => Math.max(lane.busy, known ? lane.predicted : 0)), 1);
  const moved = lanes.reduce((sum, lane) => sum + lane.moved, 0);
  const rows = lanes.flatMap((lane, number_) => {
    const bars = el("div", { class: "bars", "aria-hidden": "true" });
    if (known) bars.append(el("div", { class: "bar predicted", style: { width: `${(100 * lane.predicted) / longest}%` } }));
    bars.append(el("div", { class: "bar actual", style: { width: `${(100 * lane.busy) / longest}%` } }));
    const text = known ? `${duration(lane.predicted)} → ${duration(lane.busy)}` : duration(lane.busy);
    return [el("span", {}, lanes.length > 24 ? String(number_) : workerName(number_)), bars, el("span", { class: "num muted" }, text)];
  });
  const keys = el("ul", { class: "keys muted" });
  if (known) keys.append(el("li", {}, el("span", { class: "bar predicted", style: { width: "22px", height: "8px" } }), "predicted"));
  keys.append(el("li", {}, el("span", { class: "bar actual", style: { width: "22px", height: "8px", borderRadius: "3px" } }), "time in tests"));
  const notes = [];
  if (known && run.known < data.count + run.notRun) notes.push(`${number(run.known)} of ${plural(data.count + run.notRun, "test")} had a history.`);
  if (!known) notes.push("No test had a history before this run, so nothing was predicted. The next run will have one.");
  if (moved) notes.push(`${plural(moved, "test was", "tests were")} taken over from another worker than the plan had meant.`);
  box.replaceChildren(keys, el("div", { class: `lanes ${lanes.length > 24 ? "many" : lanes.length <= 8 ? "few" : ""}`, tabindex: lanes.length > 24 ? "0" : null }, ...rows), el("p", { class: "muted small more" }, notes.join(" ")));
}

/** Each test as a point: predicted across, actual upwards, both logarithmic. */
class Scatter {
  constructor(view) {
    this.view = view;
    const { data } = view;
    const box = byId("scatter-box");
    this.rows = [];
    for (let row = 0; row < data.count; row++) if (data.estimate[row]) this.rows.push(row);
    if (!this.rows.length) {
      box.replaceChildren(el("p", { class: "muted" }, "No test had a history before this run."));
      return;
    }
    this.canvas = el("canvas", { id: "scatter", role: "img" });
    const close = this.rows.filter((row) => ratio(data, row) <= 2 && ratio(data, row) >= 0.5).length;
    const text = `${percent(close, this.rows.length)} of ${plural(this.rows.length, "test")} took between half and twice what was predicted.`;
    this.canvas.setAttribute("aria-label", text);
    box.replaceChildren(this.canvas, el("p", { class: "muted small more" }, text));
    this.canvas.addEventListener("click", (event) => this.click(event));
    view.listen((what) => what !== "window" && what !== "hover" && this.draw());
    new ResizeObserver(() => this.draw()).observe(this.canvas);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.draw());
    let [low, high] = [Infinity, 1];
    for (const row of this.rows) {
      low = Math.min(low, data.estimate[row], Math.max(1, data.length[row]));
      high = Math.max(high, data.estimate[row], data.length[row]);
    }
    this.low = Math.floor(Math.log10(low) - 0.05);
    this.high = Math.max(this.low + 1, Math.ceil(Math.log10(high) + 0.05));
  }

  draw() {
    if (!this.canvas) return;
    const { data, selected } = this.view;
    const { context, width, height } = prepare(this.canvas);
    const palette = new Palette(context);
    const [left, bottom, top, right] = [62, height - 34, 8, width - 10];
    const x = (this.x = (micros) => left + ((Math.log10(Math.max(1, micros)) - this.low) / (this.high - this.low)) * (right - left));
    const y = (this.y = (micros) => bottom - ((Math.log10(Math.max(1, micros)) - this.low) / (this.high - this.low)) * (bottom - top));
    context.font = "11px system-ui, sans-serif";
    context.strokeStyle = palette.line;
    context.fillStyle = palette.muted;
    context.textBaseline = "middle";
    for (let power = this.low; power <= this.high; power++) {
      const [across, up] = [Math.round(x(10 ** power)) + 0.5, Math.round(y(10 ** power)) + 0.5];
      context.beginPath();
      context.moveTo(across, top);
      context.lineTo(across, bottom);
      context.moveTo(left, up);
      context.lineTo(right, up);
      context.stroke();
      const label = tick(10 ** power, 10 ** power);
      context.textAlign = power === this.high ? "right" : "center";
      context.fillText(label, power === this.high ? across + 8 : across, bottom + 12);
      context.textAlign = "right";
      context.fillText(label, left - 6, up);
    }
    context.textAlign = "center";
    context.fillText("predicted", (left + right) / 2, bottom + 27);
    context.save();
    context.translate(8, (top + bottom) / 2);
    context.rotate(-Math.PI / 2);
    context.fillText("actual", 0, 0);
    context.restore();
    context.strokeStyle = palette.muted;
    context.setLineDash([4, 4]);
    context.beginPath();
    context.moveTo(x(10 ** this.low), y(10 ** this.low));
    context.lineTo(x(10 ** this.high), y(10 ** this.high));
    context.stroke();
    context.setLineDash([]);
    const size = this.rows.length > 5000 ? 2 : this.rows.length > 500 ? 3 : 5;
    context.globalAlpha = this.rows.length > 5000 ? 0.35 : 0.7;
    for (const row of this.rows) {
      context.fillStyle = this.view.isMatch(row) ? palette.endings[data.ending[row]] : palette.line;
      context.fillRect(x(data.estimate[row]) - size / 2, y(data.length[row]) - size / 2, size, size);
    }
    context.globalAlpha = 1;
    if (selected >= 0 && data.estimate[selected]) {
      context.strokeStyle = palette.text;
      context.lineWidth = 2;
      context.beginPath();
      context.arc(x(data.estimate[selected]), y(data.length[selected]), 6, 0, 7);
      context.stroke();
    }
  }

  click(event) {
    const { data } = this.view;
    const box = this.canvas.getBoundingClientRect();
    const [mouseX, mouseY] = [event.clientX - box.left, event.clientY - box.top];
    let best = -1;
    let distance = 12 ** 2;
    for (const row of this.rows) {
      const away = (this.x(data.estimate[row]) - mouseX) ** 2 + (this.y(data.length[row]) - mouseY) ** 2;
      if (away < distance) [best, distance] = [row, away];
    }
    if (best >= 0) this.view.reveal(best);
  }
}

function ratio(data, row) {
  return Math.max(1, data.length[row]) / data.estimate[row];
}

/** Tests by duration, in steps of 1, 2 and 5. */
function drawHistogram(data) {
  const box = byId("histogram");
  if (!data.count) return box.replaceChildren(el("p", { class: "muted" }, "No test has a result."));
  const edges = [0];
  let [shortest, longest] = [Infinity, 0];
  for (let row = 0; row < data.count; row++) {
    shortest = Math.min(shortest, data.length[row]);
    longest = Math.max(longest, data.length[row]);
  }
  for (let power = 1; edges[edges.length - 1] <= longest; power *= 10) {
    for (const factor of [1, 2, 5]) if (edges[edges.length - 1] <= longest) edges.push(power * factor);
  }
  while (edges.length > 2 && edges[1] <= shortest) edges.shift();
  const counts = new Array(edges.length - 1).fill(0);
  const times = new Array(edges.length - 1).fill(0);
  let whole = 0;
  for (let row = 0; row < data.count; row++) {
    let bin = 0;
    while (bin < counts.length - 1 && data.length[row] >= edges[bin + 1]) bin++;
    counts[bin]++;
    times[bin] += data.length[row];
    whole += data.length[row];
  }
  const most = Math.max(...counts);
  const label = (bin) => `${duration(edges[bin])} to ${duration(edges[bin + 1])}: ${plural(counts[bin], "test")}, ${duration(times[bin])} together`;
  const columns = counts.map((count, bin) =>
    el(
      "div",
      { title: label(bin) },
      el("span", { class: "count" }, count >= 10000 ? `${Math.round(count / 1000)} k` : count ? number(count) : ""),
      // The square root: one slow test among thousands stays visible.
      el("div", { class: "col", style: { height: `${count ? Math.max(2, 84 * Math.sqrt(count / most)) : 0}%` } }),
    ),
  );
  const every = Math.ceil(counts.length / 7);
  const ticks = counts.map((_, bin) => el("div", {}, bin % every ? "" : shortTime(edges[bin])));
  const sorted = Float64Array.from(data.length).sort();
  const at = (share) => duration(sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))]);
  let slow = 0;
  for (let index = sorted.length - 1, sum = 0; index >= 0 && sum < whole / 2; index--, slow++) sum += sorted[index];
  box.replaceChildren(
    el("div", { class: "hist", role: "img", "aria-label": counts.map((count, bin) => (count ? label(bin) : "")).filter(Boolean).join("; ") }, ...columns),
    el("div", { class: "histx", "aria-hidden": "true" }, ...ticks),
    el("p", { class: "muted small more" }, `Median ${at(0.5)}, 90 % below ${at(0.9)}, 99 % below ${at(0.99)}. Half of all time is in the slowest ${plural(slow, "test")}. Heights are square roots of the counts.`),
  );
}

/** An edge without superfluous digits. */
function shortTime(micros) {
  return duration(micros).replace(/\.0+ /, " ").replace(/(\.\d*?)0+ /, "$1 ");
}
