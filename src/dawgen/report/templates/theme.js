"use strict";
// Before anything is drawn: the theme chosen last time, and that there are scripts.
(() => {
  const root = document.documentElement;
  root.classList.add("js");
  try {
    const chosen = localStorage.getItem("dawgen-theme");
    if (chosen === "light" || chosen === "dark") root.dataset.theme = chosen;
  } catch { /* a browser that keeps nothing for files */ }
})();
