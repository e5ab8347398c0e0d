// The shell's own behaviour: search palette, keyboard, theme, density, batch bar, double submit,
// and leaving when the sign-in has ended. Pages work without it; it makes them quick.
"use strict";
(() => {
  const root = document.documentElement;
  const $ = (selector, within = document) => within.querySelector(selector);
  const $$ = (selector, within = document) => Array.from(within.querySelectorAll(selector));
  const keep = (key, value) => { try { localStorage.setItem(key, value); } catch (error) { /* private window */ } };
  const kept = (key) => { try { return localStorage.getItem(key); } catch (error) { return null; } };

  // Theme and density
  const markSegments = () => {
    const theme = (kept("adminTheme") || '"auto"').replace(/"/g, "");
    $$("[data-theme-choice]").forEach((b) => b.setAttribute("aria-pressed", String(b.dataset.themeChoice === theme)));
    $$("[data-density-choice]").forEach((b) => b.setAttribute("aria-pressed", String(b.dataset.densityChoice === (root.dataset.density || "normal"))));
  };
  document.addEventListener("click", (event) => {
    const theme = event.target.closest("[data-theme-choice]");
    if (theme && window.Alpine) {
      window.Alpine.$data(root).adminTheme = theme.dataset.themeChoice;
      setTimeout(markSegments, 30);
    }
    const density = event.target.closest("[data-density-choice]");
    if (density) { root.dataset.density = density.dataset.densityChoice; keep("kw-density", density.dataset.densityChoice); markSegments(); }
    const close = event.target.closest(".kw-notice-close");
    if (close) close.closest(".kw-notice").remove();
    const opener = event.target.closest("[data-dialog]");
    if (opener) { const dialog = document.getElementById(opener.dataset.dialog); if (dialog) dialog.showModal(); }
    const closer = event.target.closest("[data-close]");
    if (closer) closer.closest("dialog")?.close();
    $$("details.kw-menu-button[open]").forEach((open) => { if (!open.contains(event.target)) open.open = false; });
    if (event.target.nodeName === "DIALOG") event.target.close();  // a click beside the dialog
  });
  markSegments();

  // Menu
  $("#kw-menu-toggle")?.addEventListener("click", (event) => {
    const narrow = matchMedia("(max-width: 860px)").matches;
    const shown = narrow ? root.dataset.menu === "shown" : root.dataset.menu !== "closed";
    root.dataset.menu = shown ? "closed" : narrow ? "shown" : "open";
    event.currentTarget.setAttribute("aria-expanded", String(!shown));
    keep("kw-menu", root.dataset.menu);
  });
  const folded = new Set(JSON.parse(kept("kw-menu-folded") || "[]"));
  $$("[data-menu-group]").forEach((group) => {
    if (folded.has(group.dataset.menuGroup) && !$(".kw-lit", group)) group.open = false;
    group.addEventListener("toggle", () => {
      group.open ? folded.delete(group.dataset.menuGroup) : folded.add(group.dataset.menuGroup);
      keep("kw-menu-folded", JSON.stringify([...folded]));
    });
  });
  $("#kw-menu .kw-lit")?.scrollIntoView({ block: "nearest" });

  // Search palette
  const palette = $("#kw-palette");
  const openPalette = () => { if (palette && !palette.open) { palette.showModal(); $("input", palette).select(); } };
  $("#kw-search-open")?.addEventListener("click", openPalette);
  const hits = () => $$(".kw-hit", palette);
  const choose = (step) => {
    const all = hits();
    if (!all.length) return;
    const now = all.findIndex((hit) => hit.getAttribute("aria-selected") === "true");
    const next = (now + step + all.length) % all.length;
    all.forEach((hit, i) => hit.setAttribute("aria-selected", String(i === next)));
    all[next].scrollIntoView({ block: "nearest" });
  };
  palette?.addEventListener("keydown", (event) => {
    // A search box takes the first Esc to empty itself; ours closes at once.
    if (event.key === "Escape") { event.preventDefault(); palette.close(); }
    if (event.key === "ArrowDown") { event.preventDefault(); choose(1); }
    if (event.key === "ArrowUp") { event.preventDefault(); choose(-1); }
    if (event.key === "Enter") {
      const chosen = hits().find((hit) => hit.getAttribute("aria-selected") === "true") || hits()[0];
      if (chosen) { event.preventDefault(); location.href = chosen.href; }
    }
  });

  // A text shown once is taken along with one press
  document.addEventListener("click", async (event) => {
    const button = event.target.closest("[data-copy]");
    if (!button) return;
    try { await navigator.clipboard.writeText(button.dataset.copy); button.textContent = "已复制"; }
    catch { button.textContent = "请手工选取复制"; }
  });

  // Keyboard
  $("#kw-keys-open")?.addEventListener("click", () => $("#kw-keys").showModal());
  const typing = (element) => element.isContentEditable || /^(INPUT|TEXTAREA|SELECT)$/.test(element.nodeName);
  const rows = () => $$("table[data-kw-rows] tbody tr");
  const move = (step) => {
    const all = rows();
    if (!all.length) return;
    const now = all.findIndex((row) => row.classList.contains("kw-here"));
    const next = Math.max(0, Math.min(all.length - 1, now + step));
    all.forEach((row, i) => row.classList.toggle("kw-here", i === next));
    all[next].scrollIntoView({ block: "nearest" });
  };
  const here = () => $("table[data-kw-rows] tbody tr.kw-here");
  document.addEventListener("keydown", (event) => {
    if ((event.ctrlKey || event.metaKey) && event.key.toLowerCase() === "k") { event.preventDefault(); openPalette(); return; }
    if (event.ctrlKey || event.metaKey || event.altKey || typing(event.target) || $("dialog[open]")) return;
    const acts = {
      "/": () => $(".kw-query input[type=search], .kw-query input, input[type=search]")?.focus(),
      j: () => move(1),
      k: () => move(-1),
      n: () => $("[data-kw-new]")?.click(),
      h: () => $("#kw-help")?.click(),
      x: () => $("input.action-select", here() || document.createElement("p"))?.click(),
      Enter: () => $("a", here() || document.createElement("p"))?.click(),
      "?": () => $("#kw-keys")?.showModal(),
    };
    const act = acts[event.key];
    if (act && !(event.key === "Enter" && (!here() || event.target !== document.body))) { event.preventDefault(); act(); }
  });

  // Batch bar: shown while rows are ticked
  const batch = $("#kw-batch");
  if (batch) {
    const boxes = () => $$("input.action-select");
    const all = $("#action-toggle");
    const across = $("input.select-across", batch);
    const total = Number(batch.dataset.total);
    const show = () => {
      const ticked = boxes().filter((box) => box.checked).length;
      batch.hidden = ticked === 0;
      if (ticked < boxes().length) across.value = "0";
      const everything = across.value === "1";
      $("[data-ticked]", batch).textContent = everything ? `已选全部 ${total} 条` : `已选 ${ticked} 条`;
      $("[data-across]", batch).hidden = everything || ticked < boxes().length || total <= boxes().length;
      if (all) { all.checked = ticked > 0 && ticked === boxes().length; all.indeterminate = ticked > 0 && ticked < boxes().length; }
    };
    all?.addEventListener("change", () => { boxes().forEach((box) => { box.checked = all.checked; }); show(); });
    document.addEventListener("change", (event) => { if (event.target.matches("input.action-select")) show(); });
    $("[data-across]", batch).addEventListener("click", () => { across.value = "1"; show(); });
    $("[data-clear]", batch).addEventListener("click", () => { across.value = "0"; boxes().forEach((box) => { box.checked = false; }); show(); });
    show();
  }

  // A select that submits its form, and empty conditions kept out of the address
  document.addEventListener("change", (event) => { if (event.target.matches("[data-submit]")) event.target.form.requestSubmit(); });
  document.addEventListener("formdata", (event) => {
    if (event.target.method !== "get") return;
    for (const [key, value] of Array.from(event.formData.entries())) if (value === "") event.formData.delete(key);
  });

  // A question before an act (确认): answered yes, the form is sent by the button first pressed
  const ask = (question, form, button) => {
    const dialog = $("#kw-ask");
    const agree = () => { form.dataset.agreed = "1"; form.requestSubmit(button); };
    if (!dialog) { if (window.confirm(question)) agree(); return; }
    $("p", dialog).textContent = question;
    const yes = $("[data-yes]", dialog);
    yes.classList.toggle("kw-danger", Boolean(button?.classList.contains("kw-danger")));
    yes.classList.toggle("kw-primary", !button?.classList.contains("kw-danger"));
    yes.onclick = () => { dialog.close(); agree(); };
    dialog.showModal();
  };

  // One click, one act: a form on its way cannot be sent again; dangerous acts ask first
  document.addEventListener("submit", (event) => {
    const form = event.target;
    if (form.method !== "post") return;
    const question = event.submitter?.dataset.confirm || form.dataset.confirm;
    if (question && !form.dataset.agreed) { event.preventDefault(); ask(question, form, event.submitter); return; }
    delete form.dataset.agreed;
    if (form.dataset.sent) { event.preventDefault(); return; }
    form.dataset.sent = "1";
    setTimeout(() => $$("button[type=submit], button:not([type])", form).concat($$(`button[form="${form.id || "-"}"]`)).forEach((b) => { b.disabled = true; b.classList.add("kw-busy"); }), 0);
  });
  const release = () => $$("form[data-sent]").forEach((form) => {
    delete form.dataset.sent;
    $$(".kw-busy").forEach((b) => { b.disabled = false; b.classList.remove("kw-busy"); });
  });
  window.addEventListener("pageshow", release);  // back from the history
  document.addEventListener("htmx:afterRequest", release);
  // unfold writes the chosen file's name into a text box that our file fields do not have
  $$(".kw-field input[type=file]").forEach((input) => { input.hasChangeListener = true; });

  // A form in a dialog whose answer appears on the page below closes the dialog
  document.addEventListener("htmx:afterRequest", (event) => {
    if (event.target.closest?.("[data-close-after]")) event.target.closest("dialog")?.close();
  });

  // Related rows chosen by typing (long lists): the browser's own list, filled by our search
  document.addEventListener("input", async (event) => {
    const box = event.target.closest("input[data-kw-search]");
    if (!box) return;
    const list = document.getElementById(box.getAttribute("list"));
    const hidden = document.getElementById(box.dataset.kwSearch);
    const match = Array.from(list.options).find((option) => option.value === box.value);
    hidden.value = match ? match.dataset.key : "";
    if (match || box.value.length < 1) return;
    const answer = await fetch(`${box.dataset.url}&term=${encodeURIComponent(box.value)}`, { headers: { Accept: "application/json" } });
    if (!answer.ok) return;
    list.replaceChildren(...(await answer.json()).results.map((row) => {
      const option = document.createElement("option");
      option.value = row.text; option.dataset.key = row.id;
      return option;
    }));
  });

  // The sign-in has ended (退出、超时、被强制下线): leave, saying why
  const leave = (reason) => {
    const next = encodeURIComponent(location.pathname + location.search);
    location.href = `${document.body.dataset.signIn}?reason=${reason || "expired"}&next=${next}`;
  };
  document.addEventListener("htmx:responseError", (event) => {
    const answer = event.detail.xhr;
    if (answer.status === 401) { leave(answer.getResponseHeader("X-Kw-Reason")); return; }
    if (event.detail.requestConfig?.verb === "get" && event.detail.elt?.id === "kw-bell") return;
    const box = $("#kw-messages");
    if (!box) return;
    const note = document.createElement("div");
    note.className = "kw-notice kw-notice-error"; note.setAttribute("role", "alert");
    const text = document.createElement("p");
    text.textContent = answer.status >= 500 ? "系统暂时没能完成这次操作，请稍后重试；如仍不成功请联系管理员。" : "这次操作没有完成，请刷新页面后重试。";
    note.append(text); box.append(note); box.scrollIntoView({ block: "nearest" });
  });
  document.addEventListener("htmx:sendError", () => root.classList.add("kw-offline"));
})();
