// Boxes, polygons and points on the image, by pointer and by keyboard. Places are pixels of the image.
"use strict";
(() => {
  const by = (id) => document.getElementById(id);
  const SVG = "http://www.w3.org/2000/svg";
  const made = (name, attributes) => {
    const node = document.createElementNS(SVG, name);
    for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
    return node;
  };
  const it = { kind: "", classes: [], colours: [], size: [1, 1], own: [], proposed: [], open: null, chosen: -1, corner: -1, drag: null };
  const svg = () => by("label-shapes");
  const rounded = (value) => Math.round(value * 100) / 100;
  const within = ([x, y]) => [Math.min(it.size[1], Math.max(0, x)), Math.min(it.size[0], Math.max(0, y))].map(rounded);
  const place = (event) => {
    const box = svg().getBoundingClientRect();
    return within([(event.clientX - box.left) / box.width * it.size[1], (event.clientY - box.top) / box.height * it.size[0]]);
  };
  // how many pixels of the image a pixel of the page is
  const scale = () => it.size[1] / Math.max(1, svg().getBoundingClientRect().width);
  const isPoints = () => it.kind === "points";
  const current = () => it.classes[window.label.room.current];
  const corners = (shape) => shape.box ? [[0, 1], [2, 1], [2, 3], [0, 3]].map(([i, j]) => [shape.box[i], shape.box[j]])
    : shape.rings ? shape.rings.flatMap((ring) => pairs(ring)) : [];
  const pairs = (ring) => ring.filter((_, i) => i % 2 === 0).map((x, i) => [x, ring[2 * i + 1]]);
  const keep = (later) => window.label.give(value(), { later });
  const value = () => structuredClone(it.own);

  // ---- what is drawn
  const words = (shape, index, proposed) => {
    if (isPoints()) return `point ${it.classes[index]}, ${["not there", "hidden", "visible"][shape[2]]}`;
    const what = shape.box ? "box" : shape.rings ? "polygon" : "pixels";
    return `${what} ${index + 1} of ${proposed ? it.proposed.length : it.own.length}, ${shape.label}${proposed ? ", proposed" : ""}`;
  };
  const group = (shape, index, proposed) => {
    const color = it.colours[isPoints() ? index : it.classes.indexOf(shape.label)] || "gray";
    const node = made("g", { tabindex: 0, role: "button", "aria-label": words(shape, index, proposed), "data-n": index, class: proposed ? "shape proposed" : "shape" });
    if (proposed) node.dataset.proposed = "1";
    else if (index === it.chosen) node.classList.add("chosen");
    for (const layer of ["under", "over"]) {
      const drawn = isPoints() ? made("circle", { cx: shape[0], cy: shape[1], r: 5 * scale() })
        : shape.box ? made("rect", { x: shape.box[0], y: shape.box[1], width: shape.box[2] - shape.box[0], height: shape.box[3] - shape.box[1] })
          : made("path", { d: (shape.rings || []).map((ring) => `M${pairs(ring).map((c) => c.join(" ")).join("L")}Z`).join("") });
      drawn.setAttribute("class", layer + (isPoints() && shape[2] === 1 ? " hidden-point" : ""));
      if (layer === "over") drawn.style.stroke = color;
      node.append(drawn);
    }
    const text = made("text", { "font-size": 12 * scale() });
    const [x, y] = isPoints() ? [shape[0] + 7 * scale(), shape[1]] : (corners(shape)[0] || [0, 0]);
    text.setAttribute("x", x);
    text.setAttribute("y", isPoints() ? y + 4 * scale() : Math.max(12 * scale(), y - 3 * scale()));
    text.textContent = isPoints() ? it.classes[index] : shape.label;
    if (!isPoints() || it.classes.length <= 12 || index === it.chosen) node.append(text);
    return node;
  };
  const handles = () => {
    const shape = it.own[it.chosen];
    if (!shape || isPoints()) return [];
    return corners(shape).map(([x, y], index) => {
      const side = 8 * scale();
      const node = made("rect", { x: x - side / 2, y: y - side / 2, width: side, height: side, class: "handle", "data-corner": index });
      if (!shape.box) {
        node.setAttribute("tabindex", 0);
        node.setAttribute("role", "button");
        node.setAttribute("aria-label", `corner ${index + 1} of ${corners(shape).length}`);
      }
      return node;
    });
  };
  const draw = (focus = false) => {
    const there = (shape) => !isPoints() || shape[2] > 0;
    const nodes = [];
    it.proposed.forEach((shape, index) => { if (there(shape)) nodes.push(group(shape, index, true)); });
    it.own.forEach((shape, index) => { if (there(shape)) nodes.push(group(shape, index, false)); });
    if (it.open) nodes.push(made("polyline", { points: pairs(it.open).map((c) => c.join(",")).join(" "), class: "open" }),
      made("circle", { cx: it.open[0], cy: it.open[1], r: 6 * scale(), class: "first", "data-first": "1" }));
    it.quiet = true;
    svg().replaceChildren(...nodes, ...handles());
    it.quiet = false;
    const wanted = it.corner >= 0 ? `[data-corner="${it.corner}"]` : `g[data-n="${it.chosen}"]:not([data-proposed])`;
    if (focus && it.chosen >= 0) svg().querySelector(wanted)?.focus({ preventScroll: true });
  };

  // ---- changing one
  const take = (index) => {  // a proposed one becomes one's own
    const [shape] = isPoints() ? [it.proposed[index]] : it.proposed.splice(index, 1);
    if (isPoints()) { points(); it.own[index] = [...shape]; it.proposed[index] = [0, 0, 0]; return index; }
    it.own.push(shape);
    return it.own.length - 1;
  };
  const points = () => {
    if (isPoints() && it.own.length !== it.classes.length) it.own = it.classes.map(() => [0, 0, 0]);
    return it.own;
  };
  const shift = (shape, dx, dy) => {
    if (isPoints()) return [...within([shape[0] + dx, shape[1] + dy]), shape[2]];
    const all = corners(shape), [h, w] = it.size;
    const xs = all.map((c) => c[0]), ys = all.map((c) => c[1]);
    const x = Math.min(w - Math.max(...xs), Math.max(-Math.min(...xs), dx)), y = Math.min(h - Math.max(...ys), Math.max(-Math.min(...ys), dy));
    const moved = (values) => values.map((each, i) => rounded(each + (i % 2 ? y : x)));
    if (shape.box) return { ...shape, box: moved(shape.box) };
    return shape.rings ? { ...shape, rings: shape.rings.map(moved) } : shape;
  };
  const withCorner = (shape, corner, to) => {
    if (shape.box) {
      const box = [...shape.box], [i, j] = [[0, 1], [2, 1], [2, 3], [0, 3]][corner];
      [box[i], box[j]] = to;
      return { ...shape, box };
    }
    let left = corner;
    return { ...shape, rings: shape.rings.map((ring) => {
      const at = left;
      left -= ring.length / 2;
      return at >= 0 && at < ring.length / 2 ? Object.assign([...ring], { [2 * at]: to[0], [2 * at + 1]: to[1] }) : ring;
    }) };
  };
  const straight = (box) => [Math.min(box[0], box[2]), Math.min(box[1], box[3]), Math.max(box[0], box[2]), Math.max(box[1], box[3])];
  const drop = (index) => {
    if (isPoints()) it.own[index] = [0, 0, 0];
    else { it.own.splice(index, 1); it.chosen = Math.min(index, it.own.length - 1); }
    it.corner = -1;
    keep();
    draw(true);
  };
  const close = () => {
    if (it.open.length >= 6) {
      it.own.push({ label: current(), rings: [it.open] });
      it.chosen = it.own.length - 1;
    }
    it.open = null;
    keep();
    draw(true);
  };
  const insert = () => {
    const [h, w] = it.size, x = w / 2, y = h / 2, a = w / 8, b = h / 8;
    if (isPoints()) { it.chosen = window.label.room.current; points()[it.chosen] = [...within([x, y]), 2]; }
    else if (it.kind === "boxes") it.chosen = it.own.push({ label: current(), box: [x - a, y - b, x + a, y + b].map(rounded) }) - 1;
    else it.chosen = it.own.push({ label: current(), rings: [[x - a, y - b, x + a, y - b, x, y + b].map(rounded)] }) - 1;
    it.corner = -1;
    keep();
    draw(true);
  };
  // one more corner behind this one, in the middle of the side; or one corner less
  const recorner = (more) => {
    const ring = it.own[it.chosen].rings[0], at = it.corner, count = ring.length / 2, next = (at + 1) % count;
    if (it.own[it.chosen].rings.length > 1 || (!more && count <= 3)) return;
    if (more) ring.splice(2 * at + 2, 0, rounded((ring[2 * at] + ring[2 * next]) / 2), rounded((ring[2 * at + 1] + ring[2 * next + 1]) / 2));
    else ring.splice(2 * at, 2);
    it.corner = more ? at + 1 : Math.max(0, at - 1);
    keep();
    draw(true);
  };

  // ---- the pointer
  const down = (event) => {
    if (event.button || !window.label.room.item) return;
    const target = event.target, at = place(event), node = target.closest("g[data-n]");
    svg().setPointerCapture(event.pointerId);
    event.preventDefault();
    if (target.dataset.first) { close(); return; }
    if (target.dataset.corner) { it.drag = { corner: Number(target.dataset.corner), from: at, shape: it.own[it.chosen] }; return; }
    if (node && !it.open) {
      it.chosen = node.dataset.proposed ? take(Number(node.dataset.n)) : Number(node.dataset.n);
      it.corner = -1;
      it.drag = { move: true, from: at, shape: it.own[it.chosen], taken: Boolean(node.dataset.proposed) };
      if (isPoints()) window.label.room.current = it.chosen;
      draw(true);
      window.label.mark();
      return;
    }
    if (isPoints()) placePoint(at);
    else if (it.kind === "polygons") { it.open = [...(it.open || []), ...at]; draw(); }
    else {
      it.chosen = it.own.push({ label: current(), box: [...at, ...at] }) - 1;
      it.drag = { corner: 2, from: at, shape: it.own[it.chosen], fresh: true };
    }
  };
  const placePoint = (at) => {
    const index = window.label.room.current;
    points()[index] = [...at, 2];
    it.chosen = index;
    if (it.proposed[index]) it.proposed[index] = [0, 0, 0];
    const free = it.own.findIndex((point, number) => !point[2] && !(it.proposed[number] || [0, 0, 0])[2]);
    if (free >= 0) window.label.room.current = free;
    keep();
    draw();
  };
  const moved = (event) => {
    if (!it.drag) return;
    const at = place(event), { from, shape, corner } = it.drag;
    it.drag.went = it.drag.went || Math.hypot(at[0] - from[0], at[1] - from[1]) > 2 * scale();
    if (!it.drag.went) return;
    it.own[it.chosen] = it.drag.move ? shift(shape, at[0] - from[0], at[1] - from[1]) : withCorner(shape, corner, at);
    draw();
  };
  const up = () => {
    if (!it.drag) return;
    const { went, fresh, taken } = it.drag;
    it.drag = null;
    if (fresh && !went) { it.own.pop(); it.chosen = -1; draw(); return; }
    const shape = it.own[it.chosen];
    if (shape?.box) shape.box = straight(shape.box);
    if (went || taken) keep();
    draw(true);
  };

  // ---- the keyboard
  const key = (event) => {
    if (event.key === "Insert" && it.corner >= 0) { recorner(true); return true; }
    if (event.key === "Insert") { insert(); return true; }
    if (it.open && event.key === "Enter") { close(); return true; }
    if (it.open && event.key === "Escape") { it.open = null; draw(); return true; }
    const node = event.target.closest ? event.target.closest("#label-shapes g[data-n], #label-shapes [data-corner]") : null;
    if (!node) return false;
    if (node.dataset.proposed) {
      if (event.key !== " " && event.key !== "Delete") return false;
      if (event.key === " ") { it.chosen = take(Number(node.dataset.n)); keep(); } else it.proposed.splice(Number(node.dataset.n), 1, ...(isPoints() ? [[0, 0, 0]] : []));
      draw(true);
      return true;
    }
    if (event.key === "Delete") { if (it.corner >= 0) recorner(false); else drop(it.chosen); return true; }
    if (event.key === " " && isPoints()) { it.own[it.chosen][2] = it.own[it.chosen][2] === 2 ? 1 : 2; keep(); draw(true); return true; }
    const step = event.ctrlKey ? 10 : 1;
    const way = { ArrowLeft: [-step, 0], ArrowRight: [step, 0], ArrowUp: [0, -step], ArrowDown: [0, step] }[event.key];
    if (!way) return false;
    const shape = it.own[it.chosen];
    if (it.corner >= 0) {
      const [x, y] = corners(shape)[it.corner];
      it.own[it.chosen] = withCorner(shape, it.corner, within([x + way[0], y + way[1]]));
    } else if (event.shiftKey && shape.box) {
      const to = within([shape.box[2] + way[0], shape.box[3] + way[1]]);
      if (to[0] > shape.box[0] && to[1] > shape.box[1]) it.own[it.chosen] = withCorner(shape, 2, to);
    } else it.own[it.chosen] = shift(shape, ...way);
    keep(true);
    draw(true);
    return true;
  };
  const focused = (event) => {
    if (it.quiet) return;
    const node = event.target;
    const corner = node.dataset.corner, number = node.dataset.n;
    if (corner !== undefined) { it.corner = Number(corner); return; }
    if (number === undefined || node.dataset.proposed || it.drag) return;
    it.corner = -1;
    if (Number(number) === it.chosen) return;
    it.chosen = Number(number);
    window.label.room.current = isPoints() ? it.chosen : Math.max(0, it.classes.indexOf(it.own[it.chosen].label));
    window.label.mark();
    draw(true);
  };

  window.labelShapes = {
    it, key, value,
    points: () => it.own,
    know(set) { Object.assign(it, { kind: set.kind, classes: set.classes, colours: set.colours }); },
    begin(set) {
      window.labelShapes.know(set);
      const tools = { boxes: "New box (Insert)", polygons: "New polygon (Insert)", points: "Point in the middle (Insert)" };
      const button = document.createElement("button");
      Object.assign(button, { type: "button", className: "plain", textContent: tools[set.kind] });
      button.addEventListener("click", insert);
      by("label-tools").replaceChildren(button);
      svg().setAttribute("aria-label", "What lies on the image; Tab goes from one to the next");
      svg().addEventListener("pointerdown", down);
      svg().addEventListener("pointermove", moved);
      for (const name of ["pointerup", "pointercancel"]) svg().addEventListener(name, up);
      svg().addEventListener("focusin", focused);
      new ResizeObserver(() => { if (!it.drag) draw(svg().contains(document.activeElement)); }).observe(by("label-stage"));
    },
    show(item) {
      Object.assign(it, { size: item.size, own: item.label || [], proposed: [], open: null, chosen: -1, corner: -1, drag: null });
      svg().setAttribute("viewBox", `0 0 ${item.size[1]} ${item.size[0]}`);
      if (isPoints()) window.label.room.current = Math.max(0, points().findIndex((point) => !point[2]));
      draw();
    },
    propose(shapes) { it.proposed = shapes; draw(); },
    begun: () => it.open !== null,
    waiting: () => it.proposed.some((shape) => !isPoints() || shape[2] > 0),
    accept() {
      if (isPoints()) points().forEach((point, index) => { if (!point[2]) it.own[index] = it.proposed[index]; });
      else it.own.push(...it.proposed);
      it.proposed = [];
      keep();
      draw();
    },
    choose(index) {
      if (isPoints()) { it.chosen = index; draw(); return; }
      const shape = it.own[it.chosen];
      if (!shape || shape.label === it.classes[index] || !svg().contains(document.activeElement)) return;
      shape.label = it.classes[index];
      keep();
      draw(true);
    },
  };
})();
