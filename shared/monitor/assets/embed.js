/**
 * Puts a "View Credit Refresh Monitor" button into an admin header that exists already:
 *
 *   <script src="https://…/credit-refresh-monitor/embed.js" data-into="#admin-header" defer></script>
 *
 * `data-into` is a selector; without it the first <header> is taken, else the body. The address of the monitor is the
 * script's own, less `/embed.js`.
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

  function findPlace() {
    const selector = script.dataset.into;
    if (selector) return document.querySelector(selector);
    return document.querySelector("header") ?? document.body;
  }

  function add() {
    const place = findPlace();
    if (!place) return false;
    if (!document.querySelector(`[${MARK}]`)) place.append(makeButton());
    return true;
  }

  /** An app may draw its header later than this script runs. */
  function addOnceThere() {
    if (add()) return;
    const observer = new MutationObserver(() => add() && observer.disconnect());
    observer.observe(document.documentElement, { childList: true, subtree: true });
  }

  if (document.readyState === "loading") document.addEventListener("DOMContentLoaded", addOnceThere, { once: true });
  else addOnceThere();
})();
