/**
 * Making elements. Text goes in as text nodes and attributes alone, so that nothing a user is called can become markup.
 */

/**
 * An element. Properties named `on…` are listeners; `class`, `aria-…`, `data-…` and the like are attributes.
 * @param {string} tag
 * @param {Object<string, unknown>} [properties] null, undefined and false are left out
 * @param {...(Node|string|number|null|undefined|false)} children
 * @returns {HTMLElement}
 */
export function make(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) setProperty(element, name, value);
  element.append(...children.filter(isShown));
  return element;
}

function isShown(child) {
  return child !== null && child !== undefined && child !== false;
}

function setProperty(element, name, value) {
  if (value === null || value === undefined || value === false) return;
  if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
  else element.setAttribute(name, value === true ? "" : String(value));
}

/**
 * The element of the page with that id; a missing one is a mistake of ours and says so.
 * @param {string} id
 * @returns {HTMLElement}
 */
export function byId(id) {
  const found = document.getElementById(id);
  if (!found) throw new Error(`the page has no #${id}`);
  return found;
}

/**
 * A table in a box that scrolls by itself, so that the page never does.
 * @param {{caption: string, columns: Array<{title: string, number?: boolean, hidden?: boolean}>,
 *   rows: Array<Array<Node|string>>, stacks?: boolean}} content  the first cell of a row is its heading; `stacks`: on a
 *   phone each row is a card. Roles are written out, as a table that is laid out otherwise loses its own.
 */
export function table({ caption, columns, rows, stacks = false }) {
  if (!rows.length) return make("p", { class: "empty" }, "There is nothing to list.");
  const head = columns.map((column) =>
    make("th", { scope: "col", role: "columnheader", class: classOf(column) }, titleOf(column)),
  );
  const body = rows.map((cells) =>
    make("tr", { role: "row" }, ...cells.map((cell, index) => cellOf(columns[index], cell, index))),
  );
  return make(
    "div",
    { class: stacks ? "scrolls stacks" : "scrolls", tabindex: "0", role: "region", "aria-label": caption },
    make(
      "table",
      { role: "table" },
      make("caption", { class: "unseen" }, caption),
      make("thead", { role: "rowgroup" }, make("tr", { role: "row" }, ...head)),
      make("tbody", { role: "rowgroup" }, ...body),
    ),
  );
}

function titleOf(column) {
  return column.hidden ? make("span", { class: "unseen" }, column.title) : column.title;
}

function classOf(column) {
  return column.number ? "number" : null;
}

function cellOf(column, cell, index) {
  const title = column.hidden ? null : column.title;
  if (index === 0) return make("th", { scope: "row", role: "rowheader", class: classOf(column) }, cell);
  return make("td", { role: "cell", class: classOf(column), "data-title": title }, cell);
}

/**
 * Show these instead of what was there, but only if that changes anything: what has the focus, is being selected or is
 * being read aloud isn't taken away every ten seconds.
 * @param {HTMLElement} place
 * @param {...(Node|string)} children
 */
export function show(place, ...children) {
  const next = place.cloneNode(false);
  next.append(...children);
  if (next.isEqualNode(place)) return;
  const focused = keyOfFocus(place);
  const open = keysOfOpen(place);
  place.replaceChildren(...next.childNodes);
  for (const key of open) keyed(place, key)?.setAttribute("open", "");
  if (focused) keyed(place, focused)?.focus();
}

function keyed(place, key) {
  return place.querySelector(`[data-key="${CSS.escape(key)}"]`);
}

function keysOfOpen(place) {
  return [...place.querySelectorAll("details[open][data-key]")].map((details) => details.dataset.key);
}

/** What had the focus inside it, by the name it keeps from one drawing to the next. */
function keyOfFocus(place) {
  const active = document.activeElement;
  return active && place.contains(active) ? active.dataset.key : undefined;
}
