/** Settings, {key: value}, as they are checked, and as they stand in the page's address. */

const SEEDS = 999; // the last seed

/** A hyperparameter's value as it is shown: without the last digits of a 32-bit number. */
export const rounded = (value) => Number(value.toPrecision(6));

/** A hyperparameter's value in words, as the vocabulary has it: "off" for 0, 0.003, 1e-05. */
export function inWords(value) {
  const short = rounded(value);
  if (short >= 1e-4) return `${short}`;
  return short ? short.toExponential().replace(/-(.)$/, "-0$1") : "off";
}

/** Refuse a value that a hyperparameter, as the vocabulary has it, cannot have. */
export function check({ name, low, high, inclusive }, key, value) {
  const top = high ?? Infinity;
  const inside = inclusive ? value >= low && value <= top : value > low && value < top;
  if (Number.isFinite(value) && inside) return;
  const allowed = high === null ? `finite and ${low} or more` : `between ${low} and ${high}`;
  const rule = inclusive ? allowed : `${allowed}, both excluded`;
  throw new Error(`the ${name} ${key} is ${value}, but it must be ${rule}.`);
}

/**
 * What the part of an address behind # asks for, such as #rho=0.05&beta=3&lam2=0.003&seed=0.
 *
 * @returns {object} `model`, a key of config.models, its `settings`, whether to `embed` the page,
 *     and what is `wrong` with the address, one sentence or "": then the settings are the defaults.
 */
export function fromAddress(config, hash) {
  const { embed, ...given } = Object.fromEntries(new URLSearchParams(hash.replace(/^#/, "")));
  const model = Object.keys(config.models).find((name) =>
    Object.keys(given).every((key) => key in config.models[name].settings));
  const asked = { model, embed: embed === "1", wrong: "" };
  try {
    if (!model) {
      const keys = Object.keys(given).join(", ");
      const known = Object.values(config.models).map((one) => Object.keys(one.settings).join(", "));
      throw new Error(`${keys} do not go together, only ${known.join("; or ")}.`);
    }
    const settings = { ...config.models[model].settings };
    for (const [key, text] of Object.entries(given)) {
      settings[key] = text.trim() === "" ? NaN : Number(text);
      if (key !== "seed") check(config.hyperparameters[key], key, settings[key]);
      else if (!(Number.isInteger(settings[key]) && settings[key] >= 0 && settings[key] <= SEEDS)) {
        throw new Error(`seed is ${text}, but it must be a whole number from 0 to ${SEEDS}.`);
      }
    }
    return { ...asked, settings };
  } catch (error) {
    const [first] = Object.keys(config.models);
    const wrong = `In the page's address ${error.message} The defaults stand here instead.`;
    return { ...asked, model: first, settings: { ...config.models[first].settings }, wrong };
  }
}

/** Settings as the part of an address behind #, without what is as it is by default. */
export function toAddress(config, model, { learning_rate, ...settings }) {
  const usual = config.models[model].settings.learning_rate;
  const more = learning_rate === usual ? {} : { learning_rate };
  return `#${new URLSearchParams({ ...settings, ...more })}`;
}
