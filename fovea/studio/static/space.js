// The network in space: its layers as blocks from left to right, drawn by parallel projection, farthest first.
"use strict";
(() => {
  const NAMED = 12;
  const START = { yaw: -0.6, pitch: 0.35, zoom: 1 };
  const space = { blocks: [], group: -1, layer: 0, lit: null, sheet: null, faces: [], ...START };
  const by = (id) => document.getElementById(id);
  const log = (size) => Math.log2(size) + 1;

  // places the blocks: x runs along the network, y up, z across; sides are logarithms of the numbers of units
  const laid = () => {
    let x = 0;
    const dense = Math.min(1, 10 / space.blocks.length);  // many blocks stand closer
    const made = space.blocks.map((block) => {
      const [C, H, W] = block.shape;
      const thick = 0.5 + 0.7 * dense * Math.log2(C);
      const one = { block, x, thick, high: log(H) / 2, wide: log(W) / 2 };
      x += thick + 0.6 + dense;
      return one;
    });
    made.forEach((one) => { one.x -= (x - 0.6 - dense) / 2; });
    return { made, length: Math.max(1, x - 0.6 - dense) };
  };

  const projection = (length, width, height) => {
    const [cy, sy, cp, sp] = [Math.cos(space.yaw), Math.sin(space.yaw), Math.cos(space.pitch), Math.sin(space.pitch)];
    const scale = space.zoom * Math.min(width / (length * Math.abs(cy) + 10 * Math.abs(sy) + 2), height / (length * Math.abs(sy * sp) + 11));
    const turned = (x, y, z) => {
      const [across, deep] = [x * cy + z * sy, z * cy - x * sy];
      return [across, y * cp + deep * sp, deep * cp - y * sp];
    };
    return { at: (x, y, z) => { const [a, b] = turned(x, y, z); return [width / 2 + scale * a, height / 2 - scale * b]; },
             depth: (x, y, z) => turned(x, y, z)[2] };
  };

  // the corners of a plane of a block at x: top left as the map lies, then right of it, then below it
  const corners = (one, x, see) => [see.at(x, one.high, -one.wide), see.at(x, one.high, one.wide), see.at(x, -one.high, -one.wide), see.at(x, -one.high, one.wide)];

  const plane = (context, one, x, place, see, ratio) => {
    const [left, right, below] = corners(one, x, see);
    const [sx, sy, width, height] = place;
    context.setTransform(ratio * (right[0] - left[0]) / width, ratio * (right[1] - left[1]) / width,
      ratio * (below[0] - left[0]) / height, ratio * (below[1] - left[1]) / height, ratio * left[0], ratio * left[1]);
    context.drawImage(space.sheet, sx, sy, width, height, 0, 0, width, height);
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
  };

  const outline = (context, points, colour, width) => {
    context.beginPath();
    points.forEach(([x, y], i) => (i ? context.lineTo(x, y) : context.moveTo(x, y)));
    context.closePath();
    context.strokeStyle = colour;
    context.lineWidth = width;
    context.stroke();
  };

  const draw = () => {
    const canvas = by("space-canvas");
    const [width, height] = [canvas.clientWidth, canvas.clientHeight];
    if (!width || !space.sheet) return;
    const ratio = window.devicePixelRatio || 1;
    [canvas.width, canvas.height] = [Math.round(width * ratio), Math.round(height * ratio)];
    const context = canvas.getContext("2d");
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    context.imageSmoothingEnabled = false;
    const style = getComputedStyle(document.documentElement);
    const [ink, line, mark] = ["--ink", "--soft", "--mark"].map((name) => style.getPropertyValue(name));
    const { made, length } = laid();
    const see = projection(length, width, height);
    made.sort((a, b) => see.depth(b.x + b.thick / 2, 0, 0) - see.depth(a.x + a.thick / 2, 0, 0));
    space.faces = [];
    for (const one of made) {
      const count = one.block.places.length;
      const ends = [corners(one, one.x, see), corners(one, one.x + one.thick, see)];
      const chosen = one.block.layer === space.layer;
      const hull = outlineOf(ends.flat());
      const planes = one.block.places.map((place, i) => [one.x + (count > 1 ? one.thick * i / (count - 1) : one.thick / 2), place]);
      planes.sort((a, b) => see.depth(b[0], 0, 0) - see.depth(a[0], 0, 0));
      planes.forEach(([x, place]) => plane(context, one, x, place, see, ratio));
      outline(context, hull, space.lit === one.block ? ink : chosen ? mark : line, chosen || space.lit === one.block ? 2.5 : 0.8);
      space.faces.push({ block: one.block, hull });
    }
    if (made.length <= NAMED) made.forEach((one) => {
      const [x, y] = see.at(one.x + one.thick / 2, -one.high, Math.cos(space.yaw) > 0 ? -one.wide : one.wide);
      context.fillStyle = ink;
      context.font = "12px system-ui, sans-serif";
      context.textAlign = "center";
      context.fillText(one.block.title.split(/[,:]/)[0], x, y + 22);
      context.textAlign = "start";
    });
    const said = space.lit;
    if (said) {
      context.fillStyle = ink;
      context.font = "14px system-ui, sans-serif";
      context.fillText(`${said.title}, ${said.words}`, 10, 20, width - 20);
    }
  };

  // the convex hull of points, in order around it
  const outlineOf = (points) => {
    const sorted = [...points].sort((a, b) => a[0] - b[0] || a[1] - b[1]);
    const half = (row) => row.reduce((kept, point) => {
      const turns = (a, b) => (b[0] - a[0]) * (point[1] - a[1]) - (b[1] - a[1]) * (point[0] - a[0]);
      while (kept.length > 1 && turns(kept[kept.length - 2], kept[kept.length - 1]) <= 0) kept.pop();
      return [...kept, point];
    }, []).slice(0, -1);
    return [...half(sorted), ...half(sorted.reverse())];
  };
  const inside = ([x, y], hull) => hull.every((a, i) => {
    const b = hull[(i + 1) % hull.length];
    return (b[0] - a[0]) * (y - a[1]) - (b[1] - a[1]) * (x - a[0]) >= 0;
  });
  const under = (event) => {
    const box = by("space-canvas").getBoundingClientRect();
    const at = [event.clientX - box.left, event.clientY - box.top];
    return [...space.faces].reverse().find((face) => inside(at, face.hull))?.block ?? null;
  };

  const open = (block) => {
    emitEvent("layer", block.layer);
    if (block.group >= 0 && space.group < 0) emitEvent("space", block.group);
  };
  const turn = (yaw, pitch) => {
    space.yaw += yaw;
    space.pitch = Math.max(-1.5, Math.min(1.5, space.pitch + pitch));
    draw();
  };
  const size = (factor) => { space.zoom = Math.max(0.3, Math.min(8, space.zoom * factor)); draw(); };
  const KEYS = {
    ArrowLeft: () => turn(-0.1, 0), ArrowRight: () => turn(0.1, 0), ArrowUp: () => turn(0, 0.1), ArrowDown: () => turn(0, -0.1),
    "+": () => size(1.15), "=": () => size(1.15), "-": () => size(1 / 1.15), Home: () => { Object.assign(space, START); draw(); },
  };

  const listed = () => {
    by("space-list").replaceChildren(...space.blocks.map((block) => {
      const item = document.createElement("li");
      const button = document.createElement("button");
      button.type = "button";
      button.textContent = `${block.title}, ${block.words}`;
      button.addEventListener("click", () => open(block));
      button.addEventListener("focus", () => { space.lit = block; draw(); });
      const most = document.createElement("span");
      most.className = "soft";
      most.textContent = block.shape[0] > 1 ? ` most active maps: ${block.channels.join(", ")}` : "";
      item.append(button, most);
      return item;
    }));
  };

  window.space = {
    begin(shown) {
      const [box, canvas] = [by("space"), by("space-canvas")];
      box.addEventListener("toggle", () => emitEvent("space", box.open ? space.group : "closed"));
      by("space-all").addEventListener("click", () => emitEvent("space", -1));
      canvas.addEventListener("keydown", (event) => {
        if (!KEYS[event.key]) return;
        KEYS[event.key]();
        event.preventDefault();
      });
      canvas.addEventListener("wheel", (event) => {
        if (document.activeElement !== canvas) return;  // the page scrolls until the view is chosen
        size(event.deltaY < 0 ? 1.1 : 1 / 1.1);
        event.preventDefault();
      });
      let last = null;
      let moved = 0;
      canvas.addEventListener("pointerdown", (event) => { last = [event.clientX, event.clientY]; moved = 0; canvas.setPointerCapture(event.pointerId); });
      canvas.addEventListener("pointermove", (event) => {
        if (last) {
          const [x, y] = [event.clientX - last[0], event.clientY - last[1]];
          moved += Math.abs(x) + Math.abs(y);
          last = [event.clientX, event.clientY];
          turn(x / 150, y / 150);
          return;
        }
        const block = under(event);
        if (block !== space.lit) { space.lit = block; draw(); }
      });
      canvas.addEventListener("pointerup", (event) => {
        last = null;
        const block = moved < 5 ? under(event) : null;
        if (block) open(block);
      });
      canvas.addEventListener("pointerleave", () => { space.lit = null; draw(); });
      new ResizeObserver(draw).observe(canvas);
      if (shown) box.open = true;
    },
    show(blocks, sheet, group, layer) {
      Object.assign(space, { blocks, group, layer, lit: null });
      by("space-all").hidden = group < 0;
      listed();
      const image = new Image();
      image.addEventListener("load", () => { space.sheet = image; draw(); });
      image.src = sheet;
    },
    mark(layer) {
      space.layer = layer;
      draw();
    },
  };
})();
