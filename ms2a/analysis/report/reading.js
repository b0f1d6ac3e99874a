"use strict";
// What a picture reads of the memory: two grids of 10 × 10 windows; whoever points at a window of one sees the other's.
function ms2aReading({ picture, memory, words, levels }, asks) {
  const GRID = 10, CELLS = GRID * GRID, SVG = "http://www.w3.org/2000/svg";
  const sides = { picture, memory };
  const buttons = [...levels.querySelectorAll("button")];
  const state = { side: "picture", cell: 44, level: 0, weights: [] };

  const rect = (attributes) => {
    const element = document.createElementNS(SVG, "rect");
    for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
    return element;
  };
  const unpack = (text) =>
    new Uint16Array(Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0)).buffer);
  const between = (cell, other) => {
    const chosenAsks = (state.side === "picture") === (asks === "feature");
    return state.weights[state.level][chosenAsks ? cell * CELLS + other : other * CELLS + cell];
  };

  for (const [side, frame] of Object.entries(sides)) {
    const svg = document.createElementNS(SVG, "svg");
    svg.setAttribute("viewBox", `0 0 ${GRID} ${GRID}`);
    svg.setAttribute("preserveAspectRatio", "none");
    for (let cell = 0; cell < CELLS; cell += 1) {
      svg.append(rect({ x: cell % GRID, y: Math.floor(cell / GRID), width: 1, height: 1 }));
    }
    svg.append(rect({ width: 1, height: 1, class: "chosen" }));
    frame.append(svg);
    const choose = (event) => {
      const at = frame.getBoundingClientRect();
      const column = Math.floor(((event.clientX - at.left) / at.width) * GRID);
      const row = Math.floor(((event.clientY - at.top) / at.height) * GRID);
      if (column < 0 || row < 0 || column >= GRID || row >= GRID) return;
      Object.assign(state, { side, cell: row * GRID + column });
      draw();
    };
    frame.addEventListener("pointermove", choose);
    frame.addEventListener("pointerdown", choose);
  }
  buttons.forEach((button, level) => button.addEventListener("click", () => {
    state.level = level;
    buttons.forEach((each, own) => each.setAttribute("aria-pressed", own === level));
    draw();
  }));

  function draw() {
    const other = state.side === "picture" ? "memory" : "picture";
    const values = Array.from({ length: CELLS }, (_, cell) => between(state.cell, cell));
    const most = Math.max(...values, 1), sum = values.reduce((total, value) => total + value, 0) || 1;
    const paint = (side, opacity, chosen) => {
      const rects = sides[side].querySelectorAll("rect");
      for (let cell = 0; cell < CELLS; cell += 1) rects[cell].style.fillOpacity = opacity(cell);
      rects[CELLS].style.display = chosen ? "" : "none";
      rects[CELLS].setAttribute("x", state.cell % GRID);
      rects[CELLS].setAttribute("y", Math.floor(state.cell / GRID));
    };
    paint(other, (cell) => (0.85 * values[cell]) / most, false);
    paint(state.side, () => 0, true);
    const strongest = [...values].sort((one, next) => next - one).slice(0, 10);
    const share = (100 * strongest.reduce((total, value) => total + value, 0)) / sum;
    words.textContent = `Row ${Math.floor(state.cell / GRID) + 1}, column ${(state.cell % GRID) + 1} of the ` +
      `${state.side}: its ten strongest windows of the ${other} have ${share.toFixed(0)} % of the attention ` +
      "(10 % if all were alike).";
  }

  return {
    show({ src, size, weights }) {
      state.weights = weights.map(unpack);
      for (const frame of Object.values(sides)) frame.style.aspectRatio = `${size[0]} / ${size[1]}`;
      picture.querySelector("img").src = src;
      draw();
    },
  };
}
