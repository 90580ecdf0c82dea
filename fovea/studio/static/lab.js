// The room "Lab": grids whose cells are edited, and the arithmetic of the output cell under the pointer.
"use strict";
(() => {
  const lab = { worked: null, cell: 0, timer: null };
  const by = (id) => document.getElementById(id);
  const short = (value) => String(Math.round(value * 1000) / 1000);

  // a table of cells: [channels][rows][columns]; `edit` makes inputs of them
  const draw = (place, name, grid, edit) => {
    let number = 0;
    by(place).replaceChildren(...grid.map((channel, c) => {
      const table = document.createElement("table");
      table.className = "grid";
      table.setAttribute("aria-label", grid.length > 1 ? `${name}, channel ${c}` : name);
      for (const [i, row] of channel.entries()) {
        const line = table.insertRow();
        for (const [j, value] of row.entries()) {
          const cell = line.insertCell();
          cell.dataset.number = number++;
          if (edit) {
            const input = document.createElement("input");
            input.value = short(value);
            input.setAttribute("aria-label", `${name}, row ${i}, column ${j}`);
            input.inputMode = "decimal";
            input.addEventListener("change", send);
            cell.append(input);
          } else cell.textContent = short(value);
        }
      }
      return table;
    }));
  };
  const read = (place) => [...by(place).querySelectorAll("table")].map((table) =>
    [...table.rows].map((row) => [...row.cells].map((cell) => cell.querySelector("input").value)));

  const send = () => emitEvent("lab", { image: read("lab-image"), kernel: read("lab-kernel") });

  const light = (number) => {
    if (!lab.worked || !lab.worked.reads.length) return;
    lab.cell = (number + lab.worked.reads.length) % lab.worked.reads.length;
    document.querySelectorAll(".grid td.on, .grid td.seen, .matrix tr.on").forEach((e) => e.classList.remove("on", "seen"));
    const cells = by("lab-image").querySelectorAll("td");
    for (const [cell, weight] of lab.worked.reads[lab.cell]) cells[cell].classList.add(weight ? "on" : "seen");
    by("lab-output").querySelector(`td[data-number="${lab.cell}"]`)?.classList.add("on");
    by("lab-text").textContent = lab.worked.texts[lab.cell];
    const row = by("lab-matrix").querySelectorAll("tr")[lab.cell];
    if (row) row.classList.add("on");
  };

  window.lab = {
    grids(image, kernel) { draw("lab-image", "input", image, true); draw("lab-kernel", "kernel", kernel, true); },
    show(worked) {
      lab.worked = worked;
      by("lab-error").textContent = "";
      by("lab-fit").textContent = worked.fit;
      draw("lab-output", "output", worked.output, false);
      draw("lab-gradient", "gradient of the input", worked.gradient, false);
      const table = document.createElement("table");
      for (const values of worked.matrix) {
        const row = table.insertRow();
        for (const value of values) {
          const cell = row.insertCell();
          cell.textContent = value ? short(value) : "";
          if (value) cell.className = value > 0 ? "above" : "below";
        }
      }
      by("lab-matrix").replaceChildren(table);
      by("lab-output").querySelectorAll("td").forEach((cell) => {
        cell.tabIndex = 0;
        cell.addEventListener("mouseenter", () => light(Number(cell.dataset.number)));
        cell.addEventListener("focus", () => light(Number(cell.dataset.number)));
      });
      light(Math.min(lab.cell, worked.reads.length - 1));
    },
    error(text) { by("lab-error").textContent = text; },
    play() {
      if (lab.timer) { clearInterval(lab.timer); lab.timer = null; by("lab-play").textContent = "Play"; return; }
      by("lab-play").textContent = "Pause";
      lab.timer = setInterval(() => light(lab.cell + 1), 600);
    },
    step() { light(lab.cell + 1); },
  };
})();
