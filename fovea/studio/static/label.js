// The room "Label": what is pressed, what is said of the image, and what the server keeps.
"use strict";
(() => {
  const by = (id) => document.getElementById(id);
  const element = (name, text, attributes = {}) => {
    const made = document.createElement(name);
    made.textContent = text;
    for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
    return made;
  };
  const room = { set: null, item: null, current: 0, value: null, proposal: null, timer: null };
  const onImage = () => ["boxes", "polygons", "points", "brush"].includes(room.set.kind);
  const tool = () => ({ brush: window.labelBrush }[room.set.kind] || window.labelShapes);

  const send = (what, more = {}) => {
    if (!room.item) return;
    if (what !== "give") flush();
    emitEvent("label", { do: what, image: room.item.image, ...more });
  };
  // keys that move a box come fast: they are kept together, and before anything else happens
  const flush = () => {
    if (!room.timer) return;
    clearTimeout(room.timer);
    room.timer = null;
    emitEvent("label", { do: "give", image: room.item.image, label: room.pending });
  };
  const give = (value, { later = false, further = false } = {}) => {
    room.value = value;
    room.pending = value;
    clearTimeout(room.timer);
    room.timer = null;
    if (later) room.timer = setTimeout(flush, 250);
    else send("give", { label: value, further });
    mark();
  };

  // ---- the classes
  const choose = (index) => {
    const { kind, classes } = room.set;
    const name = classes[index];
    if (name === undefined) return;
    if (kind === "classes" || kind === "grade") give(name, { further: true });
    else if (kind === "labels") {
      const now = room.value || [];
      give(classes.filter((each) => (each === name) !== now.includes(each)));
    } else {
      room.current = index;
      if (kind !== "brush") window.labelShapes.choose(index);
      mark();
    }
  };
  const mark = () => {
    const { kind, classes } = room.set;
    document.querySelectorAll("#label-classes button[data-class]").forEach((button) => {
      const index = Number(button.dataset.class);
      const name = classes[index];
      const on = kind === "labels" ? (room.value || []).includes(name)
        : onImage() ? index === room.current : room.value === name;
      button.setAttribute("aria-pressed", String(on));
      const asked = Array.isArray(room.proposal) ? room.proposal.includes(name) : room.proposal === name;
      button.classList.toggle("proposed", !onImage() && room.value === null && asked);
      if (kind === "points") button.querySelector(".state").textContent =
        ["not there", "hidden", "visible"][(window.labelShapes.points()[index] || [0, 0, 0])[2]];
    });
  };
  const buttons = () => {
    const { kind, classes, keys, colours } = room.set;
    const made = classes.map((name, index) => {
      const button = element("button", "", { type: "button", class: "plain class", "data-class": index });
      const key = element("kbd", keys[index] || "");
      const dot = element("span", "", { class: "dot" });
      dot.style.background = colours[index];
      button.append(key, ...(onImage() ? [dot] : []), element("span", name, { class: "word" }));
      if (kind === "points") button.append(element("span", "", { class: "state soft" }));
      if (keys[index]) button.setAttribute("aria-keyshortcuts", keys[index]);
      button.addEventListener("click", () => { choose(index); if (onImage()) focusStage(); });
      return button;
    });
    by("label-classes").replaceChildren(...(classes.length > keys.length ? [finding(made)] : []), ...made, ...(kind === "number" ? [number()] : kind === "points" ? [] : [adding()]));
  };
  // of many classes only those are shown whose name holds what is typed; Enter takes the first
  const finding = (made) => {
    const field = element("input", "", { class: "plain", type: "search", "aria-label": "Find a class", placeholder: "find a class" });
    const names = room.set.classes.map((name) => name.toLowerCase());
    field.addEventListener("input", () => made.forEach((button, index) => { button.hidden = !names[index].includes(field.value.toLowerCase()); }));
    field.addEventListener("keydown", (event) => {
      if (event.key !== "Enter") return;
      event.preventDefault();
      event.stopPropagation();
      made.find((button) => !button.hidden)?.click();
      field.select();
    });
    return field;
  };
  const number = () => {
    const field = element("input", "", { id: "label-number", class: "plain", inputmode: "decimal", "aria-label": "Number" });
    field.addEventListener("keydown", (event) => {
      if (event.key !== "Enter") return;
      event.preventDefault();
      event.stopPropagation();
      const text = field.value.trim() || (room.proposal ?? "");
      if (text !== "") give(text, { further: true });
    });
    return field;
  };
  const adding = () => {
    const form = element("form", "", { class: "adding" });
    const field = element("input", "", { class: "plain", "aria-label": "A new class", placeholder: "new class", maxlength: 200 });
    form.append(field, element("button", "Add", { class: "plain", type: "submit" }));
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      if (field.value.trim()) send("class", { name: field.value });
    });
    return form;
  };
  const focusStage = () => { if (room.set.kind === "brush") window.labelBrush.focus(); };

  // ---- what is pressed
  const press = (what) => {
    if (what === "enter") return enter();
    if (what === "clear") { room.value = null; room.told = true; send("give", { label: null }); if (onImage()) tool().show({ ...room.item, label: null, mask: null }); mark(); return; }
    send(what);
  };
  const enter = () => {
    if (room.set.proposes && !room.told && room.value === null && !(onImage() && tool().begun())) {
      by("label-said").textContent = "The network still looks at the image ...";
      return;
    }
    const waits = onImage() ? tool().waiting() : room.value === null && room.proposal !== null;
    if (onImage()) {
      if (waits) { tool().accept(); return; }
      const value = room.set.kind === "brush" ? null : tool().value();
      if (room.value === null && room.set.kind !== "brush") give(value, { further: true });
      else if (room.value === null) send("paint", { path: [-900, -900], radius: 1, label: null, further: true });
      else send("skip");
    } else if (waits) send("accept", { further: true });
    else if (room.set.kind === "labels" && room.value === null) give([], { further: true });
    else send("skip");
  };
  const typing = (target) => target.closest("input, textarea, select");
  document.addEventListener("keydown", (event) => {
    if (!room.item || event.altKey || typing(event.target)) return;
    if ((event.ctrlKey || event.metaKey) && !event.key.startsWith("Arrow")) {
      if (event.key.toLowerCase() !== "z") return;
      event.preventDefault();
      press("undo");
      return;
    }
    if (onImage() && tool().key(event)) { event.preventDefault(); return; }
    const steps = { ArrowLeft: "previous", ArrowRight: "next", Backspace: "skip" };
    const index = room.set.keys.indexOf(event.key.toLowerCase());
    if (event.key === "Enter" && !event.target.closest("button, summary, a")) press("enter");
    else if (steps[event.key] && !event.shiftKey && !event.ctrlKey) press(steps[event.key]);
    else if (index >= 0 && event.key.length === 1) choose(index);
    else return;
    event.preventDefault();
  });
  addEventListener("pagehide", flush);

  const KEYS = {
    labels: "Keys of the labels switch them on and off; Enter goes on, without any it says that none applies.",
    number: "Type the number; Enter keeps it and goes on.",
    boxes: "Drag a box. Tab chooses a box; arrows move it, Shift with arrows resizes it (Ctrl: ten pixels); Delete removes it; Insert makes one in the middle; a class key changes the class. Enter accepts what is proposed (dashed), then goes on.",
    polygons: "Click the corners; Enter or a click on the first corner closes. Tab chooses a polygon or a corner; arrows move it (Ctrl: ten pixels); Delete removes it; on a corner Insert adds one behind it, else it makes a polygon in the middle. Enter accepts what is proposed (dashed), then goes on.",
    points: "Click where the next point is. A class key or Tab chooses a point; arrows move it (Ctrl: ten pixels); Space: visible, hidden; Delete: not there; Insert puts it in the middle. Enter accepts what is proposed (dashed), then goes on.",
    brush: "Drag over the pixels. [ and ] change the size, 0 is the eraser; with the image chosen by Tab arrows move the brush (Ctrl: ten pixels) and Space covers. Enter accepts what is proposed, then goes on.",
  };

  window.label = {
    room, give, mark, send, press,
    begin(set) {
      room.set = set;
      buttons();
      by("label-keys").textContent = `${KEYS[set.kind] || "The key of a class says it, and the next image comes; Enter accepts what is proposed."} Left and Right go to other images, Backspace to the next without a label, Ctrl-Z takes the last step back.`;
      by("label-question").textContent = { points: "Points", number: "The number" }[set.kind] || "Classes";
      by("label-stage").classList.toggle("on-image", onImage());
      if (onImage()) tool().begin(set);
    },
    classes(set) { room.set = set; buttons(); if (onImage()) tool().know(set); mark(); },
    show(item) {
      clearTimeout(room.timer);
      room.timer = null;
      Object.assign(room, { item, value: item.label, proposal: null, told: Boolean(item.error) });
      const [h, w] = item.size;
      const stage = by("label-stage");
      stage.style.aspectRatio = `${w} / ${h}`;
      stage.style.width = `min(100%, ${(70 * w / h).toFixed(2)}vh)`;
      const picture = by("label-picture");
      picture.src = item.picture;
      picture.classList.toggle("pixelated", Math.max(h, w) <= 128);
      by("label-name").textContent = item.name;
      by("label-error").textContent = item.error || "";
      by("label-said").textContent = "";
      const field = by("label-number");
      if (field) { field.value = item.label ?? ""; field.focus(); }
      if (room.set.kind === "brush") room.value = item.label ? [] : null;
      if (onImage()) tool().show(item);
      window.label.kept(item);
      const address = new URL(room.set.address, location.origin);
      address.searchParams.set("image", item.name);
      history.replaceState(history.state, "", address);
      window.label.shown = (window.label.shown || 0) + 1;
    },
    kept(counts) {
      by("label-progress").max = counts.total;
      by("label-progress").value = counts.done;
      by("label-count").textContent = `${counts.done} of ${counts.total} labelled; image ${counts.place} of the order`;
      document.querySelector('[data-do="undo"]').disabled = !counts.undo;
      by("label-stage").dataset.done = counts.done;
      mark();
    },
    propose(image, proposal, text) {
      if (!room.item || room.item.image !== image || room.value !== null) return;
      room.proposal = proposal;
      room.told = true;
      by("label-said").textContent = `The network says: ${text}`;
      const field = by("label-number");
      if (field) field.placeholder = proposal ?? "";
      if (onImage() && proposal !== null) tool().propose(proposal);
      window.label.proposed = (window.label.proposed || 0) + 1;
      mark();
    },
    refuse(text) { by("label-error").textContent = text; },
  };
})();
