// Texts whose contrast with what lies below them is under 4.5 to 1 (WCAG AA).
() => {
  const canvas = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
  const channels = (colour, below) => {
    canvas.fillStyle = below; canvas.fillRect(0, 0, 1, 1);
    canvas.fillStyle = colour; canvas.fillRect(0, 0, 1, 1);
    return [...canvas.getImageData(0, 0, 1, 1).data].slice(0, 3);
  };
  const light = (rgb) => {
    const [r, g, b] = rgb.map((c) => (c / 255 <= 0.04045 ? c / 255 / 12.92 : ((c / 255 + 0.055) / 1.055) ** 2.4));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const paper = getComputedStyle(document.body).backgroundColor;
  const worst = [];
  document.querySelectorAll("body *").forEach((one) => {
    const own = [...one.childNodes].some((n) => n.nodeType === 3 && n.textContent.trim());
    if (!own || !one.checkVisibility({ opacityProperty: true, visibilityProperty: true })) return;
    const style = getComputedStyle(one);
    let below = paper;
    const chain = [];
    for (let up = one; up && up !== document.body; up = up.parentElement) chain.unshift(up);
    chain.forEach((up) => { below = `rgb(${channels(getComputedStyle(up).backgroundColor, below)})`; });
    const ink = one.closest("svg") ? style.fill : style.color;
    const [a, b] = [light(channels(ink, below)), light(channels(below, below))].sort((x, y) => y - x);
    const ratio = (a + 0.05) / (b + 0.05);
    if (ratio < 4.5) worst.push(`${ratio.toFixed(2)} ${one.tagName}.${one.getAttribute("class")} ${one.textContent.slice(0, 40)}`);
  });
  return worst;
}
