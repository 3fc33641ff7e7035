// Gauss–Legendre panels in u with x = centre + scale·sinh(u): engines/exact/panels.py.

/** Legendre polynomials P_0 … P_{count−1} at a place. */
function legendre(t, count) {
  const values = [1, t];
  for (let n = 1; n + 1 < count; n++) {
    values.push(((2 * n + 1) * t * values[n] - n * values[n - 1]) / (n + 1));
  }
  return values;
}

/** Nodes and weights of the rule of an order, by Newton's method. */
function gauss(order) {
  const nodes = [];
  const weights = [];
  for (let i = 0; i < order; i++) {
    let t = -Math.cos((Math.PI * (i + 0.75)) / (order + 0.5));
    let slope = 1;
    for (let round = 0; round < 100; round++) {
      const p = legendre(t, order + 1);
      slope = (order * (t * p[order] - p[order - 1])) / (t * t - 1);
      const step = p[order] / slope;
      t -= step;
      if (Math.abs(step) < 1e-15) break;
    }
    nodes.push(t);
    weights.push(2 / ((1 - t * t) * slope * slope));
  }
  return { nodes, weights };
}

/** An axis of panels: nodes as values, weights for integrals over values, slopes dx/du. */
function layOut({ centre, scale, breaks, order }) {
  const rule = gauss(order);
  const toLegendre = rule.nodes.map((t, i) =>
    legendre(t, order).map((p, n) => p * rule.weights[i] * (n + 0.5)),
  );
  const panels = breaks.length - 1;
  const axis = { centre, scale, breaks, order, panels, toLegendre, rule };
  axis.toX = (u) => centre + scale * Math.sinh(u);
  axis.slope = (u) => scale * Math.cosh(u);
  axis.u = [];
  axis.weights = [];
  for (let panel = 0; panel < panels; panel++) {
    const half = 0.5 * (breaks[panel + 1] - breaks[panel]);
    for (let i = 0; i < order; i++) {
      const u = breaks[panel] + half * (1 + rule.nodes[i]);
      axis.u.push(u);
      axis.weights.push(half * rule.weights[i] * axis.slope(u));
    }
  }
  axis.nodes = axis.u.map(axis.toX);
  axis.edges = breaks.map(axis.toX);
  return axis;
}

/** All mass in the value 0. */
const ZERO = { nodes: [0], weights: [1], panels: 0 };

/** The Legendre coefficients, panel by panel, of a density in u with these masses at the nodes. */
function coefficientsOf(axis, mass) {
  const found = [];
  for (let panel = 0; panel < axis.panels; panel++) {
    const half = 0.5 * (axis.breaks[panel + 1] - axis.breaks[panel]);
    const row = new Array(axis.order).fill(0);
    for (let i = 0; i < axis.order; i++) {
      const density = mass[panel * axis.order + i] / (half * axis.rule.weights[i]);
      for (let n = 0; n < axis.order; n++) row[n] += density * axis.toLegendre[i][n];
    }
    found.push(row);
  }
  return found;
}

/** The coefficients of the integral from −1 of a Legendre series. */
function runningIntegral(row) {
  const found = new Array(row.length + 1).fill(0);
  // ∫ P_n = (P_{n+1} − P_{n−1})/(2n + 1), and ∫ P_0 = P_1 + P_0.
  row.forEach((c, n) => {
    found[n + 1] += c / (2 * n + 1);
    found[Math.max(n - 1, 0)] += n > 0 ? -c / (2 * n + 1) : c;
  });
  return found;
}

/** A Legendre series at a place: Clenshaw's recurrence. */
function series(coefficients, t) {
  let next = 0;
  let afterNext = 0;
  for (let n = coefficients.length - 1; n > 0; n--) {
    const here = coefficients[n] + ((2 * n + 1) / (n + 1)) * t * next - ((n + 1) / (n + 2)) * afterNext;
    afterNext = next;
    next = here;
  }
  return coefficients[0] + t * next - 0.5 * afterNext;
}

/** The quantile function of a cdf, from guesses as if the law were normal. */
function quantileOf(cdf, expect) {
  const mean = expect((x) => x);
  const sd = Math.sqrt(expect((x) => (x - mean) ** 2));
  // Of a normal law 95% lie within two sds.
  return (share) => invert(cdf, share, mean + 2 * sd * Math.sign(share - 0.5), 0.5 * sd);
}

/** A law on panels, from masses at the nodes that sum to 1. */
function curveOf(axis, mass) {
  const coefficients = coefficientsOf(axis, mass);
  const running = coefficients.map(runningIntegral);
  const halves = coefficients.map((_, p) => 0.5 * (axis.breaks[p + 1] - axis.breaks[p]));
  const reached = [0];
  coefficients.forEach((row, p) => reached.push(reached[p] + 2 * halves[p] * row[0]));
  const locate = (x) => {
    const u = Math.asinh((x - axis.centre) / axis.scale);
    let panel = 0;
    while (panel < axis.panels - 1 && axis.breaks[panel + 1] < u) panel++;
    const t = (u - axis.breaks[panel]) / halves[panel] - 1;
    return { u, panel, t: Math.min(1, Math.max(-1, t)), inside: Math.abs(t) <= 1 };
  };
  const cdf = (x) => {
    const { panel, t } = locate(x);
    return reached[panel] + halves[panel] * series(running[panel], t);
  };
  const expect = (f) => sum(mass.length, (i) => mass[i] * f(axis.nodes[i]));
  return {
    axis,
    mass,
    coefficients,
    running,
    reached,
    cdf,
    density: (x) => {
      const { u, panel, t, inside } = locate(x);
      return inside ? Math.max(0, series(coefficients[panel], t) / axis.slope(u)) : 0;
    },
    quantile: quantileOf(cdf, expect),
    expect,
  };
}

/**
 * Whether nodes show a law to the 1e-6 that is promised: by the last two coefficients of its
 * density, in sum over the panels, which its cdf has divided by 2n + 1 = 47, and by what the
 * outermost quarters of the first and last panel hold (at 0 an axis may begin with mass).
 */
function isResolved(curve) {
  const { axis, coefficients, mass } = curve;
  const quarter = Math.floor(axis.order / 4);
  const rough = sum(axis.panels, (p) => {
    const width = axis.breaks[p + 1] - axis.breaks[p];
    return width * (Math.abs(coefficients[p][axis.order - 1]) + Math.abs(coefficients[p][axis.order - 2]));
  });
  const first = axis.edges[0] === 0 ? 0 : sum(quarter, (i) => mass[i]);
  const last = sum(quarter, (i) => mass[mass.length - 1 - i]);
  return rough < 1e-6 && first < 1e-9 && last < 1e-9;
}
