/**
 * What came of an action. It is shown at the bottom of the window, so it is seen from any part of the page.
 */

const beside = (name) => import(import.meta.url.replace(/asset=[^&]+/, `asset=${name}`));
const { byId } = await beside("dom.js");

const bar = byId("notice-bar");

/**
 * Show it, to eye and ear, until it is dismissed or the next one comes.
 * @param {string} text
 * @param {boolean} isBad
 */
export function announce(text, isBad = false) {
  bar.hidden = false;
  bar.toggleAttribute("data-bad", isBad);
  byId("notice").textContent = text;
}

/** Take it away. */
export function dismiss() {
  byId("notice").textContent = "";
  bar.hidden = true;
}

byId("notice-close").addEventListener("click", () => {
  dismiss();
  byId("main").focus();
});
