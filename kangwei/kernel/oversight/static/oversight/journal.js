// The drawer of the journal closes by its button or Escape.
(() => {
  "use strict";
  const drawer = document.getElementById("ov-drawer");
  if (!drawer) return;
  const close = () => drawer.replaceChildren();
  drawer.addEventListener("click", (event) => { if (event.target.closest("[data-drawer-close]")) close(); });
  document.addEventListener("keydown", (event) => { if (event.key === "Escape" && !document.querySelector("dialog[open]")) close(); });
})();
