/** Sliders for the explorer of the sweep: its view is the notebook's, and all that it asks is here. */

const box = document.querySelector(".explorer");
const given = JSON.parse(box.nextElementSibling.textContent);
const unpacked = (png) => Uint8Array.from(atob(png), (sign) => sign.charCodeAt(0));
const pictures = ["features", "reconstructions"].map((kind) => [kind, given[kind].map(unpacked)]);
const traits = { ...given, ...Object.fromEntries(pictures), kind: "explorer" };
const looks = new Map(); // event → what the view does then

given.sliders.forEach(({ label, texts, place }, number) => {
  const name = `place${number}`;
  const row = document.createElement("label");
  row.innerHTML = '<span></span><input type="range" min="0"><output></output>';
  const [words, input, output] = row.children;
  words.textContent = label;
  input.max = texts.length - 1;
  input.value = place;
  const move = () => {
    traits[name] = Number(input.value);
    output.textContent = texts[input.value];
    input.setAttribute("aria-valuetext", texts[input.value]);
    looks.get(`change:${name}`)?.();
  };
  move();
  input.addEventListener("input", move);
  box.append(row);
});

const model = { get: (name) => traits[name], on: (event, look) => looks.set(event, look), send() {} };
view.render({ model, el: box.appendChild(document.createElement("div")) });
