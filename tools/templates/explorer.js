// The sweep explorer without a kernel: all models have their words and pictures ready.
for (const box of document.querySelectorAll(".explorer")) {
  const { models, places } = JSON.parse(box.querySelector("script").textContent);
  const sliders = [...box.querySelectorAll("input")];
  const part = (name) => box.querySelector("." + name);

  function draw() {
    for (const slider of sliders) {
      const text = slider.dataset.texts.split("|")[slider.value];
      slider.setAttribute("aria-valuetext", text);
      slider.nextElementSibling.value = text;
    }
    const number = places[sliders.map((slider) => slider.value).join(",")];
    const model = models[number];
    part("words p").textContent = model ? model.words : "This pair was not trained.";
    part("words small").textContent = model ? model.note : "";
    if (!model) return; // the last pictures stay
    part("features").src = model.features;
    part("reconstructions").src = model.reconstructions;
    const points = box.querySelectorAll(".scatter circle");
    points.forEach((point, i) => point.classList.toggle("chosen", i === number));
  }

  for (const slider of sliders) slider.addEventListener("input", draw);
  draw(); // a browser that comes back to the page may have kept the sliders' places
}
