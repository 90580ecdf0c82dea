// What the page shows of an answer: a headline, bars, a scale for numbers. All text is set as text, never as HTML.

import { inWords, percent } from "./answers.js";
import { css } from "./overlay.js";

const SHOWN = 5;
const SHOWN_WHOLE = 12; // answers of so few rows are shown whole

/** The part of the page that shows answers. */
export class AnswerView {
  constructor(config, elements) {
    this.config = config;
    this.elements = elements;
    this.whole = false;
    elements.more.addEventListener("click", () => {
      this.whole = !this.whole;
      this.bars(this.last.answer);
    });
  }

  /** Shows {answer, pixels, times} of the image called `name`. */
  show(found, name) {
    const { elements, config } = this;
    this.last = found;
    elements.empty.hidden = elements.status.hidden = true;
    elements.found.hidden = false;
    elements.headline.textContent = inWords(found.answer);
    elements.remark.textContent = this.remark(found.answer);
    elements.name.textContent = name;
    const [prepared, answered] = found.times.map(milliseconds);
    elements.times.textContent = `${prepared} to prepare, ${answered} to answer`;
    paintPixels(elements.seen, found.pixels, config.preprocess);
    if (found.answer.value === null) this.bars(found.answer);
    else this.scale(found.answer.value);
  }

  remark(answer) {
    const { classes, several, ordered, places } = this.config;
    if (answer.value !== null) return "";
    if (places.kind) return places.remark;
    if (several) return `${answer.chosen.length} of ${classes.length} labels are above their thresholds`;
    const sure = percent(answer.chosen[0].probability);
    if (ordered) return `${sure} this grade; the answer is the middle of what is likely`;
    return `${sure} sure`;
  }

  bars(answer) {
    const { bars, more } = this.elements;
    const all = answer.rows.length;
    const { several, ordered, places } = this.config;
    const fits = all <= SHOWN_WHOLE && (several || ordered || places.kind !== undefined);
    const count = fits || this.whole ? all : Math.min(SHOWN, all);
    bars.replaceChildren(...answer.rows.slice(0, count).map(bar));
    bars.hidden = false;
    more.hidden = fits || all <= SHOWN;
    more.textContent = this.whole ? "Show fewer" : `Show all ${all.toLocaleString("en")}`;
    more.setAttribute("aria-expanded", String(this.whole));
  }

  /** Shows a number on the scale of the numbers that the network learned from. */
  scale(value) {
    const { mean, std } = this.config.target;
    const [low, high] = [Math.min(mean - 3 * std, value), Math.max(mean + 3 * std, value)];
    const place = (at) => `${((100 * (at - low)) / (high - low || 1)).toFixed(2)}%`;
    const { scale } = this.elements;
    const [usual, mark] = [made("div", "usual"), made("div", "mark")];
    usual.style.left = place(mean - 2 * std);
    usual.style.width = `${(100 * 4 * std) / (high - low || 1)}%`;
    mark.style.left = place(value);
    const line = made("div", "line");
    line.append(usual, mark);
    const [least, most] = [rough(mean - 2 * std), rough(mean + 2 * std)];
    const words = `Most of the numbers that it learned from lie from ${least} to ${most}.`;
    scale.replaceChildren(line, made("p", "dim", words));
    scale.hidden = false;
  }
}

/** Paints pixels (H, W, C) uint8 on a canvas of their size. */
export function paintPixels(canvas, pixels, { size: [H, W], channels }) {
  [canvas.width, canvas.height] = [W, H];
  const image = new ImageData(W, H);
  for (let i = 0; i < W * H; i++) {
    for (let c = 0; c < 3; c++) image.data[4 * i + c] = pixels[i * channels + (channels === 3 ? c : 0)];
    image.data[4 * i + 3] = 255;
  }
  canvas.getContext("2d").putImageData(image, 0, 0);
}

function bar(row) {
  const item = made("li", row.chosen ? "chosen" : "");
  const track = made("div", "track");
  const fill = made("div", "fill");
  fill.style.width = `${Math.min(Math.max(100 * row.probability, 0), 100)}%`;
  track.append(fill);
  if (row.threshold != null) {
    const threshold = made("div", "threshold");
    threshold.style.left = `${100 * row.threshold}%`;
    track.append(threshold);
    item.title = `present above ${percent(row.threshold)}`;
  }
  if (row.colour) fill.style.background = css(row.colour);
  const words = row.threshold != null && row.chosen ? `${row.name}, present` : row.name;
  item.setAttribute("aria-label", `${words}: ${percent(row.probability)}`);
  item.append(made("span", "name", row.name), made("span", "share", percent(row.probability)), track);
  return item;
}

/** Returns a new element with a class and a text. */
export function made(tag, className = "", text = "") {
  const element = document.createElement(tag);
  element.className = className;
  element.textContent = text;
  return element;
}

function rough(value) {
  return String(Number(value.toPrecision(3)));
}

function milliseconds(value) {
  return value < 10 ? `${value.toFixed(1)} ms` : `${Math.round(value)} ms`;
}
