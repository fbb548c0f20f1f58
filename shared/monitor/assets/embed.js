/**
 * Puts a "View Credit Refresh Monitor" button into an admin header that exists already:
 *
 *   <script src="https://…/credit-refresh-monitor/embed.js" data-into="#admin-header" defer></script>
 *
 * `data-into` is a selector; without it, or if it is no selector, the first <header> is taken, else the body. The address
 * of the monitor is the script's own, without `/embed.js`. An app may draw its header later, and again and again: the
 * button is put back whenever it is gone.
 */
(() => {
  "use strict";

  const MARK = "data-credit-refresh-monitor";
  const script = document.currentScript;
  const address = new URL(script.src);
  address.pathname = address.pathname.replace(/\/embed\.js$/, "") || "/";
  address.search = "";

  /** The host's own font and colours, so that it fits wherever it is put. */
  const style = {
    boxSizing: "border-box",
    display: "inline-flex",
    alignItems: "center",
    padding: "0.4em 0.8em",
    border: "1px solid currentColor",
    borderRadius: "0.4em",
    background: "transparent",
    color: "inherit",
    font: "inherit",
    lineHeight: "1.4",
    textDecoration: "none",
    whiteSpace: "nowrap",
  };

  let button = null;

  function makeButton() {
    const link = document.createElement("a");
    link.textContent = "View Credit Refresh Monitor";
    link.href = address.href;
    link.target = "_blank";
    link.rel = "noopener noreferrer";
    link.title = "Opens in a new tab";
    link.setAttribute(MARK, "");
    Object.assign(link.style, style);
    return link;
  }

  function findPlace(selector) {
    if (selector) return document.querySelector(selector);
    return document.querySelector("header") ?? document.body;
  }

  /** The selector to use; none if `data-into` is not one. */
  function selectorGiven() {
    const selector = script.dataset.into;
    try {
      document.querySelector(selector || "header");
      return selector;
    } catch {
      console.warn(`Credit Refresh Monitor: data-into="${selector}" is not a CSS selector; the first header is used.`);
      return null;
    }
  }

  function keepThere() {
    const selector = selectorGiven();
    const putBack = () => {
      const place = findPlace(selector);
      const there = document.querySelector(`[${MARK}]`);
      const isWellPlaced = there && (there !== button || there.parentElement !== document.body || place === document.body);
      if (place && !isWellPlaced) place.append((button ??= makeButton()));
    };
    putBack();
    new MutationObserver(putBack).observe(document.documentElement, { childList: true, subtree: true });
  }

  if (document.readyState === "loading") document.addEventListener("DOMContentLoaded", keepThere, { once: true });
  else keepThere();
})();
