// The room "Look": one map under the pointer at a time, and one question to the server in flight.
"use strict";
(() => {
  const room = { size: [1, 1], busy: false, waiting: null, at: null };

  const send = (name, value) => {
    if (room.busy) { room.waiting = [name, value]; return; }
    room.busy = true;
    emitEvent(name, value);
  };
  const answered = () => {
    room.busy = false;
    if (room.waiting) { const [name, value] = room.waiting; room.waiting = null; send(name, value); }
  };

  const pixel = (event) => {
    const box = document.getElementById("map-picture").getBoundingClientRect();
    const [width, height] = room.size;
    return [Math.floor((event.clientX - box.left) / box.width * width),
            Math.floor((event.clientY - box.top) / box.height * height)];
  };
  const look = (at, name = "hover") => {
    if (name === "hover" && room.at && at[0] === room.at[0] && at[1] === room.at[1]) return;
    room.at = at;
    room.asked = performance.now();
    send(name, { x: at[0], y: at[1] });
  };

  const mark = (id, view, box) => {
    const svg = document.getElementById(id);
    if (!svg) return;
    const rect = svg.querySelector("rect");
    svg.setAttribute("viewBox", view.join(" "));
    if (!box) { rect.setAttribute("visibility", "hidden"); return; }
    ["x", "y", "width", "height"].forEach((name, i) => rect.setAttribute(name, box[i]));
    rect.setAttribute("visibility", "visible");
  };

  window.look = {
    // a new map: its picture, its size in pixels, and how many pixels of the page each is
    map(picture, size, scale) {
      room.size = size;
      room.at = null;
      const image = document.getElementById("map-picture");
      image.src = picture;
      image.style.width = `${size[0] * scale}px`;
      image.style.height = `${size[1] * scale}px`;
      mark("map-mark", [0, 0, ...size], null);
    },
    // the answer to a question: where the unit is, what it sees on every layer, how it comes about
    unit(answer) {
      if (answer) {
        mark("map-mark", [0, 0, ...room.size], answer.box);
        document.querySelectorAll("svg.mark[data-layer]").forEach((svg) => {
          const found = answer.marks[svg.dataset.layer];
          mark(svg.id, found ? found.view : [0, 0, 1, 1], found ? found.box : null);
        });
        document.getElementById("unit-title").textContent = answer.title;
        const list = document.getElementById("unit-lines");
        list.replaceChildren(...answer.lines.map((line) => {
          const item = document.createElement("p");
          item.textContent = line;
          return item;
        }));
        const rows = answer.terms.map((term) => {
          const row = document.createElement("tr");
          const cells = [term.value, term.weight ?? "", term.from].map((text) => {
            const cell = document.createElement("td");
            cell.textContent = text;
            return cell;
          });
          if (term.layer !== null) {
            const button = document.createElement("button");
            button.textContent = term.from;
            button.title = "Follow back to this unit";
            button.addEventListener("click", () => send("follow", { layer: term.layer, unit: term.unit }));
            cells[2].replaceChildren(button);
          }
          row.replaceChildren(...cells);
          return row;
        });
        document.getElementById("unit-terms").replaceChildren(...rows);
        window.look.last = performance.now() - room.asked;
      }
      answered();
    },
    answered,
    begin() {
      const frame = document.getElementById("map-frame");
      frame.addEventListener("mousemove", (event) => look(pixel(event)));
      frame.addEventListener("click", (event) => look(pixel(event), "choose"));
      frame.addEventListener("keydown", (event) => {
        const step = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key];
        if (step) {
          const [x, y] = room.at || [0, 0];
          look([Math.min(room.size[0] - 1, Math.max(0, x + step[0])), Math.min(room.size[1] - 1, Math.max(0, y + step[1]))]);
        } else if (event.key === "Enter" && room.at) look(room.at, "choose");
        else return;
        event.preventDefault();
      });
    },
  };
})();
