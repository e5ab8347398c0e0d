// Reviewing by keyboard: y ticks the row under the cursor to be kept and goes to the next one.
(() => {
  "use strict";
  const boxes = () => Array.from(document.querySelectorAll("#ov-bulk input.action-select"));
  const all = document.getElementById("ov-all");
  const sign = document.getElementById("ov-sign");
  const show = () => {
    const ticked = boxes().filter((box) => box.checked).length;
    if (sign) {
      sign.hidden = ticked === 0;
      sign.querySelector("[data-ticked]").textContent = `已勾选 ${ticked} 个账号`;
    }
    if (all) { all.checked = ticked > 0 && ticked === boxes().length; all.indeterminate = ticked > 0 && ticked < boxes().length; all.disabled = boxes().length === 0; }
  };
  all?.addEventListener("change", () => { boxes().forEach((box) => { box.checked = all.checked; }); show(); });
  document.addEventListener("change", (event) => { if (event.target.matches("#ov-bulk input.action-select")) show(); });
  document.addEventListener("keydown", (event) => {
    if (event.key !== "y" || event.ctrlKey || event.metaKey || event.altKey || !document.getElementById("ov-bulk")) return;
    if (event.target.matches("input:not([type=checkbox]), textarea, select")) return;
    const row = document.querySelector("table[data-kw-rows] tbody tr.kw-here") || document.querySelector("table[data-kw-rows] tbody tr");
    const box = row?.querySelector("input.action-select");
    if (box) { box.checked = true; show(); }
    if (!row?.classList.contains("kw-here")) row?.classList.add("kw-here");
    document.body.dispatchEvent(new KeyboardEvent("keydown", { key: "j", bubbles: true }));
    event.preventDefault();
  });
  if (all) show();

  const decision = document.getElementById("ov-decision");
  if (decision) {
    const part = decision.querySelector("[data-when]");
    const follow = () => { part.hidden = decision.querySelector("input[name=decision]:checked")?.value !== part.dataset.when; };
    decision.addEventListener("change", follow);
    follow();
  }
})();
