// What pictures share: elements of SVG, round ticks, numbers as text.

/** An SVG element with attributes; a `text` becomes its text. */
function svgElement(name, { text, ...attributes }, ...children) {
  const element = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  if (text !== undefined) element.textContent = text;
  element.append(...children);
  return element;
}

/** Round numbers between two ends, about `count` of them. */
function roundTicks(low, high, count) {
  const rough = (high - low) / count;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = power * [1, 2, 5, 10].find((times) => times * power >= rough);
  const first = Math.ceil(low / step - 1e-9);
  const last = Math.floor(high / step + 1e-9);
  // Adding 0 turns −0 into 0.
  return Array.from({ length: Math.max(0, last - first + 1) }, (_, i) => +((first + i) * step).toPrecision(12) + 0);
}

/** Round numbers of a scale of factors: 1, 2 and 5 times powers of ten. */
function factorTicks(low, high) {
  const found = [];
  for (let power = Math.floor(Math.log10(low)); power <= Math.ceil(Math.log10(high)); power++) {
    for (const times of [1, 2, 5]) {
      const tick = +(times * 10 ** power).toPrecision(3);
      if (tick >= low * (1 - 1e-9) && tick <= high * (1 + 1e-9)) found.push(tick);
    }
  }
  return found;
}

const MINUS = /^-/;

/** A number with so many decimals, with a true minus and without −0. */
function decimals(x, places) {
  const text = x.toFixed(places);
  return Number(text) === 0 ? text.replace(MINUS, "") : text.replace(MINUS, "−");
}

/** Four significant digits. */
const fourDigits = (x) => String(+x.toPrecision(4)).replace(MINUS, "−");

/** A share of 1 in percent. */
function percent(share) {
  if (share < 0.001) return "< 0.1%";
  return share > 0.999 ? "> 99.9%" : `${decimals(100 * share, 1)}%`;
}

/** A factor from its log, as far as anybody reads it. */
function factor(log) {
  if (log > Math.log(1e6)) return "> 1,000,000";
  if (log < -Math.log(1e6)) return "< 1/1,000,000";
  if (log < 0) return `1/${factor(-log)}`;
  const times = Math.exp(log);
  return times >= 100 ? Math.round(times).toLocaleString("en") : String(+times.toPrecision(3));
}
