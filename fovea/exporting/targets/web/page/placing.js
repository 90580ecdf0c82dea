// The controls of what lies on an image: how opaque masks are, from which score on boxes are told, and names.

import { overlaid } from "./overlay.js";
import { told } from "./placed.js";

/** What is drawn over images, as the controls have it; `changed()` is called when one of them is moved. */
export class Placing {
  constructor({ places }, { opacity, least, leastTold, names }, changed) {
    this.options = { opacity: 0.5, least: places.least ?? 0, names: names?.checked ?? true };
    const follow = (control, read) => control?.addEventListener("input", () => {
      read(control);
      changed();
    });
    follow(opacity, ({ value }) => (this.options.opacity = value / 100));
    follow(names, ({ checked }) => (this.options.names = checked));
    follow(least, ({ value }) => {
      this.options.least = value / 100;
      leastTold.textContent = `${value} %`;
    });
  }

  /** Returns what was found with the boxes that the least score leaves; other answers as they are. */
  told(found) {
    const { all } = found.answer;
    return all ? { ...found, answer: { ...found.answer, ...told(all, this.options.least) } } : found;
  }

  /** Draws what was found on a canvas over its image, where it has a place. */
  draw(canvas, { answer }, mirrored = false) {
    if (answer.kind) overlaid(canvas, answer, this.options, mirrored);
  }
}
