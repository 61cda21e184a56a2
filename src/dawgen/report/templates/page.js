"use strict";
// What all pages share: theme, tips, pointing at lines, tokens by keyboard, printing.
const byId = (id) => document.getElementById(id);
const element = (tag, kind, text) => {
  const made = document.createElement(tag);
  if (kind) made.className = kind;
  if (text !== undefined) made.textContent = text; // never as HTML: texts come from data
  return made;
};

(() => {
  const root = document.documentElement;
  const button = byId("theme");
  const names = { "": "as the system", light: "light", dark: "dark" };
  const order = ["", "light", "dark"];
  const show = () => { button.textContent = `Theme: ${names[root.dataset.theme || ""]}`; };
  button.addEventListener("click", () => {
    const next = order[(order.indexOf(root.dataset.theme || "") + 1) % 3];
    if (next) root.dataset.theme = next; else delete root.dataset.theme;
    try { localStorage.setItem("dawgen-theme", next); } catch { /* kept for this visit only */ }
    show();
    document.dispatchEvent(new Event("themechange"));
  });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
    document.dispatchEvent(new Event("themechange"));
  });
  show();
})();

const tip = (() => {
  const box = byId("tip");
  const place = (x, y) => {
    const { width, height } = box.getBoundingClientRect();
    const left = Math.min(Math.max(8, x - width / 2), innerWidth - width - 8);
    const top = y - height - 14 < 8 ? y + 18 : y - height - 14;
    box.style.transform = `translate(${Math.round(left)}px, ${Math.round(top)}px)`;
  };
  return {
    show(lines, x, y) {
      box.replaceChildren(...[lines].flat().map((line) => element("div", "", line)));
      box.hidden = false;
      place(x, y);
    },
    hide() { box.hidden = true; },
  };
})();

// Marks and tokens that say something.
document.querySelectorAll("[data-tip] > title").forEach((title) => title.remove());
document.addEventListener("pointerover", (event) => {
  const mark = event.target.closest?.("[data-tip]");
  if (mark) tip.show(mark.dataset.tip, event.clientX, event.clientY);
});
document.addEventListener("pointerout", (event) => {
  if (event.target.closest?.("[data-tip]")) tip.hide();
});
addEventListener("scroll", () => tip.hide(), { passive: true });
addEventListener("keydown", (event) => { if (event.key === "Escape") tip.hide(); });

document.querySelectorAll(".tokens").forEach((line) => {
  const tokens = [...line.querySelectorAll("[data-tip]")];
  let at = -1;
  const go = (next) => {
    tokens[at]?.classList.remove("active");
    at = Math.min(Math.max(next, 0), tokens.length - 1);
    tokens[at].classList.add("active");
    const box = tokens[at].getBoundingClientRect();
    tip.show(tokens[at].dataset.tip, box.left + box.width / 2, box.top);
  };
  line.addEventListener("keydown", (event) => {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (step) { event.preventDefault(); go(at + step); }
  });
  line.addEventListener("blur", () => { tokens[at]?.classList.remove("active"); at = -1; tip.hide(); });
});

// Pointing at a line chart: the nearest step's value on every line.
const short = (value) => {
  const size = Math.abs(value);
  if (size >= 1000) return value.toLocaleString("en", { maximumFractionDigits: 0 });
  return size !== 0 && size < 1e-3 ? value.toExponential(1) : String(+value.toPrecision(4));
};
document.querySelectorAll("figure[data-lines]").forEach((figure) => {
  const chart = JSON.parse(figure.dataset.lines);
  const svg = figure.querySelector("svg");
  const [left, right, top, bottom] = chart.box;
  const rule = document.createElementNS("http://www.w3.org/2000/svg", "line");
  rule.setAttribute("class", "rule");
  rule.setAttribute("y1", top);
  rule.setAttribute("y2", bottom);
  rule.style.display = "none";
  svg.append(rule);
  const nearest = (points, x) => points.reduce(
    (best, point) => (Math.abs(point[0] - x) < Math.abs(best[0] - x) ? point : best));
  svg.addEventListener("pointermove", (event) => {
    const box = svg.getBoundingClientRect();
    const place = ((event.clientX - box.left) / box.width) * svg.viewBox.baseVal.width;
    const share = Math.min(Math.max((place - left) / (right - left), 0), 1);
    const x = chart.x[0] + share * (chart.x[1] - chart.x[0]);
    const found = chart.lines.map(([name, points]) => [name, nearest(points, x)]);
    const at = found[0][1][0];
    const drawn = left + ((at - chart.x[0]) / (chart.x[1] - chart.x[0])) * (right - left);
    rule.setAttribute("x1", drawn);
    rule.setAttribute("x2", drawn);
    rule.style.display = "";
    const lines = found.map(([name, point]) => `${name}: ${short(point[1])}`);
    tip.show([`${chart.unit} ${short(Math.round(at * 10) / 10)}`, ...lines], event.clientX, event.clientY);
  });
  svg.addEventListener("pointerleave", () => { rule.style.display = "none"; tip.hide(); });
});

// On paper everything is unfolded.
addEventListener("beforeprint", () => {
  document.querySelectorAll("details:not([open])").forEach((one) => {
    one.open = true;
    one.dataset.folded = "";
  });
});
addEventListener("afterprint", () => {
  document.querySelectorAll("details[data-folded]").forEach((one) => {
    one.open = false;
    delete one.dataset.folded;
  });
});
