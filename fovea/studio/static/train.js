// The room "Train": one question to the server at a time; a page that is hidden asks nothing.
"use strict";
(() => {
  const EVERY_MS = 500, RUNS_EVERY = 6;
  const STOPPED = ["not finished", "killed"];  // states that can be resumed
  const room = { run: "", layer: "", sample: 0, ticks: 0, busy: false, rows: "", values: "" };
  const at = (id) => document.getElementById(`train-${id}`);
  const made = (name, text = "", parent = null) => {
    const found = document.createElement(name);
    found.textContent = text;
    if (parent) parent.append(found);
    return found;
  };
  // what stays as it is costs nothing to show again
  const say = (element, text) => {
    const node = element.firstChild;
    if (!node) element.textContent = text; else if (node.data !== text) node.data = text;
  };
  const set = (element, name, value) => { if (element.getAttribute(name) !== String(value)) element.setAttribute(name, value); };
  const send = (name, values = {}) => emitEvent(`train-${name}`, values);
  const steer = (values) => send("ask", { run: room.run, ...values });
  const filled = (form) => Object.fromEntries([...new FormData(form)].map(([name, value]) => [name, String(value).trim()]));

  const tick = () => {
    if (document.hidden || room.busy) return;
    room.ticks += 1;
    if (room.ticks % RUNS_EVERY === 1) send("runs");
    if (!room.run) return;
    room.busy = performance.now();
    send("tick", { run: room.run, layer: room.layer, sample: room.sample });
  };
  // at something else than before: the answer to the question before is no longer waited for
  const look = () => { room.busy = false; tick(); };
  const choose = (run) => {
    room.run = run;
    room.layer = "";
    at("run").hidden = !run;
    at("layers").replaceChildren();
    at("curves").replaceChildren();
    ["filters", "sample", "maps", "weight", "gradient", "wrong"].forEach((name) => { at(name).hidden = true; });
    room.rows = ""; room.values = "";
    at("title").textContent = run;
    const address = new URL(location.href);
    if (run) address.searchParams.set("run", run); else address.searchParams.delete("run");
    history.replaceState(null, "", address);
    room.ticks = 0;
    look();
  };

  const show = (image, found) => {
    set(image, "src", found.url);
    set(image, "width", found.width);
    set(image, "height", found.height);
  };
  const picture = (figure, found) => {
    figure.hidden = !found;
    if (!found) return;
    show(figure.querySelector("img"), found);
  };
  const SVG = "http://www.w3.org/2000/svg";
  const drawn = (parent, name, attributes, text = "") => {
    const found = document.createElementNS(SVG, name);
    Object.entries(attributes).forEach(([key, value]) => found.setAttribute(key, value));
    found.textContent = text;
    parent.append(found);
    return found;
  };
  const chart = (values) => {
    const [width, height] = values.size, floor = height - 40;
    const figure = made("figure"), svg = document.createElementNS(SVG, "svg");
    const names = values.lines.map((line) => line.name).join(" and ");
    made("figcaption", values.lines.length > 1 ? `${values.title}: ${values.lines[0].name}, and in colour ${values.lines[1].name}` : values.title, figure);
    svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
    svg.setAttribute("class", "chart");
    svg.setAttribute("role", "img");
    svg.setAttribute("aria-label", `${values.title}: ${names} over ${values.label}`);
    values.y.forEach(([y, label]) => {
      drawn(svg, "line", { x1: 56, x2: width - 14, y1: y, y2: y });
      drawn(svg, "text", { x: 50, y: y + 4, "text-anchor": "end" }, label);
    });
    values.x.forEach(([x, label]) => drawn(svg, "text", { x, y: floor + 18, "text-anchor": "middle" }, label));
    drawn(svg, "text", { x: width - 14, y: height - 4, "text-anchor": "end" }, values.label);
    values.lines.forEach((line, number) => drawn(svg, "path", { d: line.path, class: number ? "second" : "first" }));
    figure.append(svg);
    return figure;
  };
  const short = (value) => {
    const size = Math.abs(value);
    return size !== 0 && (size < 1e-3 || size >= 1e4) ? value.toExponential(1) : String(Number(value.toPrecision(3)));
  };
  const range = (ends) => (ends ? `${short(ends[0])} to ${short(ends[1])}` : "");

  const layers = (view) => {
    const body = at("layers");
    if (body.children.length !== view.layers.length) {
      body.replaceChildren(...view.layers.map((layer) => {
        const row = made("tr");
        const button = made("button", `${layer.name || "network"}: ${layer.kind}`, made("td", "", row));
        button.type = "button";
        button.addEventListener("click", () => { room.layer = layer.name; look(); });
        for (let cell = 0; cell < 4; cell += 1) made("td", "", row);
        return row;
      }));
    }
    view.layers.forEach((layer, number) => {
      const cells = body.children[number].children;
      set(body.children[number], "aria-selected", layer.name === room.layer);
      [layer.shape.join(" x "), range(layer.activation), range(layer.weight), range(layer.gradient)].forEach((text, cell) => {
        say(cells[cell + 1], text);
      });
    });
    if (!room.layer && view.layers.length) {
      room.layer = (view.layers.find((layer) => layer.weight && layer.shape.length === 3) ?? view.layers[0]).name;
    }
  };
  const mistakes = (found) => {
    at("wrong").hidden = !found.length;
    const figures = at("mistakes");
    while (figures.children.length > found.length) figures.lastChild.remove();
    while (figures.children.length < found.length) {
      const figure = made("figure", "", figures);
      made("img", "", figure).className = "pixelated";
      made("figcaption", "", figure);
    }
    found.forEach((mistake, number) => {
      const [image, caption] = figures.children[number].children;
      image.hidden = !mistake.picture;
      if (mistake.picture) show(image, mistake.picture);
      set(image, "alt", `An image of ${mistake.truth}`);
      const sure = mistake.probability === null ? "" : ` (${(100 * mistake.probability).toFixed(0)} %)`;
      say(caption, `${mistake.truth}, taken for ${mistake.answer}${sure}`);
    });
  };
  const values = (view) => {
    const text = JSON.stringify(view.asked);
    if (text === room.values) return; // leave what is being typed
    room.values = text;
    Object.entries(view.asked).forEach(([name, value]) => { at("values").elements[name].value = String(Number(value.toPrecision(6))); });
  };
  const losses = (found) => {
    const before = at("losses");
    if (!found.lines.length) { before?.remove(); return; }
    const figure = chart(found);
    figure.id = "train-losses";
    if (before) before.replaceWith(figure); else at("curves").prepend(figure);
  };
  const seen = (view) => {
    const loss = view.losses.lines.length ? `, learning rate ${short(view.lr)}` : "";
    say(at("numbers"), `step ${view.step.toLocaleString("en")}, epoch ${view.epoch + 1}, ${view.elapsed_s.toFixed(1)} s, `
      + `${Math.round(view.images_per_s).toLocaleString("en")} images/s${loss}`);
    at("progress").value = view.progress;
    say(at("refused"), view.refused ? `Not changed: ${view.refused}` : "");
    layers(view);
    mistakes(view.mistakes);
    values(view);
    const { pictures } = view;
    ["filters", "sample", "maps", "weight", "gradient"].forEach((name) => picture(at(name), pictures[name]));
    say(at("maps").querySelector("figcaption"), `Maps of ${view.layer || "the network"}; red is above zero, blue below`);
    losses(view.losses);
  };

  window.train = {
    views: 0, // shown so far
    begin(found) {
      Object.entries(found.offered).forEach(([name, texts]) => {
        at(name).replaceChildren(...texts.map((text) => { const option = made("option"); option.value = text; return option; }));
      });
      const form = at("form");
      if (found.open) form.elements.data.value = found.open;
      Object.entries(found.form).forEach(([name, text]) => { form.elements[name].value = text; });
      form.addEventListener("submit", (event) => { event.preventDefault(); at("told").textContent = ""; send("start", { form: filled(form) }); });
      at("preview").addEventListener("click", () => {
        at("previewed").replaceChildren(made("p", "Looking at the data ..."));
        send("preview", { form: filled(form) });
      });
      at("pause").addEventListener("click", () => {
        if (STOPPED.includes(room.state)) send("resume", { run: room.run });
        else steer({ state: room.state === "paused" ? "running" : "paused" });
      });
      at("step").addEventListener("click", () => steer({ step: true }));
      at("stop").addEventListener("click", () => steer({ state: "stopped" }));
      at("snapshot").addEventListener("click", () => steer({ snapshot: true }));
      at("open").addEventListener("click", () => send("open", { run: room.run }));
      at("next").addEventListener("click", () => { room.sample += 1; look(); });
      at("values").addEventListener("submit", (event) => {
        event.preventDefault();
        const before = room.values ? JSON.parse(room.values) : {};
        const changed = Object.entries(filled(at("values"))).filter(([name, text]) => text !== "" && Number(text) !== Number(Number(before[name]).toPrecision(6)));
        if (changed.length) steer({ values: Object.fromEntries(changed) });
      });
      window.socket.on("train-show", window.train.show);
      document.addEventListener("visibilitychange", tick);
      setInterval(() => { if (room.busy && performance.now() - room.busy > 10000) room.busy = false; tick(); }, EVERY_MS);
      if (found.run) choose(found.run); else tick();
    },
    told(text) { at("told").textContent = text; room.ticks = 0; tick(); },
    begun(runs) { room.ticks = 0; choose(runs[0]); },
    previewed(found) {
      if (found.fault) { at("previewed").replaceChildren(made("p", found.fault)); return; }
      const image = made("img");
      image.src = found.picture;
      image.alt = "Training images, as the network will see them";
      at("previewed").replaceChildren(...[...found.plan, ...found.notes].map((line) => made("p", line)), image);
    },
    runs(rows) {
      const text = JSON.stringify([rows, room.run]);
      if (text === room.rows) return; // what has the focus keeps it
      room.rows = text;
      const ticked = new Set([...at("rows").querySelectorAll("input:checked")].map((box) => box.value));
      const focused = document.activeElement?.dataset?.run;
      at("rows").replaceChildren(...rows.map((row) => {
        const line = made("tr");
        line.setAttribute("aria-selected", String(row.name === room.run));
        const box = made("input", "", made("td", "", line));
        box.type = "checkbox"; box.value = row.name; box.checked = ticked.has(row.name); box.disabled = !row.model;
        box.setAttribute("aria-label", `Compare ${row.name}`);
        box.addEventListener("change", window.train.chosen);
        const button = made("button", row.name, made("td", "", line));
        button.type = "button"; button.dataset.run = row.name;
        button.addEventListener("click", () => choose(row.name));
        [row.state, row.network, row.data, row.epochs || "", row.fault || row.result].forEach((cell) => made("td", String(cell), line));
        const last = made("td", "", line);
        if (row.report) {
          const link = made("a", "report", last);
          link.href = `/train/report?run=${encodeURIComponent(row.name)}`;
          link.target = "_blank"; link.rel = "noopener";
        }
        return line;
      }));
      if (focused) [...at("rows").querySelectorAll("button")].find((button) => button.dataset.run === focused)?.focus();
      window.train.chosen();
    },
    chosen() {
      const ticked = [...at("rows").querySelectorAll("input:checked")].map((box) => `run=${encodeURIComponent(box.value)}`);
      at("compare").hidden = !ticked.length;
      at("compare").href = `/train/compare?${ticked.join("&")}`;
    },
    // the answer to a tick: the state of the run, and what is new of it
    show(found) {
      room.busy = false;
      room.last = performance.now();
      if (found.gone) { at("state").textContent = found.gone; return; }
      if (found.name !== room.run) return;
      room.state = found.state;
      const works = ["training", "paused"].includes(found.state);
      const why = found.state === "failed" ? found.log.trim().split("\n").pop() : "";
      say(at("state"), [found.state, why, found.network, found.data && `on ${found.data}`, found.result].filter(Boolean).join(", "));
      say(at("pause"), ["paused", ...STOPPED].includes(found.state) ? "Resume" : "Pause");
      at("pause").disabled = !works && !STOPPED.includes(found.state);
      ["step", "snapshot"].forEach((name) => { at(name).disabled = !works; });
      at("stop").disabled = !works && found.state !== "starting";
      at("open").disabled = !found.model;
      [...at("values").elements].forEach((field) => { field.disabled = !works; });
      say(at("log"), found.log);
      if (found.view) { window.train.views += 1; seen(found.view); }
      if (found.curves) at("curves").replaceChildren(...[at("losses")].filter(Boolean), ...found.curves.map(chart));
    },
  };
})();
