// A brush on the pixels of the image. The mask is kept here and on the server, by the same rule: a stroke covers the
// pixels whose centre is at most its radius away from the line.
"use strict";
(() => {
  const by = (id) => document.getElementById(id);
  const NONE = 255;
  const brush = { radius: 8, erases: false, mask: null, proposed: null, size: [1, 1], path: null, at: null };
  let colours = [];

  const cover = (x0, y0, x1, y1, value) => {
    const [h, w] = brush.size, r = brush.radius;
    const left = Math.max(0, Math.floor(Math.min(x0, x1) - r)), right = Math.min(w, Math.ceil(Math.max(x0, x1) + r));
    const top = Math.max(0, Math.floor(Math.min(y0, y1) - r)), bottom = Math.min(h, Math.ceil(Math.max(y0, y1) + r));
    const dx = x1 - x0, dy = y1 - y0, length = Math.max(dx * dx + dy * dy, 1e-12);
    for (let y = top; y < bottom; y++) for (let x = left; x < right; x++) {
      const share = Math.min(1, Math.max(0, ((x + 0.5 - x0) * dx + (y + 0.5 - y0) * dy) / length));
      const off = (x + 0.5 - x0 - share * dx) ** 2 + (y + 0.5 - y0 - share * dy) ** 2;
      if (off <= r * r) brush.mask[y * w + x] = value;
    }
    paint(by("label-mask"), brush.mask, left, top, right, bottom);
  };
  // `sparse` shows every second pixel of a checkerboard: what is only proposed
  const paint = (canvas, mask, left, top, right, bottom, sparse = false) => {
    if (right <= left || bottom <= top) return;
    const w = brush.size[1], context = canvas.getContext("2d");
    const data = context.createImageData(right - left, bottom - top);
    let to = 0;
    for (let y = top; y < bottom; y++) for (let x = left; x < right; x++, to += 4) {
      const value = mask[y * w + x];
      if (value === NONE || value >= colours.length || (sparse && ((x >> 1) + (y >> 1)) % 2)) continue;
      [data.data[to], data.data[to + 1], data.data[to + 2]] = colours[value];
      data.data[to + 3] = 140;
    }
    context.putImageData(data, left, top);
  };
  const whole = (canvas, mask, sparse) => {
    [canvas.height, canvas.width] = brush.size;
    if (mask) paint(canvas, mask, 0, 0, brush.size[1], brush.size[0], sparse);
  };
  // the levels of a grey picture, which holds a mask without loss
  const levels = async (url) => {
    const image = new Image();
    image.src = url;
    await image.decode();
    const canvas = document.createElement("canvas");
    [canvas.width, canvas.height] = [image.width, image.height];
    const context = canvas.getContext("2d", { willReadFrequently: true });
    context.drawImage(image, 0, 0);
    return context.getImageData(0, 0, image.width, image.height).data.filter((_, i) => i % 4 === 0);
  };

  const place = (event) => {
    const box = by("label-stage").getBoundingClientRect();
    const rounded = (value) => Math.round(value * 100) / 100;
    return [rounded((event.clientX - box.left) / box.width * brush.size[1]), rounded((event.clientY - box.top) / box.height * brush.size[0])];
  };
  const value = () => brush.erases ? NONE : window.label.room.current;
  const stroke = (from, to) => {
    const { classes } = window.label.room.set;
    cover(...from, ...to, value());
    if (!brush.path) brush.path = [...from];
    brush.path.push(...to);
    brush.label = brush.erases ? null : classes[window.label.room.current];
  };
  const end = () => {
    if (!brush.path) return;
    window.label.room.value = [];
    window.label.send("paint", { path: brush.path, radius: brush.radius, label: brush.label });
    brush.path = null;
  };
  const cursor = () => {
    const svg = by("label-shapes");
    const [x, y] = brush.at || [-1e4, -1e4];
    svg.querySelectorAll("circle").forEach((circle) => {
      for (const [name, number] of Object.entries({ cx: x, cy: y, r: brush.radius })) circle.setAttribute(name, number);
    });
    by("brush-size").value = brush.radius;
    by("brush-eraser").setAttribute("aria-pressed", String(brush.erases));
  };
  const resize = (radius) => { brush.radius = Math.min(200, Math.max(0.5, radius)); cursor(); };

  window.labelBrush = {
    brush,
    know(set) { colours = set.colours.map((text) => text.match(/\d+/g).map(Number)); },
    begin(set) {
      window.labelBrush.know(set);
      const tools = by("label-tools");
      const label = document.createElement("label");
      label.textContent = "Size of the brush ";
      const range = document.createElement("input");
      Object.assign(range, { type: "range", id: "brush-size", min: 0.5, max: 60, step: 0.5, value: brush.radius });
      range.addEventListener("input", () => resize(Number(range.value)));
      label.append(range);
      const eraser = document.createElement("button");
      Object.assign(eraser, { type: "button", className: "plain", id: "brush-eraser", textContent: "Eraser (0)" });
      eraser.addEventListener("click", () => { brush.erases = !brush.erases; cursor(); });
      tools.replaceChildren(label, eraser);
      const svg = by("label-shapes");
      svg.tabIndex = 0;
      svg.setAttribute("aria-label", "The image: arrows move the brush, Space covers");
      svg.replaceChildren(...["under", "over"].map((name) => {
        const circle = document.createElementNS("http://www.w3.org/2000/svg", "circle");
        circle.setAttribute("class", `cursor ${name}`);
        return circle;
      }));
      svg.addEventListener("pointerdown", (event) => {
        if (event.button || !brush.mask) return;
        svg.setPointerCapture(event.pointerId);
        brush.last = brush.at = place(event);
        stroke(brush.last, brush.last);
      });
      svg.addEventListener("pointermove", (event) => {
        brush.at = place(event);
        if (brush.path) { stroke(brush.last, brush.at); brush.last = brush.at; }
        cursor();
      });
      for (const name of ["pointerup", "pointercancel"]) svg.addEventListener(name, end);
    },
    async show(item) {
      brush.size = item.size;
      brush.path = brush.proposed = null;
      brush.mask = null;
      by("label-shapes").setAttribute("viewBox", `0 0 ${item.size[1]} ${item.size[0]}`);
      whole(by("label-proposed"), null);
      whole(by("label-mask"), null);
      const mask = item.mask ? await levels(item.mask) : new Uint8ClampedArray(item.size[0] * item.size[1]).fill(NONE);
      if (window.label.room.item.image !== item.image) return;
      brush.mask = mask;
      whole(by("label-mask"), mask);
      cursor();
    },
    async propose(url) {
      const image = window.label.room.item.image;
      brush.coming = true;
      const mask = await levels(url);
      brush.coming = false;
      if (window.label.room.item.image !== image || mask.every((each) => each === NONE)) return;
      brush.proposed = mask;
      whole(by("label-proposed"), mask, true);
    },
    begun: () => false,
    waiting: () => brush.proposed !== null || brush.coming,
    accept() { if (brush.coming) return; brush.proposed = null; window.label.send("accept"); },
    focus() { by("label-shapes").focus(); },
    key(event) {
      const step = event.ctrlKey ? 10 : 1;
      const moves = { ArrowLeft: [-step, 0], ArrowRight: [step, 0], ArrowUp: [0, -step], ArrowDown: [0, step] };
      const [h, w] = brush.size;
      if (event.key === "[") resize(brush.radius * 0.8);
      else if (event.key === "]") resize(brush.radius * 1.25);
      else if (event.key === "0") { brush.erases = !brush.erases; cursor(); }
      else if (event.target.id !== "label-shapes") return false;
      else if (moves[event.key]) {
        const [x, y] = brush.at || [w / 2, h / 2];
        brush.at = [Math.min(w, Math.max(0, x + moves[event.key][0])), Math.min(h, Math.max(0, y + moves[event.key][1]))];
        cursor();
      } else if (event.key === " ") {
        brush.at = brush.at || [w / 2, h / 2];
        stroke(brush.at, brush.at);
        end();
      } else return false;
      return true;
    },
  };
})();
