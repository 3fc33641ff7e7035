// Numbers: unpacking, the normal law, roots.

/** Numbers from base64 of little-endian bytes (packing.py). */
function unpack(text, Type) {
  return new Type(Uint8Array.from(atob(text), (c) => c.charCodeAt(0)).buffer);
}

/** Sum of f(i) for i below a count. */
function sum(count, f) {
  let total = 0;
  for (let i = 0; i < count; i++) total += f(i);
  return total;
}

/** Horner's rule, the highest power first. */
function polynomial(x, coefficients) {
  let total = 0;
  for (let i = 0; i < coefficients.length; i++) total = total * x + coefficients[i];
  return total;
}

// Hart's rational approximation (1968, no. 5666), and beyond 7 sds a continued fraction: to 1e-15.
const HART_ABOVE = [3.52624965998911e-2, 0.700383064443688, 6.37396220353165, 33.912866078383, 112.079291497871, 221.213596169931, 220.206867912376];
const HART_BELOW = [8.83883476483184e-2, 1.75566716318264, 16.064177579207, 86.7807322029461, 296.564248779674, 637.333633378831, 793.826512519948, 440.413735824752];
const ROOT_2PI = Math.sqrt(2 * Math.PI);

/** The standard normal density. */
const normalDensity = (x) => Math.exp(-0.5 * x * x) / ROOT_2PI;

/** The standard normal cdf. */
function normalCdf(x) {
  const away = Math.abs(x);
  let tail = 0;
  if (away < 7.07106781186547) {
    tail = (Math.exp(-0.5 * away * away) * polynomial(away, HART_ABOVE)) / polynomial(away, HART_BELOW);
  } else if (away < 37) {
    tail = normalDensity(away) / (away + 1 / (away + 2 / (away + 3 / (away + 4 / (away + 0.65)))));
  }
  return x > 0 ? 1 - tail : tail;
}

/**
 * Where an increasing function reaches a share: regula falsi (Illinois) with bisection, to 1e-11 of
 * the share, a hundred-thousandth of what is promised. The first bracket is `scale` to either side
 * of a guess, and grows as it must.
 */
function invert(cdf, share, guess, scale) {
  const gap = (x) => cdf(x) - share;
  let [low, high] = [guess - scale, guess + scale];
  let [fLow, fHigh] = [gap(low), gap(high)];
  for (let step = scale; fLow > 0 && step < 1e9 * scale; step *= 2) {
    [high, fHigh] = [low, fLow];
    low -= step;
    fLow = gap(low);
  }
  for (let step = scale; fHigh < 0 && step < 1e9 * scale; step *= 2) {
    [low, fLow] = [high, fHigh];
    high += step;
    fHigh = gap(high);
  }
  let middle = 0.5 * (low + high);
  let side = 0;
  for (let round = 0; round < 200 && high - low > 1e-12 * scale; round++) {
    middle = (low * fHigh - high * fLow) / (fHigh - fLow);
    if (round % 4 === 3 || !(low < middle && middle < high)) {
      middle = 0.5 * (low + high);
      side = 0;
    }
    const f = gap(middle);
    if (Math.abs(f) < 1e-11) break;
    if (f < 0) {
      if (side === -1) fHigh /= 2;
      [low, fLow, side] = [middle, f, -1];
    } else {
      if (side === 1) fLow /= 2;
      [high, fHigh, side] = [middle, f, 1];
    }
  }
  return middle;
}
