"use strict";
// The page sends the bytes of a picture and draws what comes back. Names only ever become text.
(async () => {
  const SVG = "http://www.w3.org/2000/svg";
  const byId = (id) => document.getElementById(id);
  const [drop, file, domain, slider, status] = ["drop", "file", "domain", "score", "status"].map(byId);
  const make = (tag, text = "") => {
    const element = document.createElement(tag);
    element.textContent = text;
    return element;
  };
  const draw = (svg, tag, attributes, text = "") => {
    const element = document.createElementNS(SVG, tag);
    for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
    element.textContent = text;
    svg.append(element);
    return element;
  };
  const say = (text, refused = false) => {
    status.textContent = text;
    status.classList.toggle("refused", refused);
  };
  const hue = (label) => `hsl(${(label * 67 + 170) % 360} 85% 55%)`;

  const facts = await (await fetch("/facts")).json();
  const state = { blob: null, name: "", result: null, turn: 0 };
  let reading = null;

  byId("title").textContent = facts.title || "MS2A";
  byId("limit").textContent = `${Math.round(facts.max_bytes / 2 ** 20)} MB`;
  slider.value = facts.score_thr;
  for (const name of facts.domains) {
    const words = name === "none" ? "none: an empty memory" : name;
    const option = make("option", name === facts.default ? `${name} (the target)` : words);
    option.value = name;
    option.selected = name === facts.default;
    domain.append(option);
  }
  byId("domain-row").hidden = !facts.domains.length;
  byId("example-row").hidden = !facts.examples;
  for (let number = 0; number < facts.examples; number += 1) {
    const button = make("button"), image = make("img");
    button.type = "button";
    image.src = `/examples/${number}`;
    image.alt = `example ${number + 1}`;
    button.append(image);
    button.addEventListener("click", async () => look(await (await fetch(image.src)).blob(), `example_${number + 1}.png`));
    byId("examples").append(button);
  }

  async function look(blob, name) {
    Object.assign(state, { blob, name });
    if (blob.size > facts.max_bytes) {
      say(`the file is larger than ${byId("limit").textContent}, the most that is taken; send a smaller picture`, true);
      return;
    }
    const turn = ++state.turn;
    say("Looking …");
    byId("result").classList.add("waiting");
    const { error, ...result } = await ask(blob);
    if (turn !== state.turn) return; // somebody has asked for something else meanwhile
    byId("result").classList.remove("waiting");
    say(error || "", Boolean(error));
    if (error) return;
    state.result = result;
    show();
  }

  async function ask(blob) {
    const address = domain.value ? `/detect?domain=${encodeURIComponent(domain.value)}` : "/detect";
    const headers = { "Content-Type": "application/octet-stream" };
    try {
      return await (await fetch(address, { method: "POST", headers, body: blob })).json();
    } catch {
      return { error: "The page's server does not answer; is it still running?" };
    }
  }

  function panel(name, run) {
    const figure = make("figure"), caption = make("figcaption"), frame = make("div"), image = make("img");
    const [width, height] = state.result.size;
    const words = { before: "before: base detector", after: facts.before ? "after: adapted detector" : "detections" };
    const shown = run.boxes.filter((row) => row[4] >= Number(slider.value));
    caption.append(make("b", words[name]));
    const without = run.left_out ? `, ${run.left_out} without end left out` : "";
    caption.append(make("span", `${shown.length} boxes${without}, ${Math.round(1000 * run.seconds)} ms`));
    frame.className = "frame";
    frame.style.aspectRatio = `${width} / ${height}`;
    image.src = state.result.src;
    image.alt = name;
    frame.append(image);
    figure.append(caption, frame);
    byId("panels").append(figure);
    return () => drawBoxes(frame, shown);
  }

  function drawBoxes(frame, shown) {
    const [width, height] = state.result.size;
    const svg = draw(frame, "svg", { viewBox: `0 0 ${width} ${height}`, preserveAspectRatio: "none" });
    const letters = (12 * width) / (frame.clientWidth || 400), placed = [];
    for (const [x1, y1, x2, y2, , label] of [...shown].reverse()) {
      const rect = draw(svg, "rect", { x: x1, y: y1, width: x2 - x1, height: y2 - y1 });
      rect.style.setProperty("--c", hue(label));
    }
    for (const [x1, y1, , , score, label] of shown) {
      const text = facts.classes.length > 1 ? `${facts.classes[label]} ${score.toFixed(2)}` : score.toFixed(2);
      const wide = text.length * letters * 0.6, x = Math.max(0, Math.min(x1, width - wide));
      const y = y1 > letters * 1.3 ? y1 - letters * 0.3 : y1 + letters;
      if (placed.some((one) => Math.abs(one.y - y) < letters && one.x < x + wide && x < one.x + one.wide)) continue;
      placed.push({ x, y, wide });
      const element = draw(svg, "text", { x, y }, text);
      element.style.fontSize = `${letters}px`;
      element.style.strokeWidth = `${letters / 4}px`;
    }
  }

  function show() {
    byId("score-value").textContent = Number(slider.value).toFixed(2);
    const { result } = state;
    byId("download").disabled = !result;
    if (!result) return;
    byId("result").hidden = false;
    byId("panels").replaceChildren();
    const names = ["before", "after"].filter((name) => result.runs[name]);
    // Letters are as large as the panels let them, once all are there.
    names.map((name) => panel(name, result.runs[name])).forEach((drawn) => drawn());
    byId("reading").hidden = !result.reading;
    if (!result.reading || state.read === result) return;
    state.read = result;
    byId("reading-domain").textContent = result.domain;
    const parts = ["picture", "memory", "words", "levels"].map((name) => [name, byId(`reading-${name}`)]);
    reading = reading || ms2aReading(Object.fromEntries(parts), result.reading.asks);
    reading.show(result.reading);
  }

  function download() {
    const { result, name } = state, [width, height] = result.size;
    const rows = result.runs.after.boxes.filter((row) => row[4] >= Number(slider.value));
    const annotations = rows.map(([x1, y1, x2, y2, score, label], number) => {
      const bbox = [x1, y1, x2 - x1, y2 - y1];
      return { id: number + 1, image_id: 1, category_id: label + 1, bbox, area: bbox[2] * bbox[3], iscrowd: 0, score };
    });
    const categories = facts.classes.map((own, number) => ({ id: number + 1, name: own }));
    const images = [{ id: 1, file_name: name, width, height, domain: result.domain }];
    const text = JSON.stringify({ images, annotations, categories }, null, 1);
    const link = make("a");
    link.href = URL.createObjectURL(new Blob([text], { type: "application/json" }));
    link.download = `${name.replace(/\.[^.]*$/, "") || "picture"}_boxes.json`;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 1000);
  }

  file.addEventListener("change", () => { if (file.files.length) look(file.files[0], file.files[0].name); });
  for (const kind of ["dragenter", "dragover"]) {
    drop.addEventListener(kind, (event) => { event.preventDefault(); drop.classList.add("over"); });
  }
  drop.addEventListener("dragleave", () => drop.classList.remove("over"));
  drop.addEventListener("drop", (event) => {
    event.preventDefault();
    drop.classList.remove("over");
    const dropped = event.dataTransfer.files;
    if (dropped.length > 1) say("One picture at a time, please.", true);
    else if (dropped.length) look(dropped[0], dropped[0].name);
  });
  domain.addEventListener("change", () => { if (state.blob) look(state.blob, state.name); });
  slider.addEventListener("input", show);
  byId("download").addEventListener("click", download);
  let waiting;
  window.addEventListener("resize", () => { clearTimeout(waiting); waiting = setTimeout(show, 150); });
  show();
})();
