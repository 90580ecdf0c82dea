// The room "Network": graphs as SVG, tables of layers, and the layer that is chosen in all of them.
"use strict";
(() => {
  const SVG = "http://www.w3.org/2000/svg";
  const state = { scale: 1, chosen: null, answer: null, nodes: false };
  const by = (id) => document.getElementById(id);

  const element = (name, text, attributes = {}) => {
    const made = document.createElement(name);
    if (text !== undefined) made.textContent = text;
    for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
    return made;
  };
  const drawn = (name, attributes, text) => {
    const made = document.createElementNS(SVG, name);
    for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
    if (text !== undefined) made.textContent = text;
    return made;
  };

  const box = (item, graph) => {
    const group = drawn("g", { class: `box ${item.kind}`, transform: `translate(${item.x} ${item.y})`, tabindex: "0", role: "button", "aria-label": item.note.split("\n")[0] });
    group.dataset.path = item.path;
    group.append(
      drawn("title", {}, item.note),
      drawn("rect", { class: "frame", width: graph.box_width, height: graph.box_height, rx: 6 }),
      drawn("text", { x: graph.box_width / 2, y: 17 }, item.name),
      drawn("text", { class: "detail", x: graph.box_width / 2, y: 32 }, item.detail));
    if (item.share >= 0.001)
      group.append(drawn("rect", { class: "share", x: 6, y: graph.box_height - 4, width: ((graph.box_width - 12) * item.share).toFixed(1), height: 2.5 }));
    group.addEventListener("click", () => choose(item.path));
    group.addEventListener("keydown", (event) => {
      if (event.key !== "Enter" && event.key !== " ") return;
      event.preventDefault();
      choose(item.path);
    });
    return group;
  };

  const figure = (network, number) => {
    const graph = network.graph;
    const svg = drawn("svg", { viewBox: `-1 -1 ${graph.width + 2} ${graph.height + 2}`, role: "group", "aria-label": `Graph of ${network.name}` });
    const head = drawn("marker", { id: `head-${number}`, viewBox: "0 0 8 8", refX: 7, refY: 4, markerWidth: 7, markerHeight: 7, orient: "auto" });
    head.append(drawn("path", { d: "M0 0 8 4 0 8z" }));
    const defs = drawn("defs", {});
    defs.append(head);
    svg.append(defs, ...graph.arrows.map((path) => drawn("path", { class: "arrow", d: path, "marker-end": `url(#head-${number})` })), ...graph.boxes.map((item) => box(item, graph)));
    svg.dataset.width = graph.width;
    const holder = element("figure");
    const scroll = element("div", undefined, { class: "scroll" });
    scroll.append(svg);
    const name = network.name.length > 90 ? `${network.name.slice(0, 90)}...` : network.name;
    holder.append(element("figcaption", network.input ? `${name}, on ${network.input}` : name, { title: network.name }), scroll);
    return holder;
  };

  const resize = () => document.querySelectorAll("#network-graphs svg").forEach((svg) => {
    const width = Number(svg.dataset.width);
    const fit = state.fit ? Math.min(1, (svg.parentElement.clientWidth - 4) / width) : 1;
    svg.style.width = `${width * (state.fit ? fit : state.scale)}px`;
  });

  const table = (label, columns, rows) => {
    const made = element("table", undefined, { "aria-label": label });
    const head = made.createTHead().insertRow();
    for (const column of columns) head.append(element("th", column, { scope: "col" }));
    const body = made.createTBody();
    for (const { cells, path } of rows) {
      const row = body.insertRow();
      if (path !== undefined) row.dataset.path = path;
      cells.forEach((text, i) => {
        const cell = row.insertCell();
        if (i || path === undefined) { cell.textContent = text; return; }
        const button = element("button", text, { type: "button", class: "link" });
        button.addEventListener("click", () => choose(path));
        cell.append(button);
      });
    }
    const scroll = element("div", undefined, { class: "scroll", tabindex: "0", role: "region", "aria-label": label });
    scroll.append(made);
    return scroll;
  };

  const mark = (path, move) => {
    for (const chosen of document.querySelectorAll("main.network .chosen")) chosen.classList.remove("chosen");
    let found = null;
    for (const item of document.querySelectorAll("main.network [data-path]")) {
      if (item.dataset.path !== path) continue;
      item.classList.add("chosen");
      if (move) item.scrollIntoView({ block: "nearest", inline: "nearest" });
      found = found || item;
    }
    return found;
  };
  const choose = (path, move = true) => {
    state.chosen = path;
    const found = mark(path, move);
    if (state.nodes) { emitEvent("network-node", path); return; }
    const item = document.querySelector(`#network-graphs g[data-path="${CSS.escape(path)}"]`);
    by("network-layer-title").textContent = path || "The whole network";
    const note = item ? item.querySelector("title").textContent.split("\n") : found ? [...found.cells].map((cell) => cell.textContent) : [];
    by("network-layer").replaceChildren(...note.map((line) => element("p", line)));
  };

  const comparison = (answer) => {
    if (!answer.beside) return [];
    const heads = ["", "first", "second", "second / first"];
    const parts = [element("h2", "Beside each other"), table("Both networks", heads, answer.comparison.map((cells) => ({ cells })))];
    parts.push(element("h2", answer.differences.length ? "Layers that differ" : "All layers are the same"));
    if (answer.differences.length)
      parts.push(table("Layers that differ", ["layer", "first", "second"], answer.differences.map(([path, a, b]) => ({ path, cells: [path, a || "-", b || "-"] }))));
    return parts;
  };

  window.network = {
    show(answer) {
      state.answer = answer;
      by("network-error").textContent = "";
      if (Boolean(answer.beside) !== Boolean(state.beside)) state.fit = state.beside = Boolean(answer.beside);
      by("network-graphs").replaceChildren(...[answer, answer.beside].filter(Boolean).map(figure));
      const tiles = element("div", undefined, { class: "tiles" });
      for (const [name, value] of answer.tiles) {
        const tile = element("div", undefined, { class: "tile" });
        tile.append(element("b", value), element("span", name));
        tiles.append(tile);
      }
      by("network-costs").replaceChildren(
        element("h2", "What it costs and sees"), tiles, ...answer.lines.map((line) => element("p", line, { class: "soft" })),
        ...comparison(answer), element("h2", "Layer by layer"),
        table("Layers", answer.columns, answer.rows.map(([path, ...cells]) => ({ path, cells }))));
      resize();
      if (answer.layer) choose(answer.layer);
      else if (state.chosen !== null) choose(state.chosen, false);
      network.last = answer.ms;
      network.shown = (network.shown || 0) + 1;
    },
    // of an .onnx file: a drawing, the operations that are found, and all of one of them
    draw(part) {
      state.nodes = true;
      by("network-graphs").replaceChildren(figure(part, 0));
      resize();
    },
    operations(answer) {
      by("network-costs").replaceChildren(
        element("h2", "Operations"), ...answer.lines.map((line) => element("p", line, { class: "soft" })),
        table("Operations", ["name", "operator", "output", "numbers stored"], answer.rows.map((row) => ({ path: String(row.place), cells: [row.name, row.operator, row.output, row.stored] }))));
      const found = new Set(answer.found.map(String));
      for (const item of document.querySelectorAll("#network-graphs g.box")) item.classList.toggle("found", found.has(item.dataset.path));
      const first = document.querySelector("#network-graphs g.found");
      if (first) first.scrollIntoView({ block: "nearest", inline: "nearest" });
    },
    told(answer) {
      mark(String(answer.place), true);
      by("network-layer-title").textContent = answer.title;
      by("network-layer").replaceChildren(...answer.lines.map(([name, text]) => element("p", text ? `${name}: ${text}` : name)));
    },
    zoom(factor) {
      state.fit = factor === 0;
      if (factor) state.scale = Math.min(4, Math.max(0.1, state.scale * factor));
      resize();
    },
    value(id, text) {
      const input = by(`c${id}`);
      if (input && document.activeElement !== input) input.value = text;
    },
    placeholder(id, text) { by(`c${id}`).placeholder = text; },
    error(text) { by("network-error").textContent = text; },
  };
})();
