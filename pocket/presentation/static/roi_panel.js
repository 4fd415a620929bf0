// The page's side of the ROI panel: native inputs, so that keyboard, screen reader and phone work as everywhere.
// All texts arrive translated; outcome tables arrive as escaped HTML, everything else is set as text.

const CHARTS = ["break_even", "cash_flow", "tornado", "fan"];
let views = 0;

function element(tag, options = {}, ...children) {
  const made = document.createElement(tag);
  for (const [key, value] of Object.entries(options)) {
    if (key in made && typeof value !== "string") made[key] = value;
    else made.setAttribute(key, value);
  }
  made.append(...children);
  return made;
}

// A logarithmic slider moves over the logarithm of its value.
const toTrack = (field, value) => (field.logarithmic ? Math.log10(Math.max(value, field.low)) : value);
const fromTrack = (field, track) => Number((field.logarithmic ? 10 ** track : Number(track)).toPrecision(3));
const written = (value) => String(Number(value.toPrecision(7)));

function render({ model, el }) {
  const id = `pocket-roi-${++views}`;
  const root = element("div", { class: "pocket-roi panel" });
  el.append(root);
  let inputs = {}, status, top, outcome, charts, scenarioNames, scenarioTable, problemBox;
  const waiting = new Map();

  function send(message) {
    model.send(message);
  }

  // While a slider moves, what it says goes out at most every 80 ms, and its last word always. For a moment more, late
  // answers to earlier words must not move it back.
  // The first change at once, those that follow it 80 ms apart, the last of them in any case.
  function sendSoon(message) {
    const key = `${message.name} ${message.end}`;
    inputs[message.name].until = performance.now() + 400;
    if (waiting.has(key)) return waiting.set(key, message);
    const next = (last) => {
      if (!last) return waiting.delete(key);
      waiting.set(key, null);
      setTimeout(() => next(waiting.get(key)), 80);
      setTimeout(showValues, 420);
      send(last);
    };
    next(message);
  }

  function numberBox(field, end, label, withId) {
    const box = element("input", { type: "number", step: "any", inputmode: "decimal" });
    if (withId) box.id = withId;
    else box.setAttribute("aria-label", label);
    // Arrow keys go by the slider's step; browsers go by 1 where any number is allowed.
    box.addEventListener("keydown", (event) => {
      if (event.key !== "ArrowUp" && event.key !== "ArrowDown") return;
      event.preventDefault();
      const up = event.key === "ArrowUp", value = Number(box.value) || 0;
      const next = field.logarithmic ? value * (up ? 1.1 : 1 / 1.1) : value + (up ? field.step : -field.step);
      box.value = written(next);
      delete box.dataset.typing;
      sendSoon({ do: "set", name: field.name, text: box.value, end });
    });
    // What is being typed is the writer's until the box is left: no answer to an earlier change may write into it.
    box.addEventListener("input", () => { box.dataset.typing = "yes"; });
    box.addEventListener("change", () => {
      delete box.dataset.typing;
      send({ do: "set", name: field.name, text: box.value, end });
    });
    box.addEventListener("blur", () => { delete box.dataset.typing; });
    return box;
  }

  function fieldOf(field) {
    const boxId = `${id}-${field.name}`;
    const range = element("input", {
      type: "range", "aria-label": field.slider,
      min: String(toTrack(field, field.low)), max: String(toTrack(field, field.high)),
      step: String(field.logarithmic ? 0.05 : field.step),
    });
    const base = numberBox(field, "base", field.label, boxId);
    range.addEventListener("input", () => {
      base.value = written(fromTrack(field, range.value));
      range.setAttribute("aria-valuetext", base.value);
      sendSoon({ do: "set", name: field.name, text: base.value, end: "base" });
    });
    const source = element("span", { class: "source" });
    const ends = field.ends.map((label, i) => numberBox(field, i ? "high" : "low", label));
    inputs[field.name] = { field, range, base, source, low: ends[0], high: ends[1] };
    const note = element("div", { class: "note" }, source);
    if (ends.length) note.append(element("span", { class: "ends" }, ends[0], " – ", ends[1]));
    const head = element("label", { for: boxId }, field.label);
    return element("div", { class: "field" }, head, element("div", { class: "row" }, range, base), note);
  }

  function build() {
    const form = model.get("form"), texts = form.texts;
    const opened = [...root.querySelectorAll("details")].map((group) => group.open);
    const focused = root.contains(document.activeElement) ? document.activeElement.dataset.keep : null;
    const ranges = root.classList.contains("ranges");
    inputs = {};
    root.lang = form.lang;
    const languages = element("div", { class: "languages", role: "group", "aria-label": texts.language },
      ...form.languages.map(([code, name]) => {
        const button = element("button", { type: "button", lang: code, "aria-pressed": String(code === form.lang) }, name);
        button.dataset.keep = code;
        button.addEventListener("click", () => send({ do: "language", code }));
        return button;
      }));
    status = element("p", { class: "status", role: "status" });
    top = element("section", { class: "top", "aria-label": texts.outcome });
    outcome = element("section", { class: "outcome", "aria-label": texts.outcome });
    charts = element("section", { class: "charts", "aria-label": texts.charts });
    problemBox = element("div", { class: "problem", role: "alert" });

    const toggle = element("input", { type: "checkbox", checked: ranges });
    toggle.addEventListener("change", () => root.classList.toggle("ranges", toggle.checked));
    const groups = form.groups.map((group, i) => {
      const details = element("details", { open: opened.length ? opened[i] : group.open });
      const body = element("div", { class: "fields" }, ...group.fields.map(fieldOf));
      details.append(element("summary", {}, group.title), body);
      return details;
    });
    const settings = element("div", { class: "settings" },
      ...form.choices.map(([name, label, options]) => {
        const select = element("select", { id: `${id}-${name}` },
          ...options.map(([value, text]) => element("option", { value: String(value) }, text)));
        select.addEventListener("change", () => {
          const chosen = options.find(([value]) => String(value) === select.value);
          send({ do: "setting", name, value: chosen[0] });
        });
        inputs[name] = { setting: select };
        return element("span", {}, element("label", { for: `${id}-${name}` }, label), select);
      }),
      ...form.switches.map(([name, label]) => {
        const box = element("input", { type: "checkbox" });
        box.addEventListener("change", () => send({ do: "setting", name, value: box.checked }));
        inputs[name] = { setting: box };
        return element("label", {}, box, label);
      }),
      element("label", {}, toggle, texts.ranges));

    const nameBox = element("input", { type: "text", id: `${id}-scenario`, maxlength: "60" });
    const saveButton = element("button", { type: "button" }, texts.scenario_save);
    const save = () => nameBox.value && send({ do: "save", name: nameBox.value });
    saveButton.addEventListener("click", save);
    nameBox.addEventListener("keydown", (event) => event.key === "Enter" && save());
    scenarioNames = element("select", { id: `${id}-scenarios` });
    const loadButton = element("button", { type: "button" }, texts.scenario_load);
    loadButton.addEventListener("click", () => scenarioNames.value && send({ do: "load", name: scenarioNames.value }));
    scenarioTable = element("div");
    const scenarios = element("details", { open: opened.length ? opened[form.groups.length] : false },
      element("summary", {}, texts.group_scenarios),
      element("div", { class: "settings scenarios" },
        element("span", {}, element("label", { for: `${id}-scenario` }, texts.scenario_name), nameBox, saveButton),
        element("span", {}, element("label", { for: `${id}-scenarios` }, texts.scenario_choose), scenarioNames, loadButton)),
      scenarioTable);

    root.replaceChildren(languages, top, status, problemBox,
      element("div", { class: "columns" },
        element("section", { class: "form", "aria-label": texts.inputs },
          element("h3", {}, texts.inputs), settings, ...groups, scenarios),
        charts),
      outcome);
    if (focused) root.querySelector(`[data-keep="${focused}"]`)?.focus();
    showValues(); showProblem(); showTop(); showOutcome(); CHARTS.forEach(showChart); showScenarios(); showSaid();
  }

  function showValues() {
    const { fields = {}, settings = {} } = model.get("values"), problem = model.get("problem");
    for (const [name, value] of Object.entries(fields)) {
      const shown = inputs[name];
      if (!shown) continue;
      if (shown.until > performance.now()) continue;
      for (const end of ["base", "low", "high"]) {
        const box = shown[end], wrong = problem.name === name && problem.end === end;
        if (box && !box.dataset.typing && !wrong && box.value !== written(value[end])) box.value = written(value[end]);
      }
      shown.range.value = String(toTrack(shown.field, value.base));
      shown.range.setAttribute("aria-valuetext", written(value.base));
      shown.source.textContent = value.source;
      shown.source.title = value.note;
    }
    for (const [name, value] of Object.entries(settings)) {
      const box = inputs[name]?.setting;
      if (!box) continue;
      if (box.type === "checkbox") box.checked = value;
      else box.value = String(value);
    }
  }

  function showProblem() {
    const problem = model.get("problem");
    root.querySelectorAll("[aria-invalid]").forEach((box) => box.removeAttribute("aria-invalid"));
    problemBox.textContent = problem.text ? `✕ ${problem.text}` : "";
    const box = problem.name && inputs[problem.name]?.[problem.end];
    if (!problem.text) showValues();
    else if (box) {
      box.setAttribute("aria-invalid", "true");
      if (!box.dataset.typing && !(inputs[problem.name].until > performance.now())) box.value = problem.typed;
    }
  }

  const showTop = () => { top.innerHTML = model.get("top"); };
  const showOutcome = () => { outcome.innerHTML = model.get("outcome"); };
  const showSaid = () => { status.textContent = model.get("said"); };

  // Each chart comes as soon as it is drawn, the first time in this order.
  function showChart(name) {
    const { source, alt } = model.get(name);
    if (!source) return;
    const image = charts.querySelector(`.${name}`) || charts.appendChild(element("img", { class: name }));
    image.alt = alt;
    image.src = source;
  }

  function showScenarios() {
    const { names = [], table = "", possible } = model.get("scenarios");
    const before = scenarioNames.value;
    scenarioNames.replaceChildren(...(names.length ? names : [""]).map((name) =>
      element("option", { value: name }, name || model.get("form").texts.scenario_none)));
    if (names.includes(before)) scenarioNames.value = before;
    scenarioNames.disabled = !possible;
    scenarioTable.innerHTML = table;
  }

  // What is folded away is printed too.
  const beforePrint = () => root.querySelectorAll("details").forEach((group) => { group.open = true; });
  window.addEventListener("beforeprint", beforePrint);
  const watched = {
    form: build, values: showValues, problem: showProblem, top: showTop, outcome: showOutcome,
    scenarios: showScenarios, said: showSaid,
    ...Object.fromEntries(CHARTS.map((name) => [name, () => showChart(name)])),
  };
  for (const [name, show] of Object.entries(watched)) model.on(`change:${name}`, show);
  build();
  return () => {
    window.removeEventListener("beforeprint", beforePrint);
    for (const [name, show] of Object.entries(watched)) model.off(`change:${name}`, show);
  };
}

export default { render };
