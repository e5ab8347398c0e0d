// Before the first paint: theme and density as this browser last chose them, so nothing flickers.
(function () {
  var root = document.documentElement;
  var read = function (key, fallback) {
    try {
      var raw = localStorage.getItem(key);
      return raw === null ? fallback : raw;
    } catch (error) {
      return fallback;
    }
  };
  var chosen = read("_x_adminTheme", read("adminTheme", '"auto"')).replace(/"/g, "");
  var dark = chosen === "dark" || (chosen === "auto" && matchMedia("(prefers-color-scheme: dark)").matches);
  root.classList.add(dark ? "dark" : "light");
  root.dataset.density = read("kw-density", "normal");
  root.dataset.menu = read("kw-menu", "open");
})();
