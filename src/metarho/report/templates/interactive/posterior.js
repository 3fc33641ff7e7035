// The posterior under any width of the priors, from what the likelihood is at nodes (slider.py).

const LOG_2PI = Math.log(2 * Math.PI);

/** log of a Student-t density; the constant by the ratio Γ((nu + 1)/2)/Γ(nu/2). */
function logStudent(x, nu, mu, sigma) {
  const constant = logGamma((nu + 1) / 2) - logGamma(nu / 2) - 0.5 * Math.log(nu * Math.PI);
  return constant - Math.log(sigma) - ((nu + 1) / 2) * Math.log1p(((x - mu) / sigma) ** 2 / nu);
}

/** log Γ by Stirling's series after steps up to 12. */
function logGamma(x) {
  let shift = 0;
  while (x < 12) shift -= Math.log(x++);
  const r = 1 / (x * x);
  const rest = (1 / 12 - r * (1 / 360 - r * (1 / 1260 - r * (1 / 1680 - r / 1188)))) / x;
  return shift + (x - 0.5) * Math.log(x) - x + 0.5 * LOG_2PI + rest;
}

const logNormal = (x, mu, sigma) => -0.5 * ((x - mu) / sigma) ** 2 - Math.log(sigma) - 0.5 * LOG_2PI;

/** Family -> log density at x given its arguments; those of sds above 0. */
const LOG_DENSITIES = {
  Normal: (x, a) => logNormal(x, a.mu, a.sigma),
  StudentT: (x, a) => logStudent(x, a.nu, a.mu, a.sigma),
  Cauchy: (x, a) => logStudent(x, 1, a.alpha, a.beta),
  HalfNormal: (x, a) => Math.LN2 + logNormal(x, 0, a.sigma),
  HalfStudentT: (x, a) => Math.LN2 + logStudent(x, a.nu, 0, a.sigma),
  HalfCauchy: (x, a) => Math.LN2 + logStudent(x, 1, 0, a.beta),
  Exponential: (x, a) => Math.log(a.lam) - a.lam * x,
};

/** A prior `times` as wide: its arguments, its log density, and itself as text. */
function widened(prior, times) {
  const values = Object.fromEntries(prior.arguments);
  values[prior.scale] *= prior.is_rate ? 1 / times : times;
  const written = prior.arguments.map(([name]) => `${name}=${+values[name].toPrecision(4)}`);
  return {
    values,
    log: (x) => LOG_DENSITIES[prior.family](x, values),
    text: `${prior.family}(${written.join(", ")})`,
  };
}

/** The data of a page, with nodes laid out and tables unpacked: once, before any refit. */
function prepared(data) {
  const tau = data.axes.tau ? layOut(data.axes.tau) : ZERO;
  const model = { ...data, axes: { tau, mu: data.axes.mu && layOut(data.axes.mu) } };
  const names = data.kind === "sums" ? ["constant", "square", "right", "precision"] : ["most", "without_effect"];
  for (const name of names) model[name] = unpack(data[name], Float64Array);
  if (data.kind === "table") model.relative = unpack(data.relative, Float32Array);
  return model;
}

/** Sums and shares: log of Σ exp(values), and each term's share in it. */
function shares(logs) {
  const peak = logs.reduce((a, b) => Math.max(a, b), -Infinity);
  const terms = logs.map((x) => Math.exp(x - peak));
  const total = sum(terms.length, (i) => terms[i]);
  return { logTotal: peak + Math.log(total), shares: terms.map((x) => x / total) };
}

/**
 * Under a normal prior of mu and the sums at a node: what the node's rows say, and mu given it.
 * The formulas of likelihood.condition.
 */
function conditional(model, j, { mu, sigma }) {
  const p = sigma ** -2;
  const m0 = mu - model.origin;
  const lambda = model.precision[j] + p;
  const delta = (model.right[j] + p * m0) / lambda;
  const square =
    model.square[j] - 2 * model.right[j] * delta + model.precision[j] * delta ** 2 + p * (delta - m0) ** 2;
  return {
    logMarginal: model.constant[j] - 0.5 * (square + Math.log(lambda)) + 0.5 * Math.log(p),
    mean: model.origin + delta,
    sd: lambda ** -0.5,
  };
}

/** log p(rows | mu = 0) at a node. */
function withoutEffect(model, j) {
  if (model.kind === "table") return model.without_effect[j];
  const away = -model.origin;
  const square = model.square[j] - 2 * model.right[j] * away + model.precision[j] * away ** 2;
  return model.constant[j] - 0.5 * square;
}

/** Where the mean is conjugate: mu given each node of tau, and at tau = 0 what the rows say. */
function solveSums(model, mu) {
  const count = model.axes.tau.nodes.length;
  const given = Array.from({ length: count + 1 }, (_, j) => conditional(model, j, mu.values));
  return {
    logMarginal: given.slice(0, count).map((g) => g.logMarginal),
    logWithoutSpread: given[count].logMarginal,
    laws: (mass) => {
      const normals = given.slice(0, count).map((g, j) => ({ mass: mass[j], mean: g.mean, sd: g.sd }));
      const spread = (j) => Math.hypot(given[j].sd, model.axes.tau.nodes[j]);
      return {
        mean: mixtureOf(normals),
        fresh: mixtureOf(normals.map((part, j) => ({ ...part, sd: spread(j) }))),
        resolved: true,
      };
    },
    hasSpreadNull: true,
  };
}

/** Where it is not: sums over a table of likelihoods at nodes of tau and mu. */
function solveTable(model, mu) {
  const { tau, mu: axis } = model.axes;
  const columns = axis.nodes.length;
  const prior = axis.nodes.map((x, m) => Math.exp(mu.log(x)) * axis.weights[m]);
  const row = (j) => prior.map((w, m) => w * model.relative[j * columns + m]);
  const rows = tau.nodes.map((_, j) => row(j));
  const totals = rows.map((values) => sum(columns, (m) => values[m]));
  const without = row(tau.nodes.length);
  const withoutTotal = sum(columns, (m) => without[m]);
  return {
    logMarginal: totals.map((total, j) => model.most[j] + Math.log(total)),
    logWithoutSpread: model.most[tau.nodes.length] + Math.log(withoutTotal),
    laws: (mass) => {
      const joint = rows.map((values, j) => values.map((v) => (mass[j] > 0 ? (mass[j] * v) / totals[j] : 0)));
      const curve = curveOf(axis, prior.map((_, m) => sum(joint.length, (j) => joint[j][m])));
      const moved = tau.panels ? noisyCurve(axis, joint, tau.nodes) : curve;
      // What 4 bytes cannot hold is 0: where all else is next to that, nothing is known.
      const held = mass.every((share, j) => share < 1e-12 || totals[j] > 1e-25);
      return { mean: curve, fresh: moved, resolved: held && isResolved(curve) };
    },
    hasSpreadNull: withoutTotal > 1e-25 && isResolved(curveOf(axis, without.map((x) => x / withoutTotal))),
  };
}

/** A mixture of normals. */
function mixtureOf(parts) {
  // Those without mass cannot move a number that is shown.
  const normals = parts.filter((part) => part.mass > 1e-16);
  const total = (f) => sum(normals.length, (i) => normals[i].mass * f(normals[i]));
  const cdf = (x) => total((n) => normalCdf((x - n.mean) / n.sd));
  // The trapezoidal rule over 9 sds, in steps of a quarter of the sd and of what f is smooth over:
  // to 1e-10.
  const expect = (f, unit = Infinity) => total((n) => {
    const inSd = 4 * Math.ceil(Math.max(1, n.sd / unit));
    return sum(18 * inSd + 1, (i) => {
      const s = i / inSd - 9;
      return (normalDensity(s) / inSd) * f(n.mean + s * n.sd);
    });
  });
  const density = (x) => total((n) => normalDensity((x - n.mean) / n.sd) / n.sd);
  return { cdf, density, expect, quantile: quantileOf(cdf, expect) };
}

const INNER = gauss(64);

/**
 * A law on panels, one for each node of tau (`joint`), plus normal noise with that sd.
 *
 * Noise wide against a panel: its nodes are a mixture of normals. Narrow: the panel's own cdf is
 * averaged over it (posterior/mixtures.py).
 */
function noisyCurve(axis, joint, noise) {
  const normals = { mass: [], mean: [], sd: [] };
  const narrow = [];
  joint.forEach((row, j) => {
    // A thousandth of what is promised in all, were every node below.
    if (sum(row.length, (m) => row[m]) < 1e-12) return;
    let curve = null;
    for (let panel = 0; panel < axis.panels; panel++) {
      const [from, to] = [axis.edges[panel], axis.edges[panel + 1]];
      if (noise[j] < 0.5 * (to - from)) {
        curve ??= curveOf(axis, row);
        const held = curve.reached[panel + 1] - curve.reached[panel];
        if (held > 1e-12) narrow.push({ panel, running: curve.running[panel], held, sd: noise[j] });
        continue;
      }
      for (let m = panel * axis.order; m < (panel + 1) * axis.order; m++) {
        if (row[m] < 1e-13) continue;
        normals.mass.push(row[m]);
        normals.mean.push(axis.nodes[m]);
        normals.sd.push(noise[j]);
      }
    }
  });
  const cdf = (x) =>
    sum(normals.mass.length, (i) => normals.mass[i] * normalCdf((x - normals.mean[i]) / normals.sd[i])) +
    sum(narrow.length, (i) => noisyPanel(axis, narrow[i], x));
  // Noise adds its square to that of any x around the mean: enough for a first guess.
  const expect = (f) => sum(joint.length, (j) =>
    sum(axis.nodes.length, (m) => joint[j][m] * 0.5 * (f(axis.nodes[m] - noise[j]) + f(axis.nodes[m] + noise[j]))),
  );
  return { cdf, quantile: quantileOf(cdf, expect) };
}

/**
 * The mass of one panel below x, spread by noise with a small sd:
 * held·Φ(first) + ∫ G(x − sd·s) φ(s) ds from first to last, G the panel's running integral.
 */
function noisyPanel(axis, { panel, running, held, sd }, x) {
  const first = (x - axis.edges[panel + 1]) / sd;
  const last = (x - axis.edges[panel]) / sd;
  if (first > 9) return held;
  if (last < -9) return 0;
  const halfPanel = 0.5 * (axis.breaks[panel + 1] - axis.breaks[panel]);
  const low = Math.max(first, -9);
  const half = 0.5 * (Math.min(last, 9) - low);
  const inside = sum(INNER.nodes.length, (i) => {
    const s = low + half * (1 + INNER.nodes[i]);
    const u = Math.asinh((x - sd * s - axis.centre) / axis.scale);
    const t = Math.min(1, Math.max(-1, (u - axis.breaks[panel]) / halfPanel - 1));
    return INNER.weights[i] * normalDensity(s) * halfPanel * series(running, t);
  });
  return held * normalCdf(first) + half * inside;
}

/** The posterior with both priors so many times as wide as the analysis has them. */
function refit(model, timesMu, timesTau) {
  const mu = widened(model.mu, timesMu);
  const tau = model.tau && widened(model.tau, timesTau);
  const axis = model.axes.tau;
  const found = (model.kind === "sums" ? solveSums : solveTable)(model, mu);
  const logPrior = axis.nodes.map((x, j) => (tau ? tau.log(x) : 0) + Math.log(axis.weights[j]));
  const { logTotal, shares: mass } = shares(logPrior.map((p, j) => p + found.logMarginal[j]));
  const laws = found.laws(mass);
  const nothing = shares(logPrior.map((p, j) => p + withoutEffect(model, j)));
  const heterogeneity = tau && curveOf(axis, mass);
  return {
    mu,
    tau,
    ...laws,
    heterogeneity,
    resolved: Number.isFinite(logTotal) && laws.resolved && (!tau || isResolved(heterogeneity)),
    logEvidence: logTotal + model.jacobian,
    logBfMu: !tau || isResolved(curveOf(axis, nothing.shares)) ? logTotal - nothing.logTotal : null,
    logBfTau: tau && found.hasSpreadNull ? logTotal - found.logWithoutSpread : null,
  };
}

/** The numbers that a page shows of a refit, by name; null where there is none. */
function readings(model, fit) {
  const isZ = model.scale === "z";
  const onReaders = isZ ? Math.tanh : (x) => x;
  const above = (law, t) => 1 - law.cdf(isZ ? Math.atanh(t) : t);
  const ends = [(1 - model.prob) / 2, (1 + model.prob) / 2];
  const [median, lower, upper] = [0.5, ...ends].map((share) => onReaders(fit.mean.quantile(share)));
  const [newLower, newUpper] = ends.map((share) => onReaders(fit.fresh.quantile(share)));
  // tanh is smooth over 1, what is as it is over any stretch.
  const unit = isZ ? 1 : Infinity;
  const mean = fit.mean.expect(onReaders, unit);
  const sd = Math.sqrt(fit.mean.expect((x) => (onReaders(x) - mean) ** 2, unit));
  const numbers = {
    mean: model.has_mean ? mean : null,
    sd: model.has_sd ? sd : null,
    median,
    lower,
    upper,
    new_lower: newLower,
    new_upper: newUpper,
  };
  model.thresholds.forEach((t, i) => {
    numbers[`above_${i}`] = above(fit.mean, t);
  });
  if (fit.tau) {
    numbers.tau_mean = model.tau_has_mean ? fit.heterogeneity.expect((x) => x) : null;
    numbers.tau_median = fit.heterogeneity.quantile(0.5);
  }
  return { ...numbers, log_evidence: fit.logEvidence, bf_mu: fit.logBfMu, bf_tau: fit.logBfTau };
}
