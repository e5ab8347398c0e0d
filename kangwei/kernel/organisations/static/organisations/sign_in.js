// Small comforts of the sign-in page; without them it works the same.
(function () {
  var password = document.getElementById("password");
  var show = document.getElementById("si-show");
  var caps = document.getElementById("si-caps");
  if (password && show) {
    show.hidden = false;
    show.addEventListener("click", function () {
      var hidden = password.type === "password";
      password.type = hidden ? "text" : "password";
      show.textContent = hidden ? "隐藏" : "显示";
      show.setAttribute("aria-label", hidden ? "隐藏密码" : "显示密码");
      show.setAttribute("aria-pressed", String(hidden));
      password.focus();
    });
    password.addEventListener("keyup", function (event) {
      caps.hidden = !(event.getModifierState && event.getModifierState("CapsLock"));
    });
  }
  document.querySelectorAll("[data-username]").forEach(function (button) {
    button.addEventListener("click", function () {
      document.getElementById("username").value = button.dataset.username;
      password.value = button.dataset.password;
      document.querySelector(".si-go").focus();
    });
  });
  var form = document.querySelector("form");
  form.addEventListener("submit", function () {
    var go = form.querySelector(".si-go");
    setTimeout(function () { go.disabled = true; }, 0);
  });
  window.addEventListener("pageshow", function () { form.querySelector(".si-go").disabled = false; });
})();
