/**
 * The two charts. Each says in words what it shows, and has all its figures in a table beside it.
 */

const beside = (name) => import(import.meta.url.replace(/asset=[^&]+/, `asset=${name}`));
const { byId, make, show, table } = await beside("dom.js");
const { clock, count, milliseconds, plural } = await beside("format.js");

const HEIGHT_PX = 220;
const { uPlot } = window;

/** A chart in the figure with that id: it is drawn anew when figures, width or colours change. */
class Chart {
  #place;
  #readout;
  #plan = null;
  #plot = null;

  constructor(id) {
    this.#place = byId(id).querySelector(".plot");
    this.#readout = byId(id).querySelector(".readout");
    new ResizeObserver(() => this.#fit()).observe(this.#place);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.#draw());
  }

  /**
   * @param {{key: string, data: number[][], series: object[], axes: object[], scales: object,
   *   told: (index: number) => string}} plan  drawn anew only with another key
   */
  update(plan) {
    const same = plan.key === this.#plan?.key;
    this.#plan = plan;
    if (!same) this.#draw();
  }

  clear() {
    this.#plot?.destroy();
    this.#plot = this.#plan = null;
  }

  #draw() {
    if (!this.#plan) return;
    this.#plot?.destroy();
    const { data, series, axes, scales } = this.#plan;
    const options = {
      width: this.#place.clientWidth || 320,
      height: HEIGHT_PX,
      padding: [12, 4, 0, 0],
      legend: { show: false },
      cursor: { y: false, points: { show: false }, drag: { x: false, y: false } },
      hooks: { setCursor: [(plot) => this.#read(plot.cursor.idx)] },
      scales,
      axes: axes.map(styledAxis),
      series: series.map(styledSeries),
    };
    this.#plot = new uPlot(options, data, this.#place);
  }

  #fit() {
    const width = this.#place.clientWidth;
    if (this.#plot && width && width !== this.#plot.width) this.#plot.setSize({ width, height: HEIGHT_PX });
  }

  #read(index) {
    this.#readout.textContent = index === null || index === undefined ? "" : this.#plan.told(index);
  }
}

function colour(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
}

function styledAxis(axis) {
  const line = { stroke: colour("line"), width: 1 };
  return {
    stroke: colour("muted"),
    font: "12px system-ui, sans-serif",
    ticks: { show: false },
    gap: 6,
    ...axis,
    grid: axis.grid === false ? { show: false } : line,
  };
}

function styledSeries(series) {
  const named = (name) => (series[name] ? { [name]: colour(series[name]) } : {});
  return { ...series, ...named("stroke"), ...named("fill") };
}

const bars = (share, pixels) => uPlot.paths.bars({ size: [share, pixels], radius: 0.12 });
const LABEL_PX = 54;

/** As many labels as there is room for. */
function labelled(number) {
  return (plot) => {
    const every = Math.max(1, Math.ceil((number * LABEL_PX) / Math.max(plot.width - 100, LABEL_PX)));
    const step = [1, 2, 3, 4, 6, 8, 12].find((size) => size >= every) ?? 24;
    return Array.from({ length: Math.ceil(number / step) }, (_, index) => index * step);
  };
}

const fromZero = { range: (_plot, _low, high) => [0, Math.max(1, (high ?? 0) * 1.08)] };
const slots = (number) => ({ time: false, range: [-0.6, Math.max(number, 1) - 0.4] });
const countAxis = { size: 46, splits: wholeSplits, values: (_plot, values) => values.map(compact) };

function compact(value) {
  return new Intl.NumberFormat("en", { notation: "compact", maximumFractionDigits: 1 }).format(value);
}

/** About four lines at round whole numbers: a user is not divided. */
function wholeSplits(_plot, _axis, _low, high) {
  const rough = Math.max(high / 4, 1);
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((factor) => factor * power).find((size) => size >= rough);
  return Array.from({ length: Math.floor(high / step) + 1 }, (_, index) => index * step);
}

let hoursChart;
let jobsChart;

/** Take both away. */
export function forget() {
  hoursChart?.clear();
  jobsChart?.clear();
}

/** Planned and done users, hour by hour. */
export function showHours({ hours }) {
  hoursChart ??= new Chart("hours");
  const told = ({ start, planned, done }) => `${clock(start)}  planned ${count(planned)}, done ${count(done)}`;
  hoursChart.update({
    key: JSON.stringify(hours),
    data: [hours.map((_, index) => index), hours.map(({ planned }) => planned), hours.map(({ done }) => done || null)],
    series: [
      {},
      { stroke: "planned", fill: "open", width: 1, paths: bars(0.74, 32), points: { show: false } },
      { stroke: "done", fill: "done", width: 1, paths: bars(0.74, 32), points: { show: false } },
    ],
    scales: { x: slots(hours.length), y: fromZero },
    axes: [
      {
        grid: false,
        size: 28,
        splits: labelled(hours.length),
        values: (_plot, splits) => splits.map((index) => clock(hours[index].start)),
      },
      countAxis,
    ],
    told: (index) => told(hours[index]),
  });
  describe("hours", hoursSummary(hours), hoursTable(hours));
}

function hoursSummary(hours) {
  const sum = (name) => hours.reduce((total, hour) => total + hour[name], 0);
  return `Users per hour of the day: ${count(sum("planned"))} planned, ${count(sum("done"))} done.`;
}

function hoursTable(hours) {
  const columns = [{ title: "Hour" }, { title: "Planned", number: true }, { title: "Done", number: true }];
  const rows = hours.map(({ start, planned, done }) => [clock(start), count(planned), count(done)]);
  return table({ caption: "Planned and done users per hour", columns, rows });
}

/** Users a second, of a settled job; null if it took no measurable time. */
export function throughput({ users, processingMs }) {
  return processingMs > 0 ? users / (processingMs / 1000) : null;
}

/** Throughput and duration of the last jobs, oldest first. */
export function showJobs({ recentJobs }, jobsTable) {
  jobsChart ??= new Chart("jobs");
  const jobs = recentJobs.toReversed();
  const told = (job) => `${clock(job.completedAt)}  ${plural(job.users, "user")} in ${milliseconds(job.processingMs)}`;
  jobsChart.update({
    key: JSON.stringify(jobs),
    data: [jobs.map((_, index) => index), jobs.map(({ processingMs }) => processingMs), jobs.map(throughput)],
    series: [
      {},
      { stroke: "planned", fill: "open", width: 1, scale: "y", paths: bars(0.66, 28), points: { show: false } },
      {
        stroke: "done",
        width: 2,
        scale: "pace",
        points: { show: true, size: 6, fill: colour("done"), stroke: colour("done") },
      },
    ],
    scales: { x: slots(jobs.length), y: fromZero, pace: fromZero },
    axes: [
      {
        grid: false,
        size: 28,
        splits: labelled(jobs.length),
        values: (_plot, splits) => splits.map((index) => clock(jobs[index].completedAt)),
      },
      { size: 56, splits: wholeSplits, values: (_plot, values) => values.map((value) => milliseconds(value)) },
      { ...countAxis, scale: "pace", side: 1, grid: false },
    ],
    told: (index) => told(jobs[index]),
  });
  describe("jobs", jobsSummary(recentJobs), jobsTable);
}

function jobsSummary(jobs) {
  if (!jobs.length) return "No job has settled yet.";
  const [newest] = jobs;
  const took = `${milliseconds(newest.processingMs)} for ${plural(newest.users, "user")}`;
  return `The last ${plural(jobs.length, "job")}: the newest took ${took}.`;
}

function describe(id, summary, shownTable) {
  const figure = byId(id);
  figure.querySelector(".plot").setAttribute("aria-label", summary);
  show(
    figure.querySelector(".figures"),
    make("details", { "data-key": `${id}-table` }, make("summary", {}, "Show as table"), shownTable),
  );
}
