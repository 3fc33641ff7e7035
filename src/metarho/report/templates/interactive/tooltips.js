// What a point of a figure says: its <title>, shown beside it under pointer, focus and touch.

function startTooltips() {
  const box = document.createElement("div");
  box.className = "tip-box";
  box.setAttribute("role", "tooltip");
  box.dir = "auto";
  box.hidden = true;
  document.body.append(box);
  let shown = null;
  const hide = () => {
    shown = null;
    box.hidden = true;
  };
  const show = (point) => {
    shown = point;
    box.textContent = point.dataset.tip;
    box.hidden = false;
    place(box, point.getBoundingClientRect());
  };
  for (const svg of document.querySelectorAll("svg:has(g.tip)")) {
    const points = [...svg.querySelectorAll("g.tip")];
    // A picture hides what is in it from screen readers; a group does not.
    svg.closest("figure")?.setAttribute("role", "group");
    points.forEach((point, i) => {
      const title = point.querySelector("title");
      point.dataset.tip = title.textContent;
      point.setAttribute("aria-label", title.textContent);
      point.setAttribute("role", "img");
      // One stop of the Tab key for a figure; arrows go from point to point.
      point.setAttribute("tabindex", i === 0 ? "0" : "-1");
      // The browser's own tooltip would cover ours.
      title.remove();
    });
    svg.addEventListener("pointerover", (event) => {
      const point = event.target.closest("g.tip");
      if (point) show(point);
    });
    svg.addEventListener("pointerleave", hide);
    svg.addEventListener("focusin", (event) => event.target.dataset.tip && show(event.target));
    svg.addEventListener("focusout", hide);
    svg.addEventListener("keydown", (event) => {
      const step = { ArrowDown: 1, ArrowRight: 1, ArrowUp: -1, ArrowLeft: -1 }[event.key];
      const next = points[points.indexOf(event.target) + step];
      if (!next) return;
      event.preventDefault();
      for (const point of points) point.setAttribute("tabindex", point === next ? "0" : "-1");
      next.focus();
    });
  }
  // Also of a box that scrolls within the page.
  addEventListener("scroll", () => shown && place(box, shown.getBoundingClientRect()), { capture: true, passive: true });
  addEventListener("keydown", (event) => event.key === "Escape" && hide());
  addEventListener("pointerdown", (event) => event.target.closest("g.tip") || hide());
}

/** Put a box above a place, or below where there is no room, within the window. */
function place(box, around) {
  const margin = 6;
  // Where it stood before would narrow it.
  box.style.left = "0";
  const { width, height } = box.getBoundingClientRect();
  const middle = Math.min(Math.max(around.left, 0) + Math.max(0, Math.min(around.width, innerWidth) / 2), innerWidth);
  const left = Math.min(Math.max(margin, middle - width / 2), Math.max(margin, document.documentElement.clientWidth - width - margin));
  const above = around.top - height - margin;
  box.style.left = `${left}px`;
  box.style.top = `${above >= margin ? above : Math.min(around.bottom + margin, innerHeight - height - margin)}px`;
}
