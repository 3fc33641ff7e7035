// Everything begins once the page stands.
startTooltips();
for (const table of document.querySelectorAll("table.sortable")) startSorting(table);
for (const root of document.querySelectorAll("[data-surface]")) startSurface(root);
for (const root of document.querySelectorAll("[data-slider]")) startSlider(root);
