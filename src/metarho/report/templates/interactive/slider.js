// Sliders over the widths of both priors, the numbers and densities under them.

const NOT_RESOLVED =
  "The nodes stored in this page do not resolve these priors, so there are no numbers here. Run metarho fit with them.";
/** Points of a density. */
const POINTS = 161;

/** How a reading is written. */
const WRITTEN = {
  mean: (x) => decimals(x, 3),
  sd: (x) => decimals(x, 3),
  median: (x) => decimals(x, 3),
  lower: (x) => decimals(x, 3),
  upper: (x) => decimals(x, 3),
  new_lower: (x) => decimals(x, 3),
  new_upper: (x) => decimals(x, 3),
  tau_mean: (x) => decimals(x, 3),
  tau_median: (x) => decimals(x, 3),
  log_evidence: (x) => decimals(x, 2),
  bf_mu: factor,
  bf_tau: factor,
  against_own: factor,
};

function startSlider(root) {
  const model = prepared(JSON.parse(root.querySelector("script").textContent));
  const inputs = [...root.querySelectorAll("input[type=range]")];
  const at = (parameter) => {
    const input = inputs.find((one) => one.dataset.parameter === parameter);
    return input ? model.decade ** Number(input.value) : 1;
  };
  const solved = (mu, tau) => {
    const fit = refit(model, mu, tau);
    return { fit, numbers: fit.resolved ? readings(model, fit) : null };
  };
  const own = solved(1, 1);
  const plots = [...root.querySelectorAll("svg[data-plot]")].map((svg) => plotOf(svg, model, own.fit));
  fill(root, "own", own.numbers, own.numbers);

  const show = () => {
    const here = solved(at("mu"), at("tau"));
    for (const input of inputs) {
      const prior = here.fit[input.dataset.parameter];
      input.setAttribute("aria-valuetext", prior.text);
      root.querySelector(`output[data-prior=${input.dataset.parameter}]`).textContent = prior.text;
    }
    root.querySelector("[data-status]").textContent = here.fit.resolved ? "" : NOT_RESOLVED;
    fill(root, "here", here.numbers, own.numbers);
    for (const plot of plots) plot(here.fit);
  };
  let waiting = false;
  // A drag moves faster than a refit: one a frame.
  const soon = () => {
    if (waiting) return;
    waiting = true;
    requestAnimationFrame(() => {
      waiting = false;
      show();
    });
  };
  for (const input of inputs) input.addEventListener("input", soon);
  root.querySelector("button[data-reset]").addEventListener("click", () => {
    for (const input of inputs) input.value = 0;
    show();
  });
  show();
  root.hidden = false;
}

/** Write a column of readings; what is not known is a dash. `data-value` has all digits. */
function fill(root, column, numbers, own) {
  const known = numbers && { ...numbers, against_own: own ? numbers.log_evidence - own.log_evidence : null };
  for (const cell of root.querySelectorAll(`[data-${column}]`)) {
    const name = cell.dataset[column];
    const value = known?.[name];
    const isKnown = Number.isFinite(value);
    cell.textContent = isKnown ? (WRITTEN[name] ?? percent)(value) : "–";
    cell.dataset.value = isKnown ? value : "";
  }
}

/** A picture of a prior and a posterior: a function that draws another fit beside the own one. */
function plotOf(svg, model, own) {
  const isMean = svg.dataset.plot === "mean";
  const onR = isMean && model.scale === "z";
  const [width, height, left, bottom] = [360, 190, 10, 28];
  const lawOf = (fit) => (isMean ? fit.mean : fit.heterogeneity);
  const priorOf = (fit) => (isMean ? fit.mu : fit.tau);
  const seen = onR ? Math.tanh : (x) => x;
  // 0 is where readers begin; both ends have room for what wider priors do.
  const [first, last] = [0.001, 0.999].map((share) => seen(lawOf(own).quantile(share)));
  const room = 0.35 * (last - first);
  const low = isMean ? Math.max(onR ? -1 : -Infinity, Math.min(0, first) - room) : 0;
  const high = onR ? Math.min(1, Math.max(0, last) + room) : Math.max(0, last) + room;
  const xs = Array.from({ length: POINTS }, (_, i) => low + ((high - low) * (i + 0.5)) / POINTS);
  const toX = (x) => left + ((x - low) / (high - low)) * (width - 2 * left);
  const density = (f) => xs.map((x) => (onR ? f(Math.atanh(x)) / (1 - x * x) : f(x)));
  const ownHeights = density(lawOf(own).density);
  const draw = (fit) => {
    const heights = fit.resolved ? density(lawOf(fit).density) : [];
    const most = Math.max(...ownHeights, ...heights) * 1.06;
    const line = (values, kind) => {
      const points = values.map((h, i) => `${toX(xs[i]).toFixed(1)},${(height - bottom - (Math.min(h, most) / most) * (height - bottom - 4)).toFixed(1)}`);
      return svgElement("polyline", { class: kind, points: points.join(" ") });
    };
    const axis = svgElement("line", { class: "axis", x1: left, x2: width - left, y1: height - bottom, y2: height - bottom });
    const ticks = roundTicks(low, high, 5).map((tick) =>
      svgElement("text", { x: toX(tick), y: height - bottom + 17, text: fourDigits(tick), "text-anchor": "middle" }),
    );
    svg.replaceChildren(
      axis,
      ...ticks,
      line(density((x) => Math.exp(priorOf(fit).log(x))), "prior"),
      line(ownHeights, "own"),
      line(heights, "here"),
    );
  };
  svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
  return draw;
}
