/** The page around the playground's view: sliders, the address, and the worker that trains. */

import { fromAddress, inWords, rounded, toAddress } from "./settings.js";

const part = (name) => document.getElementById(name);
const text = (name) => part(name).textContent;
const config = JSON.parse(text("config"));
const packed = { config, images: text("images"), wasm: text("wasm") };

const code = URL.createObjectURL(new Blob([text("engine")], { type: "text/javascript" }));
const worker = new Worker(code);
const listeners = new Set();
const sliders = new Map(); // key → {input, output, values}
const WORDS = {
  busy: "Waiting: the page is still computing.",
  silent: "No answer: the page is still computing, or it failed. Then load it again.",
  gone: "The training ended: load the page again.",
};
let { model, settings, embed, wrong } = fromAddress(config, location.hash);
let first = null; // the first frame, with which the view begins
let written = ""; // the settings in the page's address
let [asked, answered] = [0, 0]; // numbers of the last requests of this page

const say = (words) => { part("message").textContent = words; };

/** What the view has in place of a widget's model. */
const channel = {
  get: (name) => ({ kind: "playground", first, words: WORDS })[name],
  on: (name, action) => name === "msg:custom" && listeners.add(action),
  off: (name, action) => listeners.delete(action),
  send: (content, _, buffers) => worker.postMessage({ content, buffers }),
};

worker.addEventListener("error", (event) => say(`The training failed: ${event.message}`));
worker.addEventListener("message", ({ data: { content, buffers, failed } }) => {
  if (failed) return say(`The training could not begin (${failed}): a newer browser may help.`);
  const views = buffers.map((buffer) => new DataView(buffer));
  if (first) for (const listen of listeners) listen(content, views);
  else {
    first = { content, buffers: views };
    part("waiting").remove();
    view.render({ model: channel, el: part("view") });
  }
  if (content.view === "page") answered = content.n;
  // A frame from before the last move would put the slider back under the hand.
  if (content.kind === "frame" && answered === asked) follow(content);
});

/** Begin with other settings. */
function start() {
  worker.postMessage({ packed: first ? undefined : packed, settings });
  part("model").value = model;
  part("sliders").replaceChildren();
  sliders.clear();
  for (const key of Object.keys(settings)) {
    const { grid, label } = config.hyperparameters[key] ?? {};
    if (grid && key !== "learning_rate") addSlider(key, label, grid);
  }
  document.body.classList.toggle("embedded", embed);
  say(wrong);
  writeLinks();
}

function addSlider(key, label, grid) {
  const box = document.createElement("label");
  box.className = `slider playground-${key}`;
  box.innerHTML = '<span></span><input type="range" min="0"><output></output>';
  const [words, input, output] = box.children;
  words.textContent = label;
  sliders.set(key, { input, output, values: grid });
  input.addEventListener("input", () => {
    const value = sliders.get(key).values[input.value];
    settings[key] = value;
    moveTo(key, value);
    asked += 1;
    const request = { v: 1, view: "page", n: asked, touched: true };
    channel.send({ ...request, do: "set", values: { [key]: value } }, undefined, []);
  });
  part("sliders").append(box);
  moveTo(key, settings[key]);
}

/** Show a value, which gets a place among the others if it has none. */
function moveTo(key, value) {
  const slider = sliders.get(key);
  const values = [...new Set([...config.hyperparameters[key].grid, value])].sort((a, b) => a - b);
  Object.assign(slider, { values });
  slider.input.max = values.length - 1;
  slider.input.value = values.indexOf(value);
  slider.output.textContent = inWords(value);
  slider.input.setAttribute("aria-valuetext", inWords(value));
}

/** Show what the engine has, which a preset, Reset or a seed changed. */
function follow({ hyperparameters, seed }) {
  if (Object.keys(hyperparameters).some((key) => !(key in settings))) return; // of the other model
  Object.assign(settings, hyperparameters, { seed });
  for (const key of sliders.keys()) moveTo(key, rounded(hyperparameters[key]));
  if (toAddress(config, model, settings) !== written) writeLinks();
}

function writeLinks() {
  written = toAddress(config, model, settings);
  const address = location.href.replace(/#.*/, "") + written;
  try {
    history.replaceState(null, "", written + (embed ? "&embed=1" : ""));
  } catch {} // a frame without an address of its own, or too many changes in a short while
  part("link").value = address;
  part("frame").value = `<iframe src="${address.replaceAll("&", "&amp;")}&amp;embed=1" ` +
    'title="A sparse autoencoder that trains" width="100%" height="760"></iframe>';
}

/** Copy a field's text; where the browser forbids it, the text stands there, selected. */
async function copy(field) {
  part("share").open = true;
  field.select();
  try {
    await navigator.clipboard.writeText(field.value);
    say("Copied.");
  } catch {
    say(document.execCommand("copy") ? "Copied." : "Press Ctrl+C to copy what is selected.");
  }
}

part("model").addEventListener("change", ({ target }) => {
  model = target.value;
  settings = { ...config.models[model].settings, seed: settings.seed };
  wrong = "";
  start();
});
part("copy").addEventListener("click", () => copy(part("link")));
part("copy-frame").addEventListener("click", () => copy(part("frame")));
addEventListener("hashchange", () => {
  ({ model, settings, embed, wrong } = fromAddress(config, location.hash));
  start();
});
start();
