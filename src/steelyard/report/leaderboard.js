"use strict";
for (const table of document.querySelectorAll("[data-sorted]")) {
  const body = table.tBodies[0];
  const heads = [...table.querySelectorAll("thead tr:last-child th")];
  const value = (row, place) => {
    const cell = row.cells[place];
    return place ? Number(cell.dataset.value ?? NaN) : cell.textContent.trim();
  };
  heads.forEach((head, place) => {
    head.querySelector("button").addEventListener("click", () => {
      const up = head.getAttribute("aria-sort") === (place ? "descending" : null);
      heads.forEach((other) => other.removeAttribute("aria-sort"));
      head.setAttribute("aria-sort", up ? "ascending" : "descending");
      const rows = [...body.rows].sort((one, other) => {
        const a = value(one, place), b = value(other, place);
        if (!place) return up ? a.localeCompare(b) : b.localeCompare(a);
        // What has no number stands last whichever way.
        if (Number.isNaN(a) || Number.isNaN(b)) return Number.isNaN(a) - Number.isNaN(b);
        return up ? a - b : b - a;
      });
      body.append(...rows);
    });
  });
}
