// What is looked at: the visible time, the selected test, and which tests are searched for. Whoever draws listens.

class View {
  constructor(data) {
    this.data = data;
    /** All there is to see. */
    this.whole = Math.max(data.run.total, data.run.last, 1);
    this.from = 0;
    this.to = this.whole;
    this.selected = -1;
    this.hovered = -1;
    this.query = "";
    /** Outcomes to highlight; empty: all. */
    this.endings = new Set();
    /** 1 for each test that is searched for; `null`: nothing is searched for. */
    this.matches = null;
    this.matching = data.count;
    this.lowered = null;
    this.listeners = [];
  }

  /** Calls back with what has changed: "window", "selection", "matches" or "hover". */
  listen(callback) {
    this.listeners.push(callback);
  }

  tell(what) {
    for (const callback of this.listeners) callback(what);
  }

  show(from, to) {
    // Nothing is shorter than a microsecond; some room stays around it.
    const span = Math.min(this.whole, Math.max(to - from, 20));
    this.from = Math.min(Math.max(0, from), this.whole - span);
    this.to = this.from + span;
    this.tell("window");
  }

  zoom(factor, around = (this.from + this.to) / 2) {
    this.show(around - (around - this.from) * factor, around + (this.to - around) * factor);
  }

  pan(by) {
    this.show(this.from + by, this.to + by);
  }

  fit() {
    this.show(0, this.whole);
  }

  zoomTo(row) {
    const { start, end } = this.data;
    const length = end[row] - start[row];
    // Some of the neighbours, if that leaves anything to zoom.
    const room = Math.max(Math.min(length * 1.5, (this.whole - length) / 4), 50);
    this.show(start[row] - room, end[row] + room);
  }

  /** Selects a test and brings it into sight. */
  select(row) {
    this.selected = row;
    if (row >= 0) {
      const { start, end } = this.data;
      const span = this.to - this.from;
      if (end[row] < this.from || start[row] > this.to) {
        const middle = (start[row] + end[row]) / 2;
        this.show(middle - span / 2, middle + span / 2);
      }
    }
    this.tell("selection");
  }

  /** Selects and, if it would be too narrow to be seen, zooms. */
  reveal(row) {
    const { start, end } = this.data;
    this.select(row);
    if (row >= 0 && end[row] - start[row] < (this.to - this.from) / 250) this.zoomTo(row);
  }

  search(query) {
    this.query = query;
    this.find();
  }

  toggle(ending) {
    if (!this.endings.delete(ending)) this.endings.add(ending);
    this.find();
  }

  clear() {
    this.query = "";
    this.endings.clear();
    this.find();
  }

  find() {
    const { data, endings } = this;
    const query = this.query.trim().toLowerCase();
    if (!query && !endings.size) {
      this.matches = null;
      this.matching = data.count;
    } else {
      if (query && !this.lowered) this.lowered = data.ids.map((id) => id.toLowerCase());
      this.matches = new Uint8Array(data.count);
      this.matching = 0;
      for (let row = 0; row < data.count; row++) {
        if (endings.size && !endings.has(data.ending[row])) continue;
        if (query && !this.lowered[row].includes(query)) continue;
        this.matches[row] = 1;
        this.matching++;
      }
    }
    this.tell("matches");
  }

  isMatch(row) {
    return !this.matches || this.matches[row] === 1;
  }

  /** The next row after the selected one, in the order of time, that `wanted` accepts; -1: there is none. */
  next(wanted) {
    const { start, count } = this.data;
    const from = this.selected;
    const time = from >= 0 ? start[from] : -1;
    let after = -1;
    let first = -1;
    for (let row = 0; row < count; row++) {
      if (!wanted(row)) continue;
      const later = start[row] > time || (start[row] === time && row > from);
      if (later && (after < 0 || start[row] < start[after])) after = row;
      if (first < 0 || start[row] < start[first]) first = row;
    }
    return after >= 0 ? after : first;
  }
}
