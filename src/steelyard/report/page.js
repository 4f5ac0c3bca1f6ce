"use strict";
for (const list of document.querySelectorAll("[data-samples]")) {
  const search = list.querySelector("input"), state = list.querySelector("select");
  const output = list.querySelector("output");
  const rows = [...list.querySelectorAll("details.sample")];
  const texts = rows.map((row) => row.textContent.toLowerCase());
  const filter = () => {
    const wanted = search.value.toLowerCase();
    let shown = 0;
    rows.forEach((row, n) => {
      const fits = state.value === "all" || row.dataset.state.split(" ").includes(state.value);
      row.hidden = !(fits && texts[n].includes(wanted));
      shown += !row.hidden;
    });
    output.textContent = shown === rows.length ? "" : shown + " of " + rows.length;
  };
  search.addEventListener("input", filter);
  state.addEventListener("change", filter);
}
