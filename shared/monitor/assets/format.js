/**
 * Figures and moments in words. Moments are in the schedule's time zone, whatever the reader's own is.
 */

const NONE = "–";
const LOCALE = "en";
const whole = new Intl.NumberFormat(LOCALE, { maximumFractionDigits: 0 });

let zone = "UTC";

/**
 * The time zone from now on; one that this browser doesn't know leaves it as it is.
 * @param {string} name
 */
export function setZone(name) {
  try {
    new Intl.DateTimeFormat(LOCALE, { timeZone: name });
    zone = name;
  } catch {
    zone = "UTC";
  }
}

/** 1112 → "1,112". */
export function count(value) {
  return value === null || value === undefined ? NONE : whole.format(value);
}

/** (1, "user") → "1 user"; (2, "user") → "2 users". */
export function plural(number, noun) {
  return `${count(number)} ${noun}${number === 1 ? "" : "s"}`;
}

/** 0.98765 → "98.8%"; what isn't quite everything never reads 100%. */
export function percent(share, digits = 1) {
  if (share === null || share === undefined) return NONE;
  const floored = share < 1 ? Math.min(share, 1 - 10 ** -(digits + 2)) : share;
  return new Intl.NumberFormat(LOCALE, { style: "percent", maximumFractionDigits: digits }).format(floored);
}

/** Dollars; small sums with as many digits as they need. */
export function dollars(value) {
  if (value === null || value === undefined) return NONE;
  const digits =
    value !== 0 && Math.abs(value) < 0.1
      ? { maximumSignificantDigits: 2 }
      : { maximumFractionDigits: 2, minimumFractionDigits: 2 };
  return `$${new Intl.NumberFormat(LOCALE, digits).format(value)}`;
}

/** 412.5 → "413 ms"; 5,200 → "5.2 s". */
export function milliseconds(value) {
  if (value === null || value === undefined) return NONE;
  if (value < 1000) return `${whole.format(value)} ms`;
  return value < 60_000 ? `${tenths(value / 1000)} s` : span(value / 1000);
}

function tenths(value) {
  return new Intl.NumberFormat(LOCALE, { maximumFractionDigits: 1 }).format(value);
}

/** A span of time in its two largest units: 3,700 → "1 h 1 min". */
export function span(seconds) {
  if (seconds === null || seconds === undefined) return NONE;
  const units = [
    ["d", 86_400],
    ["h", 3600],
    ["min", 60],
    ["s", 1],
  ];
  const first = units.findIndex(([, size]) => seconds >= size);
  if (first < 0) return "0 s";
  let rest = Math.floor(seconds);
  const parts = units.slice(first, first + 2).map(([name, size]) => {
    const number = Math.floor(rest / size);
    rest -= number * size;
    return number ? `${number} ${name}` : "";
  });
  return parts.filter(Boolean).join(" ");
}

function moment(value, options) {
  const date = new Date(value);
  if (value === null || value === undefined || Number.isNaN(date.getTime())) return NONE;
  return new Intl.DateTimeFormat("en-GB", { timeZone: zone, ...options }).format(date);
}

/** "14:05". */
export function clock(value) {
  return moment(value, { hour: "2-digit", minute: "2-digit", hourCycle: "h23" });
}

/** "14:05:09". */
export function clockToTheSecond(value) {
  return moment(value, { hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23" });
}

/** "14:05" on the run's own day, else "21 Nov, 14:05". */
export function when(value, day) {
  return dayOf(value) === day
    ? clock(value)
    : moment(value, { day: "numeric", month: "short", hour: "2-digit", minute: "2-digit", hourCycle: "h23" });
}

/** "22 Nov, 14:05" in another zone; null for one that this browser doesn't know. */
export function whenIn(timeZone, value) {
  try {
    return moment(value, { timeZone, day: "numeric", month: "short", hour: "2-digit", minute: "2-digit", hourCycle: "h23" });
  } catch {
    return null;
  }
}

/**
 * The moment of a date and time of day in the schedule's zone: "2026-11-22T15:00" → ISO 8601 in UTC.
 * @param {string} local  as a datetime-local field gives it
 */
export function instantOf(local) {
  const wall = Date.parse(`${local}Z`);
  const first = wall - offsetAt(wall);
  return new Date(wall - offsetAt(first)).toISOString();
}

/** Milliseconds that the zone's clocks are ahead of UTC at a moment. */
function offsetAt(instant) {
  const options = { timeZone: zone, hourCycle: "h23", dateStyle: "short", timeStyle: "medium" };
  const parts = new Intl.DateTimeFormat("en-CA", options).formatToParts(new Date(instant));
  const part = Object.fromEntries(parts.map(({ type, value }) => [type, Number(value)]));
  return Date.UTC(part.year, part.month - 1, part.day, part.hour, part.minute, part.second) - instant;
}

/** A date some days later or earlier: ("2026-11-22", -1) → "2026-11-21". */
export function daysFrom(day, number) {
  const date = new Date(`${day}T12:00:00Z`);
  date.setUTCDate(date.getUTCDate() + number);
  return date.toISOString().slice(0, 10);
}

/** The local date of a moment: "2026-11-22". */
export function dayOf(value) {
  const date = new Date(value);
  return Number.isNaN(date.getTime())
    ? ""
    : new Intl.DateTimeFormat("en-CA", { timeZone: zone, dateStyle: "short" }).format(date);
}

/** "2026-11-22" → "22 Nov". */
export function shortDate(day) {
  const date = new Date(`${day}T12:00:00Z`);
  if (Number.isNaN(date.getTime())) return String(day);
  return new Intl.DateTimeFormat("en-GB", { timeZone: "UTC", day: "numeric", month: "short" }).format(date);
}

/** A date in words: "2026-11-22" → "Sunday 22 November 2026". */
export function longDate(day) {
  const date = new Date(`${day}T12:00:00Z`);
  if (Number.isNaN(date.getTime())) return String(day);
  const options = { timeZone: "UTC", weekday: "long", day: "numeric", month: "long", year: "numeric" };
  return new Intl.DateTimeFormat("en-GB", options).format(date);
}

/** A code as words: "write_failed" → "write failed". */
export function words(code) {
  return code ? String(code).replaceAll("_", " ") : NONE;
}
