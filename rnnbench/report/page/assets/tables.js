/* Tables: a click on a head sorts by the numbers behind the entries, a search box and lists choose the rows. */
"use strict";
const Tables = (() => {
  const text = (cell) => cell.textContent.trim();

  function number(cell) {
    const value = cell.dataset.value;
    return value === undefined ? NaN : Number(value);
  }

  /* Numbers by size, words by the alphabet; what is missing comes last in either direction. */
  function sort(table, column, down) {
    const body = table.tBodies[0];
    const sign = down ? -1 : 1;
    const keyed = [...body.rows].map((row) => {
      const cell = row.cells[column];
      return { row, number: number(cell), words: text(cell) };
    });
    const numeric = keyed.some((one) => !Number.isNaN(one.number));
    const missing = (one) => (numeric ? Number.isNaN(one.number) : one.words === "" || one.words === "–");
    const words = new Intl.Collator("en", { numeric: true });
    keyed.sort((a, b) => {
      if (missing(a) || missing(b)) return missing(a) - missing(b);
      if (!numeric) return sign * words.compare(a.words, b.words);
      return a.number === b.number ? 0 : sign * (a.number < b.number ? -1 : 1);
    });
    body.append(...keyed.map((one) => one.row));
  }

  function sortable(table) {
    const heads = [...table.tHead.rows[0].cells];
    heads.forEach((head, column) => {
      const button = document.createElement("button");
      button.type = "button";
      button.textContent = text(head);
      head.replaceChildren(button);
      head.setAttribute("aria-sort", "none");
      button.addEventListener("click", () => {
        const down = head.getAttribute("aria-sort") === "ascending";
        heads.forEach((other) => other.setAttribute("aria-sort", "none"));
        head.setAttribute("aria-sort", down ? "descending" : "ascending");
        sort(table, column, down);
      });
    });
  }

  let controls = 0; // so far, on the page

  function labelled(words, control) {
    const label = document.createElement("label");
    control.id = `control-${++controls}`;
    label.htmlFor = control.id;
    label.textContent = words;
    const pair = document.createElement("span");
    pair.append(label, control);
    return pair;
  }

  function chooser(rows, head, column) {
    const select = document.createElement("select");
    const words = new Intl.Collator("en", { numeric: true });
    const values = [...new Set(rows.map((row) => text(row.cells[column])))].sort(words.compare);
    for (const value of ["", ...values]) select.add(new Option(value || "all", value));
    select.dataset.column = column;
    return [select, labelled(text(head), select)];
  }

  function filters(box, table) {
    const rows = [...table.tBodies[0].rows];
    const references = table.tBodies[1] ? [...table.tBodies[1].rows] : [];
    if (rows.length < 4) return;
    const words = new Map(rows.map((row) => [row, row.textContent.toLowerCase()]));
    const line = document.createElement("div");
    line.className = "controls";
    const search = document.createElement("input");
    search.type = "search";
    line.append(labelled("Filter", search));
    const selects = [];
    [...table.tHead.rows[0].cells].forEach((head, column) => {
      if (head.dataset.choose === undefined) return;
      const [select, label] = chooser(rows, head, column);
      selects.push(select);
      line.append(label);
    });
    const count = document.createElement("p");
    count.setAttribute("role", "status");
    line.append(count);

    function apply() {
      const wanted = search.value.toLowerCase().split(/\s+/).filter(Boolean);
      const chosen = selects.filter((select) => select.value !== "");
      const matches = (row, blank) =>
        chosen.every((select) => {
          const entry = text(row.cells[Number(select.dataset.column)]);
          return entry === select.value || (blank && (entry === "" || select.dataset.column === "0"));
        });
      let shown = 0;
      for (const row of rows) {
        row.hidden = !(matches(row, false) && wanted.every((word) => words.get(row).includes(word)));
        shown += row.hidden ? 0 : 1;
      }
      for (const row of references) row.hidden = !matches(row, true);
      count.textContent = shown === rows.length ? `${rows.length} rows` : `${shown} of ${rows.length} rows`;
    }
    for (const control of [search, ...selects]) control.addEventListener("input", apply);
    box.insertBefore(line, box.querySelector(".scroll"));
    apply();
  }

  /* box: an element with .scroll, and in it a table. */
  function enhance(box) {
    const table = box.querySelector("table");
    filters(box, table);
    sortable(table);
  }

  return { enhance };
})();
