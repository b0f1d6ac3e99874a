"use strict";
// Boxes and attention are drawn here from the data that the page carries. Names only ever become text.
(() => {
  const data = (id) => { const at = document.getElementById(id); return at ? JSON.parse(at.textContent) : null; };
  const SVG = "http://www.w3.org/2000/svg";
  const make = (tag, attributes = {}, text = "") => {
    const svg = ["svg", "rect", "text", "title"].includes(tag);
    const element = svg ? document.createElementNS(SVG, tag) : document.createElement(tag);
    for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
    if (text) element.textContent = text;
    return element;
  };
  const byId = (id) => document.getElementById(id);

  const gallery = data("gallery-data");
  if (gallery && gallery.pictures.length) startGallery(gallery);
  const memory = data("memory-data");
  if (memory && memory.pictures.length) startReading(memory);

  function startGallery({ pictures, classes, kinds, runs }) {
    const STEP = 12, FOUND = -1;
    const NAMES = { before: "before", after: runs.length > 1 ? "after" : "detections" };
    const COLOURS = { "found": "found", "duplicate": "duplicate", "loose box": "loose", "background": "background" };
    const kindOf = (row) => (row[6] === FOUND ? "found" : kinds[row[6]]);
    const hue = (label) => `hsl(${(label * 67 + 170) % 360} 85% 60%)`;
    const sort = byId("sort"), slider = byId("score"), domain = byId("domain"), colour = byId("colour");
    const list = byId("pictures"), more = byId("more");
    let shown = STEP;

    const above = (picture, run) => picture.runs[run].filter((row) => row[5] >= Number(slider.value));
    const count = (picture, run) => {
      const rows = above(picture, run), found = rows.filter((row) => row[6] === FOUND).length;
      const objects = picture.truth.filter((row) => !row[5]).length;
      return { found, objects, wrong: rows.length - found };
    };
    const f1 = ({ found, objects, wrong }) =>
      (found + wrong + objects ? (2 * found) / (found + wrong + objects) : 1);
    const last = runs[runs.length - 1];
    const change = (picture) => (runs.length > 1 ? f1(count(picture, last)) - f1(count(picture, runs[0])) : 0);
    const left = (picture) => { const own = count(picture, last); return own.objects - own.found + own.wrong; };
    const ORDERS = {
      changed: (picture) => -Math.abs(change(picture)),
      gained: (picture) => -change(picture),
      lost: (picture) => change(picture),
      errors: (picture) => -left(picture),
      fewest: (picture) => left(picture),
      listed: () => 0,
    };

    function panel(picture, run) {
      const figure = make("figure"), [width, height] = picture.size;
      figure.append(make("figcaption", {}, run ? NAMES[run] : "ground truth"));
      const frame = make("div", { class: "frame", style: `aspect-ratio: ${width} / ${height}` });
      frame.append(make("img", { src: picture.src, alt: picture.name, loading: "lazy", decoding: "async" }));
      const svg = make("svg", { viewBox: `0 0 ${width} ${height}`, preserveAspectRatio: "none" });
      frame.append(svg);
      figure.append(frame);
      return { figure, svg, run };
    }

    function draw(picture, { svg, run }) {
      svg.replaceChildren();
      const names = classes[picture.domain], letters = (11 * picture.size[0]) / (svg.clientWidth || 300);
      const byClass = colour.value === "class";
      const texts = [];
      // Best boxes come last and lie on top; of labels that would cover each other only the best one's is written.
      const box = (row, stroke, line, label, hint) => {
        const [x, y, width, height] = row;
        const rect = make("rect", { x, y, width, height, class: line, style: `--c: ${stroke}` });
        rect.append(make("title", {}, hint));
        svg.append(rect);
        if (!label) return;
        const top = y > letters * 1.3 ? y - letters * 0.3 : y + letters;
        const wide = label.length * letters * 0.6;
        texts.push({ x: Math.max(0, Math.min(x, picture.size[0] - wide)), y: top, wide, label });
      };
      const write = () => {
        const placed = [];
        for (const own of texts.reverse()) {
          const covers = (one) => Math.abs(one.y - own.y) < letters && one.x < own.x + own.wide && own.x < one.x + one.wide;
          if (placed.some(covers)) continue;
          placed.push(own);
          const style = `font-size: ${letters}px; stroke-width: ${letters / 4}px`;
          svg.append(make("text", { x: own.x, y: own.y, style }, own.label));
        }
      };
      if (!run) {
        for (const row of picture.truth) {
          const name = names[row[4]] + (row[5] ? " (ignored)" : "");
          box(row, byClass ? hue(row[4]) : "var(--found)", row[5] ? "dotted" : "", names.length > 1 ? name : "", name);
        }
        write();
        return;
      }
      const rows = above(picture, run), hit = new Set(rows.map((row) => row[7]));
      picture.truth.forEach((row, number) => {
        if (!row[5] && !hit.has(number)) box(row, "var(--missed)", "dotted", "", `missed: ${names[row[4]]}`);
      });
      for (const row of rows.reverse()) {
        const kind = kindOf(row), score = row[5].toFixed(2);
        const stroke = byClass ? hue(row[4]) : `var(--${COLOURS[kind]})`;
        const label = names.length > 1 ? `${names[row[4]]} ${score}` : score;
        box(row, stroke, kind === "found" ? "" : "dashed", label, `${kind}: ${names[row[4]]} ${score}`);
      }
      write();
    }

    function card(picture) {
      const element = make("div", { class: "card" }), head = make("div", { class: "head" });
      head.append(make("b", {}, picture.name), make("span"));
      const panels = make("div", { class: "panels" });
      const parts = [...runs, null].map((run) => panel(picture, run));
      panels.append(...parts.map((part) => part.figure));
      panels.addEventListener("click", (event) => {
        if (!event.target.closest(".frame")) return;
        element.classList.toggle("large");
        parts.forEach((part) => draw(picture, part));
      });
      element.append(head, panels);
      return { element, parts, told: head.lastChild };
    }

    const cards = new Map();
    const cardOf = (picture) => {
      if (!cards.has(picture)) cards.set(picture, card(picture));
      return cards.get(picture);
    };
    const say = (picture, run) => {
      const { found, objects, wrong } = count(picture, run);
      return `${NAMES[run]}: ${found} of ${objects} found, ${wrong} wrong`;
    };

    function show() {
      byId("score-value").textContent = Number(slider.value).toFixed(2);
      const own = pictures.filter((picture) => !domain || domain.value === picture.domain);
      const keyed = own.map((picture, number) => [ORDERS[sort.value](picture), number, picture]);
      keyed.sort((one, other) => one[0] - other[0] || one[1] - other[1]);
      const visible = keyed.slice(0, shown).map((entry) => entry[2]);
      list.replaceChildren(...visible.map((picture) => cardOf(picture).element));
      for (const picture of visible) {
        const { parts, told } = cardOf(picture);
        told.textContent = runs.map((run) => say(picture, run)).join(" · ");
        parts.forEach((part) => draw(picture, part));
      }
      more.hidden = own.length <= shown;
      more.textContent = `Show ${Math.min(STEP, own.length - shown)} more of ${own.length}`;
      const sums = runs.map((run) => {
        const all = own.map((picture) => count(picture, run));
        const sum = (key) => all.reduce((total, each) => total + each[key], 0);
        return `${NAMES[run]} ${sum("found")} of ${sum("objects")} objects found, ${sum("wrong")} wrong boxes`;
      });
      byId("gallery-sum").textContent = `${own.length} pictures at this score: ${sums.join("; ")}.`;
    }

    more.addEventListener("click", () => { shown += STEP; show(); });
    for (const control of [sort, domain, colour]) {
      if (control) control.addEventListener("change", () => { shown = STEP; show(); });
    }
    slider.addEventListener("input", show);
    let waiting;
    window.addEventListener("resize", () => { clearTimeout(waiting); waiting = setTimeout(show, 150); });
    show();
  }

  function startReading({ pictures, asks }) {
    const parts = ["picture", "memory", "words", "levels"].map((name) => [name, byId(`reading-${name}`)]);
    const reading = ms2aReading(Object.fromEntries(parts), asks);
    const thumbs = pictures.map((picture, number) => {
      const button = make("button", { type: "button", "aria-label": picture.name });
      button.append(make("img", { src: picture.src, alt: "" }));
      button.addEventListener("click", () => choose(number));
      return button;
    });
    byId("reading-thumbs").append(...thumbs);
    function choose(number) {
      thumbs.forEach((thumb, own) => thumb.setAttribute("aria-pressed", own === number));
      reading.show(pictures[number]);
    }
    choose(0);
  }
})();
