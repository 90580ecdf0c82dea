// What a model's outputs say: the same decisions as `fovea predict`.
//
// A model has `classes`, none where it predicts a number; it may be `several` of them, or they may be `ordered`.

import { largest } from "./decoding.js";

/**
 * Returns {rows, chosen, value} of one row of outputs.
 *
 * `decoded` are probabilities in the order of the classes, or one number; `present` tells of each label whether it is
 * above its threshold. `rows` are {name, probability, threshold, chosen}, in the order in which they are shown.
 */
export function answer(model, decoded, present) {
  if (model.classes.length === 0) return { rows: [], chosen: [], value: decoded[0] };
  const rows = model.classes.map((name, index) => ({
    name, index, probability: decoded[index], threshold: model.target.thresholds?.[index] ?? null, chosen: false,
  }));
  for (const index of chosen(model, decoded, present)) rows[index].chosen = true;
  const shown = model.ordered ? rows : ranked(rows);
  return { rows: shown, chosen: shown.filter((row) => row.chosen), value: null };
}

/** Returns the numbers of an answer: probabilities in the order of the classes, the number, or places and scores. */
export function numbersOf(found) {
  if (found.numbers !== undefined) return found.numbers;
  if (found.value !== null) return [found.value];
  return [...found.rows].sort((a, b) => a.index - b.index).map((row) => row.probability);
}

function chosen(model, decoded, present) {
  if (model.several) {
    return model.classes.map((_, index) => index).filter((index) => isPresent(model, decoded, present, index));
  }
  return [model.ordered ? median(decoded) : largest(decoded)];
}

function isPresent(model, decoded, present, index) {
  return present ? Boolean(present[index]) : decoded[index] > model.target.thresholds[index];
}

/** Returns the highest grade that is reached with a probability above 1/2: its expected error is the least. */
function median(probabilities) {
  let [grade, below] = [0, 0];
  for (let i = 0; i < probabilities.length - 1; i++) {
    below += probabilities[i];
    if (1 - below > 0.5) grade++;
  }
  return grade;
}

/** Returns the rows by falling probability; equal ones stay in the order of the classes. */
function ranked(rows) {
  return [...rows].sort((a, b) => b.probability - a.probability || a.index - b.index);
}

/** Returns the answer in words: the class, the labels that are present, the grade, the number, or what lies there. */
export function inWords(found) {
  if (found.words !== undefined) return found.words;
  if (found.value !== null) return number(found.value);
  return found.chosen.map((row) => row.name).join(", ") || "none";
}

/** Returns a number with six significant digits, without zeros at the end. */
export function number(value) {
  return String(Number(value.toPrecision(6)));
}

/** Returns a share as a person reads it. */
export function percent(share) {
  if (share > 0 && share < 0.0005) return "< 0.1 %";
  return `${(100 * share).toFixed(1)} %`;
}
