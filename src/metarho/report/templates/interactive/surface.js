// Quantities over two arguments of priors: colours, and the numbers under a pointer or the keys.

// Cividis at ninths: even steps of lightness for every kind of colour vision.
const CIVIDIS = ["#00224e", "#123570", "#3b496c", "#575d6d", "#707173", "#8a8678", "#a59c74", "#c3b369", "#e1cc55", "#fee838"].map(
  (hex) => [1, 3, 5].map((i) => parseInt(hex.slice(i, i + 2), 16)),
);
/** As many steps as the printed figure has. */
const BANDS = 12;

/** A colour for a share from 0 to 1. */
function colourOf(share) {
  const at = Math.min(Math.max(share, 0), 1) * (CIVIDIS.length - 1);
  const i = Math.min(Math.floor(at), CIVIDIS.length - 2);
  return CIVIDIS[i].map((c, k) => Math.round(c + (at - i) * (CIVIDIS[i + 1][k] - c)));
}

/** An axis of values in steps that are equal, or equal factors. */
function scaleOf({ values, is_scale: isFactor }) {
  const seen = isFactor ? Math.log : (x) => x;
  const [low, high] = [values[0], values[values.length - 1]];
  return {
    values,
    share: (x) => (seen(x) - seen(low)) / (seen(high) - seen(low)),
    ticks: isFactor ? factorTicks(low, high) : roundTicks(low, high, 5),
  };
}

function startSurface(root) {
  const data = JSON.parse(root.querySelector("script").textContent);
  const [x, y] = data.over.map(scaleOf);
  const columns = y.values.length;
  const numbers = data.quantities.map((one) => unpack(one.numbers, Float32Array));
  const [live, select, map, readout] = [".live", "select", ".map", "[data-readout]"].map((part) => root.querySelector(part));
  let at = data.at.map((value, side) => nearest([x, y][side], value));
  let size = null;

  const readOut = () => {
    const quantity = data.quantities[select.value];
    const value = numbers[select.value][at[0] * columns + at[1]];
    const places = data.over.map((one, side) => `${one.label} ${fourDigits(one.values[at[side]])}`);
    const written = quantity.is_factor ? timesWritten(value) : fourDigits(value);
    const text = Number.isNaN(value) ? "no value" : Number.isFinite(value) ? written : "beyond all numbers";
    readout.textContent = `${quantity.label}: ${text}, at ${places.join(", ")}`;
    Object.assign(readout.dataset, { x: x.values[at[0]], y: y.values[at[1]], value });
    if (size) crossHair(map, size, x.share(x.values[at[0]]), y.share(y.values[at[1]]));
  };
  const draw = () => {
    size = sizeOf(map.clientWidth);
    map.replaceChildren(pictureOf(data, numbers[select.value], [x, y], Number(select.value), size));
    readOut();
  };
  const move = (event) => {
    const box = map.getBoundingClientRect();
    const across = (event.clientX - box.left - size.left) / size.width;
    const up = 1 - (event.clientY - box.top - size.top) / size.height;
    if (across < 0 || across > 1 || up < 0 || up > 1) return;
    at = [across, up].map((share, side) => Math.round(share * ([x, y][side].values.length - 1)));
    readOut();
  };
  select.addEventListener("change", draw);
  map.addEventListener("pointermove", move);
  map.addEventListener("pointerdown", move);
  map.addEventListener("keydown", (event) => {
    const step = { ArrowRight: [1, 0], ArrowLeft: [-1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] }[event.key];
    if (!step) return;
    event.preventDefault();
    // With Shift ten cells at once.
    at = at.map((i, side) => Math.min(Math.max(i + step[side] * (event.shiftKey ? 10 : 1), 0), [x, y][side].values.length - 1));
    readOut();
  });
  live.hidden = false;
  root.classList.add("is-live");
  new ResizeObserver(draw).observe(map);
}

/** A Bayes factor, in powers of ten where these are shorter. */
function timesWritten(value) {
  return value >= 1e6 || value <= 1e-6 ? value.toExponential(2).replace("e+", "e") : factor(Math.log(value));
}

/** The place of the value nearest to a number. */
function nearest(scale, value) {
  const apart = scale.values.map((one) => Math.abs(scale.share(one) - scale.share(value)));
  return apart.indexOf(Math.min(...apart));
}

/** Where the picture lies in a box of a width. */
function sizeOf(whole) {
  const [left, right, top, bottom] = [40, 64, 26, 44];
  const width = Math.max(whole - left - right, 60);
  return { left, right, top, bottom, width, height: Math.round(Math.min(Math.max(0.75 * width, 220), 380)) };
}

function crossHair(map, { left, top, width, height }, across, up) {
  const [px, py] = [left + across * width, top + (1 - up) * height];
  const lines = [[px, px, top, top + height], [left, left + width, py, py]];
  map.querySelector(".cross").replaceChildren(
    ...lines.map(([x1, x2, y1, y2]) => svgElement("line", { x1, x2, y1, y2 })),
    svgElement("circle", { cx: px, cy: py, r: 4.5 }),
  );
}

/** Colours, both axes, the bar of colours and the prior sets as an SVG. */
function pictureOf(data, values, [x, y], which, size) {
  const { left, right, top, bottom, width, height } = size;
  const isFactor = data.quantities[which].is_factor;
  const seen = (v) => (isFactor ? Math.log10(v) : v);
  const known = [...values].map(seen).filter(Number.isFinite);
  const [low, high] = [Math.min(...known), Math.max(...known)];
  const shareOf = (v) => (high > low ? (seen(v) - low) / (high - low) : 0.5);
  const svg = svgElement("svg", { viewBox: `0 0 ${left + width + right} ${top + height + bottom}`, "aria-hidden": "true" });
  svg.append(
    svgElement("image", {
      x: left, y: top, width, height, preserveAspectRatio: "none",
      href: rasterOf(values, x.values.length, y.values.length, shareOf),
    }),
    svgElement("rect", { class: "frame", x: left, y: top, width, height }),
  );
  const label = (text, px, py, anchor) => svg.append(svgElement("text", { x: px, y: py, text, "text-anchor": anchor }));
  let last = -Infinity;
  for (const tick of x.ticks) {
    const px = left + x.share(tick) * width;
    // Words of ticks do not meet.
    if (px - last < 34) continue;
    last = px;
    label(fourDigits(tick), px, top + height + 15, "middle");
  }
  last = Infinity;
  for (const tick of y.ticks) {
    const py = top + (1 - y.share(tick)) * height;
    if (last - py < 16) continue;
    last = py;
    label(fourDigits(tick), left - 6, py + 4, "end");
  }
  label(data.over[0].label, left + width / 2, top + height + 36, "middle");
  label(data.over[1].label, 0, 12, "start");
  for (let band = 0; known.length && band < BANDS; band++) {
    const step = height / BANDS;
    svg.append(svgElement("rect", {
      x: left + width + 12, y: top + height - (band + 1) * step, width: 9, height: step + 0.5,
      fill: `rgb(${colourOf((band + 0.5) / BANDS)})`,
    }));
  }
  for (let i = 0; known.length && i <= 4; i++) {
    const v = low + ((high - low) * i) / 4;
    const text = isFactor ? timesWritten(10 ** v) : String(+v.toPrecision(3)).replace(MINUS, "−");
    label(text, left + width + 24, top + height * (1 - i / 4) + (i === 4 ? 9 : i === 0 ? 0 : 4), "start");
  }
  svg.append(svgElement("g", { class: "cross" }));
  svg.append(...placesOf(data.places, [x, y], size));
  return svg;
}

/** The prior sets that lie on it: points, with their names where these do not meet. */
function placesOf(places, [x, y], { left, top, width, height }) {
  const found = [];
  const taken = [];
  for (const [name, place] of Object.entries(places)) {
    const [px, py] = [left + x.share(place[0]) * width, top + (1 - y.share(place[1])) * height];
    if (px < left || px > left + width || py < top || py > top + height) continue;
    const text = name.length > 24 ? `${name.slice(0, 23)}…` : name;
    const isBefore = px > left + 0.6 * width;
    const from = isBefore ? px - 7 - 7 * text.length : px + 7;
    const to = from + 7 * text.length;
    const isFree = (at) => taken.every((box) => Math.abs(at - box.at) > 14 || to < box.from || from > box.to);
    const at = [py - 5, py + 15, py - 20, py + 30].find(isFree) ?? py - 5;
    taken.push({ at, from, to });
    found.push(
      svgElement("circle", { class: "place", cx: px, cy: py, r: 3.5 }),
      svgElement("text", { class: "place", x: px + (isBefore ? -7 : 7), y: at, text, "text-anchor": isBefore ? "end" : "start" }),
    );
  }
  return found;
}

/** The colours as a PNG in a data address, between the values by straight lines. */
function rasterOf(values, rows, columns, shareOf) {
  // Some 400 pixels a side, so that borders of colours are lines.
  const fine = Math.ceil(400 / Math.max(rows, columns));
  const [width, height] = [(rows - 1) * fine + 1, (columns - 1) * fine + 1];
  const canvas = document.createElement("canvas");
  [canvas.width, canvas.height] = [width, height];
  const context = canvas.getContext("2d");
  const image = context.createImageData(width, height);
  const shares = [...values].map(shareOf);
  for (let px = 0; px < width; px++) {
    for (let py = 0; py < height; py++) {
      const [i, j] = [Math.min(Math.floor(px / fine), rows - 2), Math.min(Math.floor(py / fine), columns - 2)];
      const [s, t] = [px / fine - i, py / fine - j];
      const corner = (a, b) => shares[(i + a) * columns + j + b];
      const share =
        (1 - s) * ((1 - t) * corner(0, 0) + t * corner(0, 1)) + s * ((1 - t) * corner(1, 0) + t * corner(1, 1));
      if (!Number.isFinite(share)) continue;
      const band = (Math.min(Math.floor(share * BANDS), BANDS - 1) + 0.5) / BANDS;
      image.data.set([...colourOf(band), 255], 4 * ((height - 1 - py) * width + px));
    }
  }
  context.putImageData(image, 0, 0);
  return canvas.toDataURL();
}
