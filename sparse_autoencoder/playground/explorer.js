/**
 * What needs no engine: the explorer of the sweep, which has all its models from the start, and a
 * sentence beside controls that wait for the kernel. Both draw what traits of the model say, which
 * PROTOCOL.md lists; their looks stand in view.css.
 */

import { Chart, drawPoints, escaped } from "./charts.js";

const PLACES = ["place0", "place1", "place2"]; // of the sliders, which the page links to them
const OVERDUE = 400; // milliseconds; then the page says that it waits
const UNTRAINED = { setting: "", words: "This pair was not trained.", note: "" };

/** Show the model that the sliders choose. */
function explore(model, el) {
  el.innerHTML = `<div class="explorer-status" role="status"></div>
    <div class="explorer-row">
      <div><img class="explorer-features"><img class="explorer-reconstructions"></div>
      <svg class="playground-chart" height="300" role="img"></svg>
    </div>`;
  const status = el.querySelector(".explorer-status");
  const chart = new Chart(el.querySelector("svg"), drawPoints);
  const [places, models, labels] = ["places", "models", "labels"].map((name) => model.get(name));
  const sliders = (Object.keys(places)[0] ?? "").split(",").length;
  const points = models.map(({ x, y }) => [x, y]);
  const show = () => {
    const chosen = places[PLACES.slice(0, sliders).map((name) => model.get(name)).join()];
    const { setting, words, note } = models[chosen] ?? UNTRAINED;
    status.dataset.setting = setting;
    status.innerHTML = `${escaped(words)}<br><small>${escaped(note)}</small>`;
    chart.show({ points, chosen, labels }, `${labels.y} against ${labels.x}. ${words}`);
    if (chosen === undefined) return; // the last pictures stay
    for (const kind of ["features", "reconstructions"]) {
      const picture = el.querySelector(`.explorer-${kind}`);
      URL.revokeObjectURL(picture.src);
      const png = new Blob([model.get(kind)[chosen]], { type: "image/png" });
      Object.assign(picture, { src: URL.createObjectURL(png), alt: `${kind} of ${setting}` });
    }
  };
  return show;
}

/** Say that the kernel has not begun to work on what the controls show. */
function wait(model, el) {
  el.innerHTML = '<div class="course-waiting" role="status"></div>';
  const late = () => model.get("done").some((place, i) => place !== model.get(PLACES[i]));
  let timer;
  return () => {
    const busy = "Waiting: the kernel runs another cell.";
    const say = () => (el.firstChild.textContent = late() ? busy : "");
    clearTimeout(timer);
    if (late()) timer = setTimeout(say, OVERDUE);
    else say();
  };
}

export default {
  /** @param {{model: object, el: HTMLElement}} options as anywidget gives them. */
  render({ model, el }) {
    el.classList.add("course-view");
    const look = { explorer: explore, waiting: wait }[model.get("kind")](model, el);
    const changes = [...PLACES, "done"].map((name) => `change:${name}`);
    for (const change of changes) model.on(change, look);
    try {
      model.send({ v: 1, view: Math.random().toString(36).slice(2), n: 1, do: "hello" });
    } catch {
      // Nobody is there to hear that it is seen, and nobody need be.
    }
    look();
    const guard = ({ target }) => {
      if (!el.closest(".course-panel")?.contains(target)) return;
      target.dataset.lmSuppressShortcuts = true; // of Notebook 7, which takes arrows
    };
    window.addEventListener("keydown", guard, true);
    return () => {
      window.removeEventListener("keydown", guard, true);
      for (const change of changes) model.off(change, look);
      el.replaceChildren();
    };
  },
};
