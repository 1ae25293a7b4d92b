// Texts and elements. Everything from the run goes through `textContent`: a node id is never markup.

/** A length of time for people. */
function duration(micros) {
  const sign = micros < 0 ? "−" : "";
  const us = Math.abs(micros);
  if (us === 0) return "0";
  if (us < 1000) return `${sign}${Math.round(us)} µs`;
  if (us < 1e6) return `${sign}${digits(us / 1e3)} ms`;
  if (us < 60e6) return `${sign}${digits(us / 1e6)} s`;
  const seconds = Math.round(us / 1e6);
  const two = (number) => String(number).padStart(2, "0");
  if (seconds < 3600) return `${sign}${Math.floor(seconds / 60)} min ${two(seconds % 60)} s`;
  return `${sign}${Math.floor(seconds / 3600)} h ${two(Math.floor((seconds % 3600) / 60))} min`;
}

/** Three significant digits, none of them after a point when there are three before it. */
function digits(value) {
  if (value < 9.995) return value.toFixed(2);
  if (value < 99.95) return value.toFixed(1);
  return value.toFixed(0);
}

function number(value) {
  return String(value).replace(/\B(?=(\d{3})+$)/g, "\u202f");
}

function percent(part, whole) {
  return whole > 0 ? `${Math.round((100 * part) / whole)} %` : "–";
}

function plural(count, one, many = `${one}s`) {
  return `${number(count)} ${count === 1 ? one : many}`;
}

/** `el("td", {class: "num"}, "text", child)`. */
function el(name, attributes = {}, ...children) {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (key === "onclick") element.addEventListener("click", value);
    else if (key === "style") Object.assign(element.style, value);
    else if (value !== undefined && value !== null && value !== false) element.setAttribute(key, value === true ? "" : value);
  }
  element.append(...children.filter((child) => child !== null && child !== undefined && child !== ""));
  return element;
}

function byId(id) {
  return document.getElementById(id);
}

/** The name of an outcome with its sign, so that colour is not all that tells it. */
function outcome(index) {
  const { name, mark } = ENDINGS[index];
  return el("span", { class: "outcome", style: { color: `var(--${name})` } }, `${mark} ${name}`);
}

function workerName(lane) {
  return `worker ${lane}`;
}

/** pytest wraps `setup_method` and the like into fixtures of such names. */
function fixtureName(name) {
  const found = /^_(?:xunit|unittest)_(setup_\w+?)_fixture/.exec(name);
  return found ? found[1] : name;
}
