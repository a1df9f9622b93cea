"use strict";
// A clip that appears again plays the sound of its first card.
for (const player of document.querySelectorAll("audio[data-of]")) {
  const first = document.getElementById(player.dataset.of);
  if (first) player.src = first.getAttribute("src");
}
// One sound at a time.
document.addEventListener("play", (event) => {
  for (const player of document.querySelectorAll("audio")) if (player !== event.target) player.pause();
}, true);
// A number of the matrix opens its fold, and a link to a card the fold around it.
function open() {
  const target = location.hash && document.getElementById(decodeURIComponent(location.hash.slice(1)));
  const fold = target && target.closest("details");
  if (!fold) return;
  fold.open = true;
  target.scrollIntoView();
}
addEventListener("hashchange", open);
for (const link of document.querySelectorAll(".matrix a")) link.addEventListener("click", () => setTimeout(open));
open();
