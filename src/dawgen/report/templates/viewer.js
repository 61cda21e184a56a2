"use strict";
// A table of rows: filtered and sorted as lists of places; only rows in view are elements.
// Its parts are in the page under the ids prefix + name. What its rows are, `spec` says:
//   kind(row)          a class of the row's line
//   facts(row)         elements beside the texts
//   details(row)       [name, value] pairs of the dialog
//   matches(row, wanted)  whether the filters, by name, let the row through
//   orders             by name: how two rows compare
const viewer = (prefix, data, spec) => {
  const part = (name) => byId(`${prefix}${name}`);
  const view = part("table");
  const [spacer, shelf] = view.children;
  const search = part("search");
  const order = part("order");
  const filters = [...view.parentElement.querySelectorAll("select[data-filter]")];
  const all = data.text1.map((_, row) => row);
  let found = all;
  let active = 0;
  let lower = null; // texts in lower case, made when they are first searched

  const height = () => parseFloat(getComputedStyle(view).getPropertyValue("--row"));

  const build = (row, place) => {
    const line = element("div", `row ${spec.kind(row)}`);
    line.id = `${prefix}row-${place}`;
    line.role = "option";
    line.ariaSelected = String(place === active);
    line.ariaPosInSet = place + 1;
    line.ariaSetSize = found.length;
    const texts = element("div", "texts");
    texts.append(element("p", "", data.text1[row]));
    if (data.text2[row] !== null) texts.append(element("p", "", data.text2[row]));
    const facts = element("div", "facts");
    facts.append(...spec.facts(row));
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
    if (active >= first && active < last) view.setAttribute("aria-activedescendant", `${prefix}row-${active}`);
    else view.removeAttribute("aria-activedescendant");
  };
  const soon = () => { if (!waiting) { waiting = true; requestAnimationFrame(draw); } };

  const choose = () => {
    const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
    if (words.length && !lower) {
      lower = all.map((row) => `${data.text1[row]}\n${data.text2[row] ?? ""}`.toLowerCase());
    }
    const wanted = Object.fromEntries(filters.map((one) => [one.dataset.filter, one.value]));
    found = all.filter((row) => spec.matches(row, wanted) && words.every((word) => lower[row].includes(word)));
    const compare = spec.orders[order.value];
    if (compare) found = found.toSorted(compare);
    part("found").textContent = `${found.length.toLocaleString("en")} of ${all.length.toLocaleString("en")} rows`;
    active = 0;
    view.scrollTop = 0;
    soon();
  };

  const dialog = part("detail");
  const fill = () => {
    const row = found[active];
    const list = element("dl", "facts");
    spec.details(row).filter(([, value]) => value !== null && value !== "").forEach(([name, value]) => {
      list.append(element("dt", "", name), element("dd", "", String(value)));
    });
    const texts = [data.text1[row], data.text2[row]].filter((text) => text !== null);
    dialog.firstElementChild.replaceChildren(...texts.map((text) => element("p", "text", text)), list);
    spec.opened?.(row);
  };
  const open = () => {
    if (found[active] === undefined) return;
    fill();
    dialog.showModal();
  };
  const go = (next) => {
    if (!found.length) return;
    active = Math.min(Math.max(next, 0), found.length - 1);
    const size = height();
    if (active * size < view.scrollTop) view.scrollTop = active * size;
    if ((active + 1) * size > view.scrollTop + view.clientHeight) {
      view.scrollTop = (active + 1) * size - view.clientHeight;
    }
    draw();
    if (dialog.open) fill();
  };
  part("close").addEventListener("click", () => dialog.close());
  part("next").addEventListener("click", () => go(active + 1));
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
    go(next);
  });
  view.addEventListener("scroll", soon, { passive: true });
  addEventListener("resize", soon);
  search.addEventListener("input", choose);
  [...filters, order].forEach((one) => one.addEventListener("change", choose));
  choose();
  return {
    draw,
    fill,
    row: () => found[active],
    // Shows the rows that the filters let through, and nothing else.
    show(wanted) {
      search.value = "";
      filters.forEach((one) => { one.value = wanted[one.dataset.filter] ?? ""; });
      choose();
    },
  };
};

const options = (list, names) => names.forEach((name, place) => {
  const one = element("option", "", name);
  one.value = String(place);
  list.append(one);
});
// Eight colours, and then the next of four shapes.
const labelShape = (place) => Math.max(0, Math.floor(place / 8) % 4);
const labelKind = (place) => `l${place % 8} shape${labelShape(place)}`;
const labelChip = (name, place) => element("span", `chip ${labelKind(place)}`, name);
const meterOf = (value, what) => {
  const meter = element("span", "meter");
  meter.style.setProperty("--share", value);
  return [meter, element("span", "number", what)];
};
