// The room "Course": an operation on a small grid, cell by cell, played where it stands.
"use strict";
(() => {
  const short = (value) => String(Math.round(value * 1000) / 1000);

  const tables = (name, grid) => {
    let number = 0;
    return grid.map((channel, c) => {
      const table = document.createElement("table");
      table.className = "grid";
      const caption = table.createCaption();
      caption.textContent = grid.length > 1 ? `${name} ${c + 1}` : name;
      for (const row of channel) {
        const line = table.insertRow();
        for (const value of row) {
          const cell = line.insertCell();
          cell.dataset.number = number++;
          cell.textContent = short(value);
        }
      }
      return table;
    });
  };
  const column = (name, grid) => {
    const made = document.createElement("div");
    made.append(...tables(name, grid));
    return made;
  };
  const button = (text, pressed) => {
    const made = document.createElement("button");
    made.className = "plain";
    made.type = "button";
    made.textContent = text;
    made.addEventListener("click", pressed);
    return made;
  };

  const show = (id, worked) => {
    const place = document.getElementById(id);
    if (!place) return;
    clearInterval(place.timer);
    place.timer = null;
    let at = 0;
    const grids = document.createElement("div");
    grids.className = "grids";
    const [input, kernel, output] = [column("input", worked.image), column("kernel", worked.kernel), column("output", worked.output)];
    grids.append(input, kernel, output);
    const text = document.createElement("p");
    const fit = document.createElement("p");
    fit.className = "soft";
    fit.textContent = worked.fit;
    const cells = input.querySelectorAll("td");
    const light = (number) => {
      at = (number + worked.reads.length) % worked.reads.length;
      place.querySelectorAll(".on, .seen").forEach((cell) => cell.classList.remove("on", "seen"));
      for (const [cell, weight] of worked.reads[at]) cells[cell].classList.add(weight ? "on" : "seen");
      output.querySelector(`td[data-number="${at}"]`)?.classList.add("on");
      text.textContent = worked.texts[at];
    };
    const play = button("Play", () => {
      if (place.timer) { clearInterval(place.timer); place.timer = null; play.textContent = "Play"; return; }
      play.textContent = "Pause";
      place.timer = setInterval(() => (place.isConnected ? light(at + 1) : clearInterval(place.timer)), 700);
    });
    output.querySelectorAll("td").forEach((cell) => {
      cell.tabIndex = 0;
      for (const name of ["mouseenter", "focus"]) cell.addEventListener(name, () => light(Number(cell.dataset.number)));
    });
    place.replaceChildren(grids, play, " ", button("Next cell", () => light(at + 1)), text, fit);
    if (worked.reads.length) light(0);
  };

  window.course = { show };
})();
