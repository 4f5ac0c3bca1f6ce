"use strict";
{
  const clips = document.getElementById("clips");
  const fill = (inside) => {
    for (const player of inside.querySelectorAll("audio[data-clip]:not([src])")) {
      const clip = clips && clips.content.children[Number(player.dataset.clip)];
      if (clip) player.setAttribute("src", "data:audio/mpeg;base64," + clip.textContent);
    }
  };
  for (const sample of document.querySelectorAll("details.sample")) {
    sample.addEventListener("toggle", () => sample.open && fill(sample));
  }
}
