"use strict";
// The map: all points on one canvas; what is pointed at is found in a grid of cells.
(() => {
  const source = byId("map-data");
  const data = source && JSON.parse(source.textContent);
  if (!data) return;
  const labels = JSON.parse(byId("rows-data").textContent).labels;
  const plane = byId("plane");
  const canvas = plane.querySelector("canvas");
  const marker = byId("marker");
  const keys = byId("map-keys");
  const shown = { label: labels.map(() => true), kind: data.kinds.map((_, kind) => data.kind.includes(kind)) };
  const bounds = (values) => [Math.min(...values), Math.max(...values)];
  // reduce, not spread: tens of thousands of points are too many arguments
  const range = (values) => values.reduce(([a, b], v) => [Math.min(a, v), Math.max(b, v)], bounds([values[0]]));
  const [left, right] = range(data.x);
  const [bottom, top] = range(data.y);
  let places = [];
  let width = 0;
  let height = 0;

  const corners = [
    null, // round
    [[-0.9, -0.9], [0.9, -0.9], [0.9, 0.9], [-0.9, 0.9]],
    [[0, -1.25], [1.25, 0], [0, 1.25], [-1.25, 0]],
    [[0, -1.25], [1.2, 0.9], [-1.2, 0.9]],
  ];
  const larger = labels.length > 8 ? 1.3 : 1; // shapes need more room than colours
  const outline = (pen, i, radius) => {
    const [x, y] = places[i];
    const size = radius * larger;
    const shape = corners[labelShape(data.label[i])];
    pen.beginPath();
    if (shape) shape.forEach(([across, down]) => pen.lineTo(x + across * size, y + down * size));
    else pen.arc(x, y, size, 0, 7);
    pen.closePath();
  };

  const visible = (i) => shown.kind[data.kind[i]] && (data.label[i] < 0 || shown.label[data.label[i]]);
  const colours = () => [...keys.querySelectorAll("[data-label]")].map((key) => getComputedStyle(key).getPropertyValue("color"));

  const draw = () => {
    width = plane.clientWidth;
    height = Math.round(Math.min(width * 0.62, 560));
    const dots = window.devicePixelRatio || 1;
    canvas.width = width * dots;
    canvas.height = height * dots;
    canvas.style.height = `${height}px`;
    const pen = canvas.getContext("2d");
    pen.scale(dots, dots);
    const paper = getComputedStyle(plane).backgroundColor;
    const ink = colours();
    const pad = 14;
    places = data.x.map((x, i) => [
      pad + ((x - left) / (right - left || 1)) * (width - 2 * pad),
      height - pad - ((data.y[i] - bottom) / (top - bottom || 1)) * (height - 2 * pad),
    ]);
    const size = data.x.length > 3000 ? 2 : 2.8;
    pen.globalAlpha = 0.55;
    places.forEach((_, i) => { // synthetic rows below
      if (data.kind[i] !== 0 || !visible(i)) return;
      pen.fillStyle = ink[data.label[i]];
      outline(pen, i, size);
      pen.fill();
    });
    pen.globalAlpha = 1;
    places.forEach((_, i) => { // real ones above, hollow; the few shots largest
      if (data.kind[i] === 0 || !visible(i)) return;
      outline(pen, i, data.kind[i] === 1 ? 6 : 3.6);
      pen.fillStyle = paper;
      pen.fill();
      pen.lineWidth = data.kind[i] === 1 ? 2.4 : 1.5;
      pen.strokeStyle = ink[data.label[i]] ?? "currentColor";
      pen.stroke();
    });
    marker.hidden = true;
  };

  const tell = (i, quiet) => {
    const [x, y] = places[i];
    marker.hidden = false;
    marker.style.transform = `translate(${x}px, ${y}px)`;
    const label = data.label[i] < 0 ? "no label" : labels[data.label[i]];
    const lines = [`${data.kinds[data.kind[i]]} · ${label}`, data.text1[i], ...(data.text2[i] === null ? [] : [data.text2[i]])];
    const box = canvas.getBoundingClientRect();
    tip.show(lines, box.left + x, box.top + y);
    if (!quiet) byId("point").textContent = lines.join(" — ");
  };
  let at = -1;
  canvas.addEventListener("pointermove", (event) => {
    const box = canvas.getBoundingClientRect();
    const [px, py] = [event.clientX - box.left, event.clientY - box.top];
    let best = 144; // squared pixels
    let near = -1;
    for (let i = 0; i < places.length; i += 1) {
      const far = (places[i][0] - px) ** 2 + (places[i][1] - py) ** 2;
      if (far < best && visible(i)) { best = far; near = i; }
    }
    if (near >= 0) { at = near; tell(near); } else { marker.hidden = true; tip.hide(); }
  });
  canvas.addEventListener("pointerleave", () => { marker.hidden = true; tip.hide(); });
  canvas.addEventListener("keydown", (event) => {
    const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
    if (!step) return;
    event.preventDefault();
    for (let i = 0; i < places.length; i += 1) {
      at = (at + step + places.length) % places.length;
      if (visible(at)) { tell(at); return; }
    }
  });
  canvas.addEventListener("blur", () => { marker.hidden = true; tip.hide(); });

  const key = (kind, place, name, look) => {
    const button = element("button", `toggle ${look}`, name);
    button.type = "button";
    button.dataset[kind] = place;
    button.ariaPressed = "true";
    button.addEventListener("click", () => {
      shown[kind][place] = !shown[kind][place];
      button.ariaPressed = String(shown[kind][place]);
      draw();
    });
    keys.append(button);
  };
  labels.forEach((name, place) => key("label", place, name, labelKind(place)));
  data.kinds.forEach((name, place) => {
    if (shown.kind[place]) key("kind", place, name === "shot" ? "few shots" : `${name} rows`, place === 0 ? "filled" : "ring");
  });
  new ResizeObserver(draw).observe(plane);
  document.addEventListener("themechange", draw);
  draw();
})();
