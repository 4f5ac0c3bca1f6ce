"use strict";
for (const plot of document.querySelectorAll("[data-readings]")) {
  const told = plot.dataset.readings.split("\n").map((line) => {
    const at = line.indexOf("|");
    return [Number(line.slice(0, at)), line.slice(at + 1)];
  });
  const output = plot.closest("figure").querySelector("output");
  const cursor = document.createElement("i");
  cursor.className = "cursor";
  cursor.hidden = true;
  plot.append(cursor);
  plot.addEventListener("pointermove", (event) => {
    const box = plot.getBoundingClientRect();
    const place = 1000 * (event.clientX - box.left) / box.width;
    const near = told.reduce((a, b) => (Math.abs(b[0] - place) < Math.abs(a[0] - place) ? b : a));
    cursor.hidden = false;
    cursor.style.left = near[0] / 10 + "%";
    output.textContent = near[1];
  });
  plot.addEventListener("pointerleave", () => {
    cursor.hidden = true;
    output.textContent = "";
  });
}
