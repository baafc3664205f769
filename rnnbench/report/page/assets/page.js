/* The page: its theme, and a run's own page where the address says #run/NAME. Text is only ever set as text. */
"use strict";
(() => {
  const { page } = Figures;
  const byRoute = new Map(page.runs.map((run, place) => [run.route, place]));
  const study = document.getElementById("study");
  const article = document.getElementById("run");
  const FIRST = ["test", "val", "train", "final", "init", "throughput", "memory"]; // of a run's metrics
  const COLORS = { blue: "#0072B2", orange: "#D55E00", green: "#009E73" };

  function make(tag, attributes, ...children) {
    const element = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes || {})) element.setAttribute(name, value);
    element.append(...children.filter((child) => child !== null));
    return element;
  }

  /* ---- theme ---- */
  const system = matchMedia("(prefers-color-scheme: dark)");
  const button = document.getElementById("theme");
  let chosen = null;
  try { chosen = localStorage.getItem("rnnbench-theme"); } catch { /* a page from disk may be denied it */ }

  function showTheme() {
    if (chosen) document.documentElement.dataset.theme = chosen;
    const dark = (chosen || (system.matches ? "dark" : "light")) === "dark";
    button.textContent = dark ? "light" : "dark";
    button.setAttribute("aria-label", `Switch to ${button.textContent} colours`);
    Figures.redraw();
  }
  button.addEventListener("click", () => {
    chosen = button.textContent;
    try { localStorage.setItem("rnnbench-theme", chosen); } catch { /* then it lasts as long as the page */ }
    showTheme();
  });
  system.addEventListener("change", showTheme);
  addEventListener("beforeprint", () => {
    document.documentElement.dataset.theme = "light";
    Figures.redraw();
  });
  addEventListener("afterprint", () => {
    delete document.documentElement.dataset.theme;
    showTheme();
  });

  /* ---- a run ---- */
  function yaml(value, indent = "") {
    return Object.entries(value).map(([key, inner]) => {
      const nested = inner !== null && typeof inner === "object" && !Array.isArray(inner);
      if (nested && Object.keys(inner).length) return `${indent}${key}:\n${yaml(inner, indent + "  ")}`;
      return `${indent}${key}: ${nested ? "{}" : scalar(inner)}`;
    }).join("\n");
  }

  function scalar(value) {
    if (Array.isArray(value)) return `[${value.map(scalar).join(", ")}]`;
    if (value !== null && typeof value === "object") return JSON.stringify(value);
    const plain = typeof value !== "string" || /^(?!(true|false|null|yes|no|on|off)$)[A-Za-z_][\w()=./-]*$/i.test(value);
    return plain ? String(value) : JSON.stringify(value);
  }

  function shown(value) {
    if (typeof value !== "number") return value === null ? "–" : { inf: "∞", "-inf": "−∞" }[value] || String(value);
    const words = Number.isInteger(value) ? String(value) : String(Number(value.toPrecision(5)));
    return words.replace(/\B(?=(\d{3})+$)/g, /^\d{5,}$/.test(words) ? "\u202f" : "");
  }

  function list(pairs) {
    return make("dl", {}, ...Object.entries(pairs).flatMap(([key, value]) =>
      [make("dt", {}, key), make("dd", {}, shown(value))]));
  }

  function cellOf(value) {
    const cell = make("td", typeof value === "string" ? { class: "words" } : {}, value === undefined ? "" : shown(value));
    if (typeof value === "number") cell.dataset.value = value;
    return cell;
  }

  /* names: of the columns; rows: [head, values of those columns]. */
  function tableOf(title, names, rows) {
    const heads = names.map((name, at) => make("th", at ? { scope: "col" } : { scope: "col", class: "words" }, name));
    const lines = rows.map(([head, values]) =>
      make("tr", {}, make("th", { scope: "row", class: "words" }, head), ...values.map(cellOf)));
    const table = make("table", { class: "sortable" }, make("caption", { class: "hidden" }, title),
      make("thead", {}, make("tr", {}, ...heads)), make("tbody", {}, ...lines));
    const scroll = make("div", { class: "scroll tall", role: "region", tabindex: "0", "aria-label": title }, table);
    const box = make("div", { class: "table" }, make("h2", {}, title), scroll);
    Tables.enhance(box);
    return box;
  }

  function metricsTable(metrics) {
    const place = ([key]) => (FIRST.indexOf(key.split("/")[0]) + 1 || FIRST.length + 1);
    const rows = Object.entries(metrics).sort((a, b) => place(a) - place(b)).map(([key, value]) => [key, [value]]);
    return rows.length ? tableOf("Metrics", ["metric", "value"], rows) : null;
  }

  /* A timing's CELL/BACKEND/WHAT: a line a contestant. */
  function contestants(metrics) {
    const rows = new Map();
    const names = new Set();
    for (const [key, value] of Object.entries(metrics)) {
      const parts = key.split("/");
      if (parts.length < 3) continue;
      const what = parts.pop();
      names.add(what);
      const head = parts.join(" · ");
      rows.set(head, { ...rows.get(head), [what]: value });
    }
    const words = (name) => (name === "refused" || name === "kernels" ? 1 : 0);
    const columns = [...names].sort((a, b) => words(a) - words(b));
    return tableOf("Contestants", ["contestant", ...columns], [...rows].map(([head, row]) => [head, columns.map((name) => row[name])]));
  }

  function line(name, [x, y], color, dash = "solid") {
    return { type: "scatter", mode: x.length > 1 ? "lines" : "markers", name, x, y, line: { color, dash, width: 2 }, marker: { color } };
  }

  function plotsOf(run) {
    const { curves, learning } = run;
    const out = [];
    if (learning && Object.keys(learning).length) {
      const data = [];
      if (learning.train) data.push(line("training", learning.train, COLORS.orange, "dot"));
      if (learning.val) data.push({ ...line("validation", learning.val, COLORS.blue), mode: "lines+markers" });
      out.push(["How did it learn?", data, "tokens seen", run.unit, {}]);
    }
    const flows = [["init/gradient_flow", "at first", "dot"], ["final/gradient_flow", "after training", "solid"]]
      .filter(([key]) => curves[key]).map(([key, name, dash]) => line(name, curves[key], COLORS.blue, dash));
    const lowest = Math.max(-12.3, Math.min(-1, ...flows.flatMap((one) => one.y.filter((value) => value !== null))) - 0.3);
    const highest = Math.min(12.3, Math.max(0, ...flows.flatMap((one) => one.y)) + 0.3);
    if (flows.length) out.push(["How far do its gradients reach?", flows, "lag k (states back)", "log₁₀ G(k)/G(0)", { range: [lowest, highest] }]);
    if (curves.grad_norm) out.push(["How large were its gradients, at their largest?", [line("norm", curves.grad_norm, COLORS.green)], "step",
      "norm before clipping", { type: "log" }]);
    return out.map(([title, data, x, y, more], at) => {
      const canvas = make("div", { class: "canvas", role: "group", "aria-labelledby": `run-plot-${at}` });
      const spec = { data, layout: { height: 320, xaxis: { title: { text: x } }, yaxis: { title: { text: y }, ...more } } };
      return [make("figure", { class: "plot" }, make("figcaption", {}, make("h2", { id: `run-plot-${at}` }, title)), canvas), canvas, spec];
    });
  }

  function written(run) {
    const out = [];
    if (run.sample) out.push(make("h2", {}, "What it writes (the prompt marked)"), make("pre", {}, make("mark", {}, run.sample[0]), run.sample[1]));
    if (run.pairs) {
      out.push(make("h2", {}, "What it decodes"));
      for (const [source, target, decoded] of run.pairs) out.push(list({ source, target, decoded }));
    }
    return out;
  }

  function neighbour(place, words) {
    const run = page.runs[place];
    return run ? make("a", { href: `#run/${run.route}`, title: run.id }, words) : null;
  }

  function showRun(place) {
    const run = page.runs[place];
    const done = run.status === "done";
    const back = make("nav", { class: "run-nav", "aria-label": "Runs" }, make("a", { href: "#runs" }, "← all runs"),
      neighbour(place - 1, "previous"), neighbour(place + 1, "next"));
    const status = make("p", {}, make("span", { class: `status ${done ? "done" : "lost"}` }, run.status),
      ` · ${shown(run.seconds)} seconds`);
    const error = run.error ? make("pre", { class: "error" }, run.error) : null;
    const plots = plotsOf(run);
    const config = make("div", {}, make("h2", {}, "Configuration"), make("pre", {}, yaml(run.config)));
    const environment = make("div", {}, make("h2", {}, "Environment"), list(page.environments[run.environment]));
    const timing = run.learning === undefined && Object.keys(run.metrics).some((key) => key.split("/").length > 2);
    const rest = Object.fromEntries(Object.entries(run.metrics).filter(([key]) => !timing || key.split("/").length < 3));
    article.replaceChildren(back, make("h1", { tabindex: "-1" }, run.id), status, ...(error ? [error] : []),
      make("div", { class: "figures" }, ...plots.map(([figure]) => figure)), ...written(run),
      ...(timing ? [contestants(run.metrics)] : []),
      make("div", { class: "columns" }, make("div", {}, metricsTable(rest), environment), config));
    return () => plots.forEach(([, canvas, spec]) => Figures.draw(canvas, spec));
  }

  /* ---- the address ---- */
  function route(first) {
    const name = location.hash.startsWith("#run/") ? location.hash.slice(5) : null;
    Figures.forget(article);
    article.replaceChildren();
    study.hidden = name !== null;
    article.hidden = name === null;
    if (name === null) {
      document.title = `${page.study} · rnnbench`;
      const target = location.hash.length > 1 && document.getElementById(location.hash.slice(1));
      if (target) target.scrollIntoView();
      return;
    }
    if (byRoute.has(name)) {
      const place = byRoute.get(name);
      const draw = showRun(place);
      document.title = `${page.runs[place].id} · ${page.study}`;
      draw();
    } else {
      article.append(make("h1", { tabindex: "-1" }, "No such run"), make("p", {}, make("a", { href: "#runs" }, "All runs")));
    }
    scrollTo(0, 0);
    if (!first) article.querySelector("h1").focus({ preventScroll: true });
  }

  for (const note of document.querySelectorAll(".scriptless")) note.remove();
  for (const box of document.querySelectorAll("#study .table")) Tables.enhance(box);
  button.hidden = false;
  showTheme();
  Figures.watch();
  addEventListener("hashchange", () => route(false));
  route(true);
})();
