// The page: what is given by file, paste, camera or pen goes to the network, one after the other; answers are shown.

import { inWords, numbersOf } from "./answers.js";
import { Camera } from "./camera.js";
import { Drawing } from "./drawing.js";
import { opened } from "./network.js";
import { Placing } from "./placing.js";
import { canvasIsExact, decoded, fileSource, sourceOf } from "./sources.js";
import { AnswerView, made, paintPixels } from "./view.js";

const MOST_RECENT = 500;
const byId = (id) => document.getElementById(id);
const config = JSON.parse(byId("config").textContent);
const view = new AnswerView(config, {
  ...Object.fromEntries(
    ["headline", "remark", "bars", "more", "scale", "seen", "times", "status"].map((id) => [id, byId(id)]),
  ),
  empty: byId("empty"), found: byId("found"), name: byId("image-name"),
});
let last = null; // what is shown now: {found, name, canvas, mirrored}
const controls = {
  opacity: byId("opacity"), least: byId("least"), leastTold: byId("least-told"), names: byId("names"),
};
const placing = new Placing(config, controls, () => last && present(last));

/** Shows an answer beside its image, and over it where it has a place. */
function present(shown) {
  last = shown;
  const found = placing.told(shown.found);
  view.show(found, shown.name);
  placing.draw(shown.canvas, found, shown.mirrored);
}

const network = opened(config, (share) => (byId("loaded").value = share));

network.then(
  () => {
    byId("loading").hidden = true;
    byId("status").textContent = "Ready. Nothing that you show leaves this device.";
    document.documentElement.dataset.state = "ready";
  },
  (error) => {
    byId("loading").hidden = true;
    document.documentElement.dataset.state = "failed";
    complain(`The network could not be started: ${error.message}`);
  },
);
if (!canvasIsExact()) {
  complain("This browser changes the pixels that pages read, against tracking. Answers may be wrong.");
}

function complain(text) {
  byId("complaint").textContent = text;
  byId("complaint").hidden = text === "";
}

// ---- ways to give an image

const ways = [...document.querySelectorAll('[role="tab"]')];

function choose(way) {
  for (const tab of ways) {
    const chosen = tab === way;
    tab.setAttribute("aria-selected", String(chosen));
    tab.tabIndex = chosen ? 0 : -1;
    byId(tab.getAttribute("aria-controls")).hidden = !chosen;
  }
  complain("");
  if (way.id !== "tab-camera") stopCamera();
}

for (const [index, tab] of ways.entries()) {
  tab.addEventListener("click", () => choose(tab));
  tab.addEventListener("keydown", (event) => {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (!step) return;
    const next = ways[(index + step + ways.length) % ways.length];
    choose(next);
    next.focus();
  });
}

// ---- files, dropped, chosen or pasted

let queue = Promise.resolve();

function take(files) {
  const images = [...files];
  if (images.length === 0) return;
  choose(byId("tab-image"));
  for (const file of images) queue = queue.then(() => takeOne(file));
}

async function takeOne(file) {
  const name = file.name || "pasted image";
  try {
    const image = await decoded(file);
    const source = await fileSource(file, image, config.preprocess);
    const found = await (await network).answers(source);
    remember(found, name, file);
    image.close?.();
  } catch (error) {
    complain(`${name}: ${error.message}`);
  }
}

byId("files").addEventListener("change", (event) => {
  take(event.target.files);
  event.target.value = "";
});
document.addEventListener("paste", (event) => take(event.clipboardData.files));
document.addEventListener("dragover", (event) => {
  event.preventDefault();
  byId("drop").classList.add("over");
});
for (const left of ["dragleave", "drop"]) {
  document.addEventListener(left, () => byId("drop").classList.remove("over"));
}
document.addEventListener("drop", (event) => {
  event.preventDefault();
  take(event.dataTransfer.files);
});
byId("paste").hidden = !navigator.clipboard?.read;
byId("paste").addEventListener("click", async () => {
  const items = await navigator.clipboard.read().catch(() => []);
  const images = items.flatMap((item) => item.types.filter((t) => t.startsWith("image/")).map((t) => item.getType(t)));
  if (images.length === 0) complain("The clipboard holds no image.");
  take(await Promise.all(images));
});

// ---- what was seen

const recent = byId("recent-list");

/** Shows an answer, and keeps a button that shows it again. */
function remember(found, name, file) {
  const button = made("button", "entry");
  const picture = document.createElement("canvas");
  paintPixels(picture, found.pixels, config.preprocess);
  button.append(picture, made("span", "what", inWords(found.answer)), made("span", "dim", name));
  button.type = "button";
  const decoded = JSON.stringify(numbersOf(found.answer));
  Object.assign(button.dataset, { name, answer: inWords(found.answer), decoded });
  button.addEventListener("click", () => showAgain(found, name, file, button));
  const item = made("li");
  item.append(button);
  recent.prepend(item);
  while (recent.children.length > MOST_RECENT) recent.lastChild.remove();
  byId("recent").hidden = recent.children.length < 2;
  showAgain(found, name, file, button);
}

let shown = "";

function showAgain(found, name, file, button) {
  const preview = byId("preview");
  URL.revokeObjectURL(shown);
  preview.src = shown = URL.createObjectURL(file);
  preview.alt = name;
  preview.hidden = false;
  byId("drop").classList.add("filled");
  for (const entry of recent.querySelectorAll(".entry")) entry.setAttribute("aria-pressed", String(entry === button));
  present({ found, name, canvas: byId("over-image") });
}

// ---- the camera

const camera = new Camera(
  byId("video"),
  async (video) => {
    const found = await (await network).answers(sourceOf(video, config.preprocess.channels));
    const mirrored = video.classList.contains("mirrored");
    if (camera.runs) present({ found, name: "camera", canvas: byId("over-camera"), mirrored });
  },
  complain,
);

async function startCamera() {
  complain("");
  await camera.start();
  showCamera();
}

function stopCamera() {
  camera.stop();
  showCamera();
}

function showCamera() {
  byId("camera-switch").textContent = camera.runs ? "Stop" : "Start the camera";
  byId("camera-turn").hidden = !camera.runs;
  byId("video").hidden = !camera.runs;
  byId("over-camera").hidden ||= !camera.runs;
  byId("no-video").hidden = camera.runs;
}

byId("camera-switch").addEventListener("click", () => (camera.runs ? stopCamera() : startCamera()));
byId("camera-turn").addEventListener("click", () => camera.turn().then(showCamera));
document.addEventListener("visibilitychange", showCamera);

// ---- the pen

if (config.draws) {
  let [busy, waiting] = [false, false];
  const drawing = new Drawing(byId("pad"), { lightInk: config.light_ink, changed: drawn });

  /** Looks at the drawing; what changes meanwhile is looked at afterwards, once. */
  async function drawn() {
    waiting = true;
    if (busy) return;
    busy = true;
    const ready = await network;
    while (waiting) {
      waiting = false;
      if (drawing.isEmpty) continue;
      view.show(await ready.answers(sourceOf(drawing.taken(), config.preprocess.channels)), "drawing");
    }
    busy = false;
  }
  byId("undo").addEventListener("click", () => drawing.undo());
  byId("clear").addEventListener("click", () => drawing.clear());
  byId("pen").addEventListener("input", (event) => {
    drawing.width = event.target.value / 100;
    drawing.repaint();
  });
  byId("centred").addEventListener("change", (event) => {
    drawing.centred = event.target.checked;
    drawing.repaint();
  });
  choose(byId("tab-draw"));
}
