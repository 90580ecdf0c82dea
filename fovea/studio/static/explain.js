// The room "Explain": the fields of a question, the pictures that answer it, the checks, and what is alike.
"use strict";
(() => {
  const page = { offered: null, form: null, timer: null, fields: {} };
  const by = (id) => document.getElementById(id);
  const make = (tag, attributes = {}, ...children) => {
    const element = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes)) {
      if (value !== undefined && value !== false) element.setAttribute(name, value === true ? "" : value);
    }
    element.append(...children);
    return element;
  };
  const labelled = (text, ...fields) => make("label", {}, text, ...fields);
  const options = (select, pairs, chosen) => {
    select.replaceChildren(...pairs.map(([value, text]) => {
      const option = make("option", {}, text);
      option.value = value;
      return option;
    }));
    select.value = chosen;
    return select;
  };

  // asks at most ten times a second; the server works on the newest question only
  const ask = () => {
    clearTimeout(page.timer);
    page.timer = setTimeout(() => emitEvent("explain", page.form), 100);
  };
  const text = (name, label, list) => {
    const input = make("input", { list, autocomplete: "off", spellcheck: "false" });
    input.value = page.form[name];
    input.addEventListener("change", () => { page.form[name] = input.value; page.form.at = null; ask(); });
    page.fields[name] = labelled(label, input);
    return page.fields[name];
  };
  const choice = (name, label, pairs, changed = () => {}) => {
    const select = options(make("select", { class: "plain" }), pairs, page.form[name]);
    select.addEventListener("change", () => { page.form[name] = select.value; changed(); ask(); });
    page.fields[name] = labelled(label, select);
    return page.fields[name];
  };
  const datalist = (id, values) => make("datalist", { id }, ...values.map((value) => {
    const option = make("option");
    option.value = value;
    return option;
  }));

  const settle = (name, value) => { page.form.settings[name] = String(value); ask(); };
  const number = (control, given) => {
    const value = given ?? String(control.value);
    const field = make("input", { type: "number", min: control.least, max: control.most, step: control.whole ? 1 : "any", placeholder: "auto" });
    const slider = make("input", { type: "range", min: control.least, max: control.usual, step: control.step, "aria-label": `${control.name}, slider` });
    [field.value, slider.value] = [value, value === "" ? control.least : value];
    slider.addEventListener("input", () => { field.value = slider.value; settle(control.name, slider.value); });
    field.addEventListener("change", () => { slider.value = field.value; settle(control.name, field.value); });
    return make("div", { class: "setting" }, labelled(control.name.replaceAll("_", " "), field), slider);
  };
  const setting = (control) => {
    const given = page.form.settings[control.name];
    if (control.kind === "slider") return number(control, given);
    if (control.kind === "word") {
      const select = options(make("select", { class: "plain" }), control.words.map((word) => [word, word]), given ?? control.value);
      select.addEventListener("change", () => settle(control.name, select.value));
      return labelled(control.name, select);
    }
    const box = make("input", { type: "checkbox" });
    box.checked = given === undefined ? control.value : given === "true";
    box.addEventListener("change", () => settle(control.name, box.checked));
    return labelled(control.name, box);
  };

  // what the chosen method, and what stands beside it, need
  const fit = () => {
    const method = page.offered.methods.find((each) => each.name === page.form.method);
    by("explain-settings").replaceChildren(...(method ? method.settings.map(setting) : []));
    by("explain-source").textContent = method ? method.source : "";
    page.fields.layer.hidden = !method || !method.layered;
    page.fields.other.hidden = page.form.beside === "";
    page.fields.second.hidden = page.form.beside !== "network";
  };

  const place = (frame, size, event) => {
    const box = frame.getBoundingClientRect();
    const at = (value, low, length, pixels) => Math.min(pixels - 1, Math.max(0, Math.floor((value - low) / length * pixels)));
    return [at(event.clientX, box.left, box.width, size[0]), at(event.clientY, box.top, box.height, size[1])];
  };
  const point = (at) => { page.form.at = at; ask(); };
  const cross = (frame, size) => {
    const mark = make("i", { class: "cross", hidden: true });
    let at = page.form.at || [size[0] >> 1, size[1] >> 1];
    const show = () => {
      mark.hidden = false;
      mark.style.left = `${(at[0] + 0.5) / size[0] * 100}%`;
      mark.style.top = `${(at[1] + 0.5) / size[1] * 100}%`;
    };
    if (page.form.at) show();
    frame.tabIndex = 0;
    frame.setAttribute("role", "application");
    frame.setAttribute("aria-label", "The image; click what is to be explained, or move the cross by arrow keys and press Enter");
    frame.addEventListener("click", (event) => { at = place(frame, size, event); show(); point(at); });
    frame.addEventListener("keydown", (event) => {
      const step = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key];
      const pace = Math.max(1, Math.round(size[0] / 64));
      if (step) {
        at = at.map((value, axis) => Math.min(size[axis] - 1, Math.max(0, value + pace * step[axis])));
        show();
      } else if (event.key === "Enter") point(at);
      else return;
      event.preventDefault();
    });
    return mark;
  };

  const picture = (panel, number) => {
    const frame = make("div", { class: "overlaid" });
    const image = (source, alt, kind) => {
      const made = make("img", { alt, class: kind });
      made.src = source;
      return made;
    };
    frame.append(image(panel.image, "The image", "pixelated"), image(panel.heat, `Where the evidence for ${panel.title} lies`, "heat"));
    if (page.offered.placed) frame.append(cross(frame, panel.size));
    const bars = make("div", { id: `explain-bars-${number}` });
    return make("figure", {}, frame,
      make("figcaption", {}, make("b", {}, panel.title), make("p", {}, panel.words), make("p", { class: "soft" }, panel.colours),
        ...panel.checks.map(([words, passed]) => make("p", { class: passed ? "passed" : "failed" }, `${passed ? "\u2713" : "\u2717"} ${words}`)), bars));
  };

  const curve = (name, lines) => {
    const size = [200, 110];
    const values = Object.values(lines).flat().map(([, value]) => value);
    const [low, high] = [Math.min(0, ...values), Math.max(...values, 1e-9)];
    const space = "http://www.w3.org/2000/svg";
    const svg = document.createElementNS(space, "svg");
    svg.setAttribute("viewBox", `0 0 ${size[0]} ${size[1]}`);
    svg.setAttribute("role", "img");
    svg.setAttribute("aria-label", `${name}: the answer as pixels come or go, from ${low.toFixed(2)} to ${high.toFixed(2)}`);
    Object.values(lines).forEach((points, number) => {
      const line = document.createElementNS(space, "polyline");
      line.setAttribute("class", `line${number}`);
      line.setAttribute("points", points.map(([x, y]) => `${x * size[0]},${size[1] - (y - low) / (high - low) * size[1]}`).join(" "));
      svg.append(line);
    });
    const names = Object.keys(lines).map((who, number) => make("span", { class: `name${number}` }, who));
    const scale = make("p", { class: "soft" }, `from 0 to 100 % of the pixels; from ${low.toFixed(2)} to ${high.toFixed(2)}`);
    return make("figure", { class: "curve" }, make("figcaption", {}, name, " ", ...names), svg, scale);
  };

  window.explain = {
    begin(offered, form) {
      [page.offered, page.form] = [offered, form];
      const classes = datalist("explain-classes", offered.classes);
      const layers = datalist("explain-layers", offered.layers);
      const networks = [["", offered.networks.length ? "choose ..." : "no model file in this folder"], ...offered.networks.map((name) => [name, name])];
      if (form.second && !offered.networks.includes(form.second)) networks.push([form.second, form.second]);
      const fields = [
        choice("method", "Method", offered.methods.map((each) => [each.name, each.title]), () => { page.form.settings = {}; fit(); }),
        ...(offered.classes.length ? [text("answer", "Answer", "explain-classes"), text("rather", "Rather than", "explain-classes")] : []),
        text("layer", "Layer", "explain-layers"),
        ...(offered.placed ? [text("object", "Object", undefined)] : []),
        choice("beside", "Beside it", Object.entries(offered.beside), fit),
        text("other", "Its answer", "explain-classes"),
        choice("second", "Second network", networks),
      ];
      by("explain-controls").replaceChildren(classes, layers, make("div", { class: "settings" }, ...fields),
        make("p", { class: "soft", id: "explain-source" }), make("div", { class: "settings", id: "explain-settings" }));
      for (const name of ["answer", "rather", "layer", "other"]) {
        if (page.fields[name]) page.fields[name].querySelector("input").placeholder = name === "rather" ? "nothing" : "its own choice";
      }
      const opacity = by("explain-opacity");
      const cover = () => by("explain-panels").style.setProperty("--cover", opacity.value / 100);
      opacity.addEventListener("input", cover);
      cover();
      by("explain-stop").addEventListener("click", () => emitEvent("stopped", ""));
      this.indices(offered.indices);
      fit();
    },
    indices(names) {
      if (!names.length) {
        by("explain-indices").replaceChildren(make("p", { class: "soft" }, "There is no index in this folder; the command fovea index makes one."));
        return;
      }
      const select = options(make("select", { class: "plain" }), names.map((name) => [name, name]), names[0]);
      const find = make("button", { class: "plain", type: "button" }, "Find");
      find.addEventListener("click", () => emitEvent("nearest", select.value));
      by("explain-indices").replaceChildren(labelled("Index", select), " ", find);
    },
    // another image: what was said of the last one goes
    fresh() {
      page.form.at = null;
      by("explain-trust").replaceChildren();
      by("explain-near").replaceChildren();
    },
    progress(share, title) {
      const box = by("explain-progress");
      box.hidden = false;
      const bar = box.querySelector("progress");
      if (share > 0) bar.value = share; else bar.removeAttribute("value");
      box.querySelector("span").textContent = title;
    },
    done(fault) {
      by("explain-progress").hidden = true;
      by("explain-error").textContent = fault;
    },
    panels(panels) {
      by("explain-panels").replaceChildren(...panels.map(picture));
      if (page.form.beside === "network") panels.forEach((panel, number) => image.bars(panel.bars.slice(0, 3), `explain-bars-${number}`));
    },
    trust(found) {
      const head = make("tr", {}, ...found.heads.map((text) => make("th", { scope: "col" }, text)));
      const rows = found.rows.map(([name, ...values]) => make("tr", {}, make("th", { scope: "row" }, name), ...values.map((value) => make("td", {}, value))));
      by("explain-trust").replaceChildren(
        make("table", { class: "terms" }, make("thead", {}, head), make("tbody", {}, ...rows)),
        ...Object.entries(found.curves).map(([name, lines]) => curve(name, lines)),
        ...found.lines.map((line) => make("p", {}, line)));
    },
    near(found) {
      const figures = found.found.map((each) => {
        const words = make("figcaption", {}, make("b", {}, each.label), " ", each.distance);
        words.title = each.name;
        if (!each.image) return make("figure", {}, words, make("p", { class: "soft" }, each.name));
        const shown = make("img", { alt: each.name, class: "pixelated" });
        shown.src = each.image;
        return make("figure", {}, shown, words);
      });
      by("explain-near").replaceChildren(make("p", { class: "soft" }, found.said), make("div", { class: "near" }, ...figures));
    },
  };
})();
