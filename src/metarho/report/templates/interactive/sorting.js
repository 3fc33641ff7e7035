// Tables of class "sortable": a header sorts, then the other way round, then as it was.

const NUMBER = /^[[<>=\s]*([+\-−]?[\d,]*\.?\d+(?:e[+\-−]?\d+)?)\s*%?\s*(?:$|[,[±]|to\b|<)/i;

/** What a cell is sorted by: `data-value` or its text; null where it says nothing. */
function keyOf(cell) {
  const text = (cell?.dataset.value ?? cell?.textContent ?? "").trim();
  return text === "" || text === "–" ? null : text;
}

/** A text as a number; NaN where it is none. */
function asNumber(text) {
  const found = NUMBER.exec(text);
  return found ? Number(found[1].replaceAll(",", "").replaceAll("−", "-")) : NaN;
}

function startSorting(table) {
  const headers = [...table.tHead.rows].at(-1).cells;
  const body = table.tBodies[0];
  const original = [...body.rows];
  [...headers].forEach((header, column) => {
    const button = document.createElement("button");
    button.type = "button";
    button.className = "sort";
    button.append(...header.childNodes);
    header.append(button);
    button.addEventListener("click", () => {
      const order = { ascending: "descending", descending: null }[header.getAttribute("aria-sort")];
      const next = order === undefined ? "ascending" : order;
      for (const other of headers) other.removeAttribute("aria-sort");
      if (next) header.setAttribute("aria-sort", next);
      table.classList.toggle("sorted", next !== null);
      body.append(...(next ? sortedRows(original, column, next) : original));
    });
  });
}

/** Rows in the order of a column, equal ones as they were, those that say nothing last. */
function sortedRows(rows, column, order) {
  const keys = new Map(rows.map((row) => [row, keyOf(row.cells[column])]));
  const said = [...keys.values()].filter((key) => key !== null);
  const isNumeric = said.every((key) => !Number.isNaN(asNumber(key)));
  const sign = order === "ascending" ? 1 : -1;
  return [...rows].sort((a, b) => {
    const [x, y] = [keys.get(a), keys.get(b)];
    if (x === null || y === null) return (x === null) - (y === null);
    return sign * (isNumeric ? asNumber(x) - asNumber(y) : x.localeCompare(y, "en", { numeric: true }));
  });
}
