// The sweep explorer without a kernel: every place of the sliders has its words and pictures ready.
for (const box of document.querySelectorAll(".explorer")) {
  const states = JSON.parse(box.querySelector("script").textContent);
  const sliders = [...box.querySelectorAll("input")];
  const part = (name) => box.querySelector("." + name);

  function draw() {
    for (const slider of sliders) {
      const text = slider.dataset.texts.split("|")[slider.value];
      slider.setAttribute("aria-valuetext", text);
      slider.nextElementSibling.value = text;
    }
    const state = states[sliders.map((slider) => slider.value).join(",")];
    part("words").innerHTML = state.words;
    if (!state.setting) return; // a pair that was not trained: the last pictures stay
    part("features").src = state.features;
    part("reconstructions").src = state.reconstructions;
    part("scatter").innerHTML = state.scatter;
  }

  for (const slider of sliders) slider.addEventListener("input", draw);
  draw(); // a browser that comes back to the page may have kept the sliders' places
}
