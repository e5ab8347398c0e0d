// Charts from the options the page carries, and typed sections that save themselves.
"use strict";
(() => {
  const root = document.documentElement;
  const colour = (name) => getComputedStyle(root).getPropertyValue(name).trim();
  const charts = [];

  // The option is plain data; the page adds only what belongs to the screen: its colours and font.
  const dressed = (option) => {
    const text = colour("--kw-text"), line = colour("--kw-line");
    const axis = (one) => Object.assign({}, one, {
      axisLabel: Object.assign({ color: text }, one.axisLabel),
      axisLine: Object.assign({ lineStyle: { color: line } }, one.axisLine),
      splitLine: Object.assign({ lineStyle: { color: line, opacity: .6 } }, one.splitLine),
      nameTextStyle: { color: text },
    });
    const each = (value) => value && (Array.isArray(value) ? value.map(axis) : axis(value));
    return Object.assign({}, option, {
      backgroundColor: "transparent",
      textStyle: { fontFamily: getComputedStyle(document.body).fontFamily, color: text },
      legend: option.legend && Object.assign({}, option.legend, { textStyle: { color: text }, inactiveColor: line }),
      tooltip: option.tooltip && Object.assign({}, option.tooltip, { backgroundColor: colour("--kw-raised"), borderColor: line, textStyle: { color: colour("--kw-strong") } }),
      xAxis: each(option.xAxis), yAxis: each(option.yAxis),
      animationDuration: matchMedia("(prefers-reduced-motion: reduce)").matches ? 0 : 300,
    });
  };
  const draw = (box) => {
    const source = document.getElementById(box.dataset.chart);
    if (!source || !window.echarts || !box.clientWidth) return;
    const option = JSON.parse(source.textContent);
    const known = charts.find((one) => one.box === box);
    if (known) known.chart.dispose();
    const chart = window.echarts.init(box, null, { renderer: "svg" });
    chart.setOption(dressed(option));
    if (known) known.chart = chart; else charts.push({ box, chart });
  };
  const drawAll = () => document.querySelectorAll("[data-chart]").forEach(draw);
  drawAll();
  window.addEventListener("resize", () => charts.forEach((one) => one.chart.resize()));
  document.querySelectorAll("details.rp-chart-card").forEach((one) => one.addEventListener("toggle", () => one.open && drawAll()));
  let dark = root.classList.contains("dark");
  new MutationObserver(() => {
    if (root.classList.contains("dark") !== dark) { dark = !dark; drawAll(); }
  }).observe(root, { attributes: true, attributeFilter: ["class"] });

  document.querySelectorAll("[data-rp-go]").forEach((one) => one.addEventListener("change", () => { location.href = one.dataset.rpGo + encodeURIComponent(one.value); }));

  // A typed section is saved a second after the last key. Saves of one section wait for each other,
  // so that each sends the revision the one before it got.
  document.querySelectorAll("form[data-autosave]").forEach((form) => {
    const field = form.elements.text, said = form.querySelector("output");
    let timer = 0, saved = field.value, running = Promise.resolve(), stopped = false;
    const save = async () => {
      clearTimeout(timer);
      if (stopped || field.value === saved) return;
      const text = field.value;
      said.textContent = "正在保存…";
      try {
        const answer = await fetch(form.dataset.autosave, { method: "POST", body: new FormData(form), headers: { "X-Requested-With": "fetch" } });
        const told = await answer.json();
        if (!answer.ok) { stopped = true; said.textContent = told.message; said.classList.add("rp-failed"); return; }
        form.elements.revision.value = told.revision;
        saved = text;
        said.textContent = told.saved;
        said.classList.remove("rp-failed");
      } catch (error) {
        said.textContent = "没有保存：连接中断，稍后自动重试。";
        said.classList.add("rp-failed");
        timer = setTimeout(next, 5000);
      }
    };
    const next = () => { running = running.then(save); };
    field.addEventListener("input", () => { clearTimeout(timer); timer = setTimeout(next, 1000); });
    field.addEventListener("blur", next);
    form.addEventListener("submit", (event) => { event.preventDefault(); next(); });
    window.addEventListener("beforeunload", (event) => { if (!stopped && field.value !== saved) event.preventDefault(); });
  });
})();
