document.getElementById("kw-print").addEventListener("click", () => window.print());
document.getElementById("kw-close").addEventListener("click", () => (history.length > 1 ? history.back() : window.close()));
