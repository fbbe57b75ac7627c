/** Makes questions answerable: what the reader chooses opens the answer. Nothing is sent or kept. */

const make = (kind, properties) => Object.assign(document.createElement(kind), properties);
const questions = [...document.querySelectorAll(".question")];

questions.forEach((question, number) => {
  const answer = question.querySelector("details");
  const [lead, list] = [answer.querySelector("strong").textContent, question.querySelector(":scope > ul")];
  const verdict = make("output", { className: "verdict" });
  const judge = (right, said) => {
    verdict.textContent = said + (right ? "" : " The reason stands below.");
    question.dataset.verdict = right ? "right" : "wrong";
    answer.open = true;
  };
  const box = make("form", { className: "choices" });
  box.setAttribute("role", "group");
  question.firstElementChild.id = `question-${number}`;
  box.setAttribute("aria-labelledby", `question-${number}`);
  answer.before(box, verdict);

  if (list) {
    const buttons = [...list.querySelectorAll(":scope > li")].map((item) => {
      const button = make("button", { type: "button" });
      button.append(...(item.querySelector("p") ?? item).childNodes);
      return button;
    });
    const letterOf = (element) => element.textContent.trim()[0];
    const reasons = [...answer.querySelectorAll(":scope li")];
    buttons.forEach((button) => button.addEventListener("click", () => {
      const letter = letterOf(button), right = letter === lead[0];
      buttons.forEach((each) => each.setAttribute("aria-pressed", each === button));
      reasons.forEach((each) => each.classList.toggle("chosen", letterOf(each) === letter));
      judge(right, right ? `${letter} is right.` : `${letter} is not right.`);
    }));
    box.append(...buttons);
    list.remove();
  } else {
    const [low, high, unit] = lead.replaceAll(",", "").match(/([\d.]+) to ([\d.]+)(.*)\./).slice(1);
    const field = make("input", { type: "number", step: "any", required: true });
    const label = make("label", { textContent: "Your number " });
    label.append(field, unit);
    box.append(label, make("button", { textContent: "Answer" }));
    box.addEventListener("submit", (event) => {
      event.preventDefault();
      const given = field.valueAsNumber, right = given >= low && given <= high;
      const how = right ? "right" : given < low ? "too low" : "too high";
      judge(right, `${given}${unit} is ${how}${right ? `: ${low} to ${high}${unit} counts` : ""}.`);
    });
  }
});

if (questions.length) {
  const print = make("button", { type: "button", className: "to-print", textContent: "Questions to print" });
  const sheet = (shown) => document.body.classList.toggle("sheet", shown);
  print.addEventListener("click", () => { sheet(true); window.print(); });
  window.addEventListener("afterprint", () => sheet(false));
  (document.querySelector("#quiz") ?? document.querySelector("article")).append(print);
}
