"use strict";
// Test rows: mistakes first, and a cell of the confusion table shows its rows.
(() => {
  if (!byId("test-table")) return;
  const data = JSON.parse(byId("tests-data").textContent);
  const answerOf = (row) => data.labels[data.answer[row]];
  const right = (row) => data.label[row] === data.answer[row];
  const surest = (a, b) => data.confidence[b] - data.confidence[a];
  options(byId("test-label"), data.labels);
  options(byId("test-answer"), data.labels);
  const tests = viewer("test-", data, {
    kind: (row) => (data.label[row] < 0 || right(row) ? "" : "mistake"),
    facts: (row) => [
      ...(data.label[row] < 0 ? [] : [labelChip(data.labels[data.label[row]], data.label[row])]),
      ...meterOf(data.confidence[row], `sure ${data.confidence[row].toFixed(2)}`),
      element("span", right(row) ? "verdict good" : "verdict bad", `answered ${answerOf(row)}`),
    ],
    details: (row) => [
      ["label", data.labels[data.label[row]] ?? null],
      ["answer", answerOf(row)],
      ["confidence", data.confidence[row]],
    ],
    matches: (row, wanted) => (wanted.label === "" || data.label[row] === +wanted.label)
      && (wanted.answer === "" || data.answer[row] === +wanted.answer)
      && (wanted.result === "" || right(row) === (wanted.result === "right")),
    orders: {
      wrong: (a, b) => right(a) - right(b) || surest(a, b),
      unsure: (a, b) => -surest(a, b),
    },
  });
  document.querySelectorAll("a[data-cell]").forEach((cell) => {
    cell.addEventListener("click", () => {
      const [label, answer] = cell.dataset.cell.split(" ");
      tests.show({ label, answer });
    });
  });
})();

// Written rows: kept, dropped and relabelled by hand, and saved as a file for `dawgen tune`.
(() => {
  if (!byId("table")) return;
  const data = JSON.parse(byId("rows-data").textContent);
  const edits = new Map(); // row -> {kept, label}
  let saved = true;
  const written = (row) => ({ kept: data.reason[row] < 0, label: data.label[row] });
  const now = (row) => edits.get(row) ?? written(row);
  const stateOf = (row) => (now(row).kept ? "kept" : edits.has(row) && written(row).kept ? "dropped" : "rejected");
  options(byId("label"), data.labels);
  options(byId("reason"), data.reasons);
  options(byId("relabel"), data.labels);
  const confidence = (row) => data.sure[row] ?? data.ratio[row]; // to its label
  const sorted = (row, none) => confidence(row) ?? none; // unscored rows last
  const measure = (row) => (data.sure[row] === null ? "ratio" : "sure");
  const rows = viewer("", data, {
    kind: (row) => (now(row).kept ? "" : "rejected"),
    facts: (row) => [
      labelChip(data.labels[now(row).label], now(row).label),
      ...(confidence(row) === null ? [] : meterOf(confidence(row), `${measure(row)} ${confidence(row).toFixed(2)}`)),
      ...(now(row).kept ? [] : [element("span", "verdict bad",
        stateOf(row) === "dropped" ? "dropped by hand" : data.reasons[data.reason[row]])]),
      ...(now(row).kept && edits.has(row) ? [element("span", "verdict good", "changed by hand")] : []),
    ],
    details: (row) => [
      ["label", data.labels[now(row).label]],
      ["state", stateOf(row) === "rejected" ? `rejected: ${data.reasons[data.reason[row]]}` : stateOf(row)],
      ["probability by the reader", data.sure[row]],
      ["label ratio", data.ratio[row]],
      ["log-likelihood", data.likelihood[row]],
      ["first sentence", data.first[row]],
    ],
    matches: (row, wanted) => (wanted.label === "" || now(row).label === +wanted.label)
      && (wanted.state === "" || (wanted.state === "edited" ? edits.has(row) : stateOf(row) === wanted.state))
      && (wanted.reason === "" || data.reason[row] === +wanted.reason),
    orders: {
      high: (a, b) => sorted(b, -1) - sorted(a, -1),
      low: (a, b) => sorted(a, 2) - sorted(b, 2),
    },
    opened: (row) => {
      byId("keep").setAttribute("aria-pressed", String(now(row).kept));
      byId("drop").setAttribute("aria-pressed", String(!now(row).kept));
      byId("relabel").value = String(now(row).label);
    },
  });
  const edit = (change) => {
    const row = rows.row();
    const { kept, label } = { ...now(row), ...change };
    const before = written(row);
    if (kept === before.kept && label === before.label) edits.delete(row);
    else edits.set(row, { kept, label });
    saved = edits.size === 0;
    byId("edited").textContent = edits.size ? `${edits.size.toLocaleString("en")} changed by hand` : "";
    rows.fill();
    rows.draw();
  };
  byId("keep").addEventListener("click", () => edit({ kept: true }));
  byId("drop").addEventListener("click", () => edit({ kept: false }));
  byId("relabel").addEventListener("change", (event) => edit({ label: +event.target.value, kept: true }));

  // As `dawgen predict` writes CSV: an apostrophe before what a spreadsheet takes for a formula.
  const formula = new RegExp("^(?=[ \\u00a0\\u3000\\ufeff]*[\\t\\r])"
    + "|(^|[;\\t\\n\\r\\v\\f\\x1c-\\x1e\\x85\\u2028\\u2029])"
    + "(?=[ \\u00a0\\u3000\\ufeff]*[=+\\-@\\uff1d\\uff0b\\uff0d\\uff20](?!\\)))", "g");
  const cell = (text) => `"${text.replace(formula, (_, mark) => `${mark ?? ""}'`).replaceAll('"', '""')}"`;
  byId("save").addEventListener("click", () => {
    const pair = data.columns.length === 3;
    const lines = data.text1.map((text, row) => row).filter((row) => now(row).kept).map((row) => [
      data.text1[row], ...(pair ? [data.text2[row] ?? ""] : []), data.labels[now(row).label],
    ]);
    const text = [data.columns, ...lines].map((cells) => `${cells.map(cell).join(",")}\n`).join("");
    const link = element("a");
    link.href = URL.createObjectURL(new Blob([text], { type: "text/csv" }));
    link.download = "edited.csv";
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 10000);
    saved = true;
  });
  addEventListener("beforeunload", (event) => { if (!saved) event.preventDefault(); });
})();
