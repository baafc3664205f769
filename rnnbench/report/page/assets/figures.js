/* Figures: drawn by plotly when they come into sight, in the theme's colours, to the width that there is. */
"use strict";
const Figures = (() => {
  const page = JSON.parse(document.getElementById("data").textContent);
  const drawn = new Map(); // element → what it shows
  const config = {
    displaylogo: false,
    plotlyServerURL: "", // plotly's own default offers to upload the figure
    modeBarButtons: [["zoom2d", "pan2d", "resetScale2d", "toImage"]],
    displayModeBar: matchMedia("(pointer: coarse)").matches ? false : "hover",
    toImageButtonOptions: { format: "svg" },
  };
  const css = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

  /* In the dark theme each colour of the page is replaced by its brighter counterpart. */
  function themed(spec) {
    const words = JSON.stringify(spec);
    if (css("--theme") !== "dark") return JSON.parse(words);
    return JSON.parse(words.replace(/#[0-9A-F]{6}/g, (color) => page.dark[color] || color));
  }

  function legendHeight(data, width) {
    const names = new Set(data.filter((one) => one.showlegend !== false && one.type === "scatter").map((one) => one.name));
    if (names.size < 2) return 0;
    const longest = Math.max(...[...names].map((name) => name.length));
    const columns = Math.max(1, Math.floor(width / (7 * longest + 52)));
    return 21 * Math.ceil(names.size / columns) + 14;
  }

  /* Plain numbers at 1, 2, 5, 10, … or, over several decades, at powers of ten. */
  function logTicks(known) {
    const [low, high] = [Math.min(...known), Math.max(...known)];
    const decades = Math.log10(high / low);
    const every = Math.max(1, Math.round(decades / 7));
    const out = { tickvals: [], ticktext: [] };
    for (let k = Math.floor(Math.log10(low)) - 1; k <= Math.log10(high) + 1; k += every) {
      for (const digit of decades < 2.5 ? [1, 2, 5] : [1]) {
        const value = digit * 10 ** k;
        out.tickvals.push(value);
        if (value >= 1e9 || value < 1e-4) out.ticktext.push(`${digit > 1 ? digit + "·" : ""}10<sup>${k}</sup>`);
        else out.ticktext.push(value >= 1e6 ? `${value / 1e6}M` : value >= 1e3 ? `${value / 1e3}k` : String(Number(value.toPrecision(2))));
      }
    }
    return out;
  }

  function axis(own, narrow, values) {
    const soft = css("--soft");
    const out = {
      automargin: true, gridcolor: css("--grid"), zerolinecolor: css("--line"), linecolor: css("--line"),
      tickfont: { color: soft, size: narrow ? 10 : 11 }, ...own,
    };
    out.title = { ...own.title, font: { color: soft, size: 12 }, standoff: 8 };
    const known = values.filter((value) => typeof value === "number" && value > 0);
    out.exponentformat = Math.max(...known) >= 1000 ? "SI" : "power";
    if (own.type === "log" && !own.tickvals && known.length) Object.assign(out, logTicks(known));
    if (narrow && out.ticktext) {
      out.ticktext = out.ticktext.map((name) => (name.length > 15 ? name.slice(0, 14) + "…" : name));
    }
    return out;
  }

  function layout(own, data, width) {
    const narrow = width < 480;
    const legend = legendHeight(data, width);
    const font = getComputedStyle(document.body).fontFamily;
    return {
      width, height: own.height + legend, margin: { l: 40, r: 14, t: 26, b: 44 + legend },
      paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)",
      font: { family: font, size: 12, color: css("--ink") },
      xaxis: axis(own.xaxis, narrow, data.flatMap((one) => one.x)), yaxis: axis(own.yaxis, narrow, data.flatMap((one) => one.y)),
      showlegend: legend > 0, hovermode: "closest",
      dragmode: matchMedia("(pointer: coarse)").matches ? false : "zoom",
      legend: { orientation: "h", x: 0, xanchor: "left", y: 0, yref: "container", yanchor: "bottom", font: { size: 11.5 } },
      hoverlabel: { bgcolor: css("--wash"), bordercolor: css("--line"), font: { color: css("--ink") } },
      modebar: { bgcolor: "rgba(0,0,0,0)", color: css("--soft"), activecolor: css("--link") },
    };
  }

  function draw(element, spec) {
    drawn.set(element, spec);
    const width = element.clientWidth;
    if (!width) return;
    const shown = themed(spec);
    element.dataset.width = width;
    element.dataset.theme = css("--theme");
    Plotly.react(element, shown.data, layout(shown.layout, shown.data, width), config);
    element.style.minHeight = "0";
    resized.observe(element);
  }

  const resized = new ResizeObserver((entries) => {
    for (const { target } of entries) {
      const wrong = target.clientWidth !== Number(target.dataset.width) || target.dataset.theme !== css("--theme");
      if (target.isConnected && target.clientWidth && drawn.has(target) && wrong) draw(target, drawn.get(target));
    }
  });

  const sight = new IntersectionObserver((entries) => {
    for (const entry of entries) if (entry.isIntersecting) reveal(entry.target);
  }, { rootMargin: "500px" });

  function reveal(element) {
    sight.unobserve(element);
    if (!drawn.has(element)) draw(element, page.plots[Number(element.dataset.plot)]);
  }

  function watch() {
    for (const element of document.querySelectorAll("[data-plot]")) sight.observe(element);
    addEventListener("beforeprint", () => document.querySelectorAll("[data-plot]").forEach(reveal));
  }

  function redraw() {
    for (const [element, spec] of drawn) draw(element, spec);
  }

  function forget(parent) {
    for (const element of [...drawn.keys()]) {
      if (parent.contains(element)) {
        Plotly.purge(element);
        resized.unobserve(element);
        drawn.delete(element);
      }
    }
  }

  return { page, draw, watch, redraw, forget };
})();
