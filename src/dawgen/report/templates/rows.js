"use strict";
// The table of rows: filtered and sorted as lists of places; only rows in view are elements.
(() => {
  const view = byId("table");
  if (!view) return;
  const data = JSON.parse(byId("rows-data").textContent);
  const [spacer, shelf] = view.children;
  const [search, label, state, reason, order] = ["search", "label", "state", "reason", "order"].map(byId);
  const all = data.text1.map((_, row) => row);
  let found = all;
  let active = 0;
  let lower = null; // texts in lower case, made when they are first searched

  const option = (list, name, value) => {
    const one = element("option", "", name);
    one.value = String(value);
    list.append(one);
  };
  data.labels.forEach((name, place) => option(label, name, place));
  data.reasons.forEach((name, place) => option(reason, name, place));

  const height = () => parseFloat(getComputedStyle(view).getPropertyValue("--row"));
  const stateOf = (row) => (data.reason[row] < 0 ? "kept" : "rejected");

  const build = (row, place) => {
    const line = element("div", `row ${stateOf(row)}`);
    line.id = `row-${place}`;
    line.role = "option";
    line.ariaSelected = String(place === active);
    line.ariaPosInSet = place + 1;
    line.ariaSetSize = found.length;
    const texts = element("div", "texts");
    texts.append(element("p", "", data.text1[row]));
    if (data.text2[row] !== null) texts.append(element("p", "", data.text2[row]));
    const facts = element("div", "facts");
    facts.append(element("span", `chip s${data.label[row] % 8}`, data.labels[data.label[row]]));
    const ratio = data.ratio[row];
    if (ratio !== null) {
      const meter = element("span", "meter");
      meter.style.setProperty("--share", ratio);
      facts.append(meter, element("span", "number", `ratio ${ratio.toFixed(2)}`));
    }
    if (data.reason[row] >= 0) facts.append(element("span", "why", data.reasons[data.reason[row]]));
    line.append(texts, facts);
    line.addEventListener("click", () => { active = place; draw(); open(); });
    return line;
  };

  let waiting = false;
  const draw = () => {
    waiting = false;
    const size = height();
    spacer.style.height = `${found.length * size}px`;
    const first = Math.max(0, Math.floor(view.scrollTop / size) - 4);
    const last = Math.min(found.length, Math.ceil((view.scrollTop + view.clientHeight) / size) + 4);
    shelf.style.transform = `translateY(${first * size}px)`;
    shelf.replaceChildren(...found.slice(first, last).map((row, i) => build(row, first + i)));
    if (active >= first && active < last) view.setAttribute("aria-activedescendant", `row-${active}`);
    else view.removeAttribute("aria-activedescendant");
  };
  const soon = () => { if (!waiting) { waiting = true; requestAnimationFrame(draw); } };

  const choose = () => {
    const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
    if (words.length && !lower) {
      lower = all.map((row) => `${data.text1[row]}\n${data.text2[row] ?? ""}`.toLowerCase());
    }
    found = all.filter((row) =>
      (label.value === "" || data.label[row] === +label.value)
      && (state.value === "" || stateOf(row) === state.value)
      && (reason.value === "" || data.reason[row] === +reason.value)
      && words.every((word) => lower[row].includes(word)));
    if (order.value !== "written") {
      const sign = order.value === "high" ? -1 : 1;
      const key = (row) => data.ratio[row] ?? (sign < 0 ? -1 : 2); // unscored rows last
      found = found.toSorted((a, b) => sign * (key(a) - key(b)));
    }
    byId("found").textContent = `${found.length.toLocaleString("en")} of ${all.length.toLocaleString("en")} rows`;
    active = 0;
    view.scrollTop = 0;
    soon();
  };

  const dialog = byId("detail");
  const open = () => {
    const row = found[active];
    if (row === undefined) return;
    const body = dialog.firstElementChild;
    const facts = [
      ["label", data.labels[data.label[row]]],
      ["state", data.reason[row] < 0 ? "kept" : `rejected: ${data.reasons[data.reason[row]]}`],
      ["label ratio", data.ratio[row]],
      ["log-likelihood", data.likelihood[row]],
      ["first sentence", data.first[row]],
    ].filter(([, value]) => value !== null && value !== "");
    const list = element("dl", "facts");
    facts.forEach(([name, value]) => list.append(element("dt", "", name), element("dd", "", String(value))));
    const texts = [data.text1[row], data.text2[row]].filter((text) => text !== null);
    body.replaceChildren(...texts.map((text) => element("p", "text", text)), list);
    dialog.showModal();
  };
  dialog.querySelector("button").addEventListener("click", () => dialog.close());
  dialog.addEventListener("close", () => view.focus({ preventScroll: true }));

  view.addEventListener("keydown", (event) => {
    const page = Math.max(1, Math.floor(view.clientHeight / height()) - 1);
    const next = {
      ArrowDown: active + 1, ArrowUp: active - 1, PageDown: active + page, PageUp: active - page,
      Home: 0, End: found.length - 1,
    }[event.key];
    if (event.key === "Enter") { event.preventDefault(); open(); }
    if (next === undefined || !found.length) return;
    event.preventDefault();
    active = Math.min(Math.max(next, 0), found.length - 1);
    const size = height();
    if (active * size < view.scrollTop) view.scrollTop = active * size;
    if ((active + 1) * size > view.scrollTop + view.clientHeight) {
      view.scrollTop = (active + 1) * size - view.clientHeight;
    }
    draw();
  });
  view.addEventListener("scroll", soon, { passive: true });
  addEventListener("resize", soon);
  search.addEventListener("input", choose);
  [label, state, reason, order].forEach((one) => one.addEventListener("change", choose));
  choose();
})();
