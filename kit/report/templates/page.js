"use strict";
// The page's only script: player, filters, sorting. It reads the JSON blocks of the page and asks
// nothing of any network. What is chosen lives in the address, so that a link shows the same.

const SVG = "http://www.w3.org/2000/svg";
const one = (selector, root = document) => root.querySelector(selector);
const all = (selector, root = document) => [...root.querySelectorAll(selector)];

function make(tag, properties = {}, ...children) {
  const element = Object.assign(document.createElement(tag), properties);
  element.append(...children);
  return element;
}

function draw(tag, attributes = {}, text = "") {
  const element = document.createElementNS(SVG, tag);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  element.textContent = text;
  return element;
}

// --- the address ----------------------------------------------------------------------------

const address = () => new URLSearchParams(location.hash.slice(1));

function remember(changes) {
  const known = address();
  for (const [key, value] of Object.entries(changes)) {
    if (value === "" || value === null || value === undefined) known.delete(key);
    else known.set(key, value);
  }
  history.replaceState(null, "", `#${known}`);
}

// --- the player -----------------------------------------------------------------------------

const players = new Map(); // "VIDEO/ID" -> its JSON block, parsed when first opened
const parsed = new Map();

for (const block of all("script[data-object]")) players.set(block.dataset.object, block);

function content(block) {
  if (!parsed.has(block)) parsed.set(block, JSON.parse(block.textContent));
  return parsed.get(block);
}

const player = {
  root: one("#player"), data: null, frames: null, place: 0, timer: null, stages: [],

  open(key, place) {
    const block = players.get(key);
    if (!block) return false;
    this.pause();
    this.data = content(block);
    this.frames = content(one(`script[data-video="${CSS.escape(this.data.video)}"]`));
    this.root.hidden = false;
    one("h2", this.root).textContent = `${this.data.video}, object ${this.data.id}`;
    one(".failures", this.root).textContent = this.data.told;
    this.fillChoices();
    this.build();
    this.fillEvents();
    this.drawCurves();
    const slider = one("#time");
    slider.max = this.data.frames.length - 1;
    this.show(Number.isInteger(place) ? place : this.data.given);
    for (const row of all("#objects tr[data-key]")) row.classList.toggle("open", row.dataset.key === key);
    return true;
  },

  fillChoices() {
    for (const [id, first] of [["#side-a", 0], ["#side-b", this.data.recipes.length - 1]]) {
      const select = one(id), before = select.value;
      select.replaceChildren(...this.data.recipes.map(r => make("option", {value: r.name, textContent: r.name})));
      select.value = this.data.recipes.some(r => r.name === before) ? before : this.data.recipes[first].name;
    }
    one("#mode").disabled = this.data.recipes.length < 2;
    if (this.data.recipes.length < 2) one("#mode").value = "side";
  },

  // One stage per recipe side by side, or one with two layers that a slider parts.
  build() {
    const wipe = one("#mode").value === "wipe";
    one("#wipe-tools").hidden = !wipe;
    const named = name => this.data.recipes.find(r => r.name === name);
    const groups = wipe ? [[named(one("#side-a").value), named(one("#side-b").value)]]
      : this.data.recipes.map(recipe => [recipe]);
    this.stages = groups.map(recipes => this.stage(recipes));
    one("#stages").replaceChildren(...this.stages.map(stage => stage.figure));
    this.wipe();
  },

  stage(recipes) {
    const [height, width] = this.data.size;
    const image = make("img", {width, height, decoding: "sync"});
    const layers = recipes.map(recipe => {
      const svg = draw("svg", {viewBox: `0 0 ${width} ${height}`, "aria-hidden": "true"});
      const paths = {};
      for (const kind of ["halo", "mask", "truth", "given", "anchor"]) {
        paths[kind] = draw("path", {class: kind, stroke: kind === "mask" ? this.data.hue : ""});
        if (kind !== "mask") paths[kind].removeAttribute("stroke");
        svg.append(paths[kind]);
      }
      paths.mask.setAttribute("fill", this.data.hue);
      return {recipe, svg, paths};
    });
    const caption = make("figcaption");
    const figure = make("figure", {className: "stage"},
      caption, make("div", {className: "screen"}, image, ...layers.map(layer => layer.svg)));
    return {figure, image, layers, caption};
  },

  show(place) {
    const last = this.data.frames.length - 1;
    this.place = Math.max(0, Math.min(last, place));
    const i = this.place, frame = this.data.frames[i];
    const shown = kind => one(`#show-${kind}`).checked;
    for (const {image, layers, caption} of this.stages) {
      image.src = `data:image/jpeg;base64,${this.frames[frame]}`;
      const words = [];
      for (const {recipe, paths} of layers) {
        const given = i === this.data.given;
        const mask = recipe.masks[i];
        paths.mask.setAttribute("d", mask);
        paths.halo.setAttribute("d", mask);
        paths.truth.setAttribute("d", shown("truth") && this.data.truth ? this.data.truth[i] : "");
        paths.given.setAttribute("d", shown("given") && given ? this.data.outline : "");
        paths.anchor.setAttribute("d", shown("anchors") ? recipe.anchors[i] ?? "" : "");
        const value = recipe.curve[i];
        words.push(`${recipe.name}: ${this.data.measure} ${value === null ? "n/a" : value.toFixed(2)}`
          + (mask ? "" : ", no mask") + (i in recipe.anchors ? ", anchor" : ""));
      }
      caption.textContent = words.join(" | ");
      image.alt = `frame ${frame}. ${words.join(". ")}`;
    }
    one("#time").value = i;
    one("#frame").textContent = `frame ${frame}, ${i + 1} of ${last + 1}`
      + this.data.events.filter(e => e[0] === i).map(e => `: ${e[1]}`).join("");
    for (const cursor of all("#curves .cursor")) {
      cursor.setAttribute("x1", i + 0.5);
      cursor.setAttribute("x2", i + 0.5);
    }
    remember({v: this.data.video, o: this.data.id, f: frame});
  },

  fillEvents() {
    one("#events").replaceChildren(...this.data.events.map(([place, what]) =>
      make("button", {type: "button", textContent: `${what} (${this.data.frames[place]})`,
        onclick: () => this.show(place)})));
  },

  drawCurves() {
    const n = this.data.frames.length;
    const curves = draw("svg", {id: "curves", viewBox: `0 0 ${n} 100`, preserveAspectRatio: "none",
      role: "img", "aria-label": `${this.data.measure} of every recipe over time`});
    for (const [place, what] of this.data.events) {
      curves.append(draw("line", {class: `event ${what.split(" ")[0]}`,
        x1: place + 0.5, x2: place + 0.5, y1: 0, y2: 100}));
    }
    this.data.recipes.forEach((recipe, number) => {
      let d = "", pen = "M";
      recipe.curve.forEach((value, i) => {
        if (value === null) { pen = "M"; return; }
        d += `${pen}${i + 0.5},${(100 - 96 * value).toFixed(1)}`;
        pen = "L";
      });
      curves.append(draw("path", {class: `curve c${number % 6}`, d}));
    });
    curves.append(draw("line", {class: "cursor", x1: 0, x2: 0, y1: 0, y2: 100}));
    curves.addEventListener("pointerdown", event => this.scrub(event, curves));
    curves.addEventListener("pointermove", event => event.buttons && this.scrub(event, curves));
    one("#chart").replaceChildren(curves);
    one("#legend").replaceChildren(...this.data.recipes.map((recipe, number) =>
      make("li", {className: `c${number % 6}`, textContent: recipe.name})));
  },

  scrub(event, curves) {
    const box = curves.getBoundingClientRect();
    this.show(Math.floor((event.clientX - box.left) / box.width * this.data.frames.length));
  },

  wipe() {
    const share = Number(one("#wipe").value);
    for (const {layers} of this.stages) {
      if (layers.length < 2) continue;
      layers[0].svg.style.clipPath = `inset(0 ${100 - share}% 0 0)`;
      layers[1].svg.style.clipPath = `inset(0 0 0 ${share}%)`;
    }
  },

  play() {
    const last = this.data.frames.length - 1;
    if (this.place === last) this.show(0);
    this.timer = setInterval(() => {
      if (this.place === last) this.pause();
      else this.show(this.place + 1);
    }, 1000 / 12);
    one("#play").textContent = "Pause";
  },

  pause() {
    clearInterval(this.timer);
    this.timer = null;
    one("#play").textContent = "Play";
  },

  toggle() { if (this.timer) this.pause(); else this.play(); },

  jump(direction) {
    const places = this.data.events.map(event => event[0]).sort((a, b) => a - b);
    const next = direction > 0 ? places.find(p => p > this.place)
      : places.reverse().find(p => p < this.place);
    if (next !== undefined) this.show(next);
  },
};

const KEYS = {
  " ": () => player.toggle(),
  ArrowLeft: () => player.show(player.place - 1),
  ArrowRight: () => player.show(player.place + 1),
  ",": () => player.show(player.place - 1),
  ".": () => player.show(player.place + 1),
  ArrowUp: () => player.jump(-1),
  ArrowDown: () => player.jump(1),
  Home: () => player.show(0),
  End: () => player.show(Infinity),
};

function setUpPlayer() {
  player.root.addEventListener("keydown", event => {
    const key = KEYS[event.key];
    const typed = event.target.matches("select, input[type=number], input[type=search]");
    const pressed = event.key === " " && event.target.matches("button, input[type=checkbox]");
    const wiped = event.target.id === "wipe";
    if (!key || typed || pressed || wiped || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    if (event.key !== " ") player.pause();
    key();
  });
  one("#play").addEventListener("click", () => player.toggle());
  one("#time").addEventListener("input", event => { player.pause(); player.show(Number(event.target.value)); });
  one("#back").addEventListener("click", () => player.jump(-1));
  one("#next").addEventListener("click", () => player.jump(1));
  one("#wipe").addEventListener("input", () => player.wipe());
  for (const id of ["#mode", "#side-a", "#side-b"]) {
    one(id).addEventListener("change", () => { player.build(); player.show(player.place); });
  }
  for (const box of all("#switches input")) box.addEventListener("change", () => player.show(player.place));
}

function openFromLink(event) {
  const key = event.target.closest("[data-open]")?.dataset.open;
  if (!key || !players.has(key)) return;
  event.preventDefault();
  if (player.open(key)) player.root.scrollIntoView({block: "start"});
  one("#play").focus({preventScroll: true});
}

// --- filters and sorting --------------------------------------------------------------------

const FILTERS = ["video", "class", "change", "measure", "below"];

function filter() {
  const form = one("#filters");
  if (!form) return;
  const asked = Object.fromEntries(FILTERS.map(name => [name, form.elements[name]?.value ?? ""]));
  let count = 0;
  for (const row of all("#objects tr[data-key]")) {
    const told = JSON.parse(row.dataset.facts);
    const value = told.measures[asked.measure];
    const gain = told.gain ?? 0;
    const keep = told.video.toLowerCase().includes(asked.video.toLowerCase())
      && (asked.class === "" || told.classes.includes(asked.class))
      && (asked.change === "" || (asked.change === "gain" ? gain > 1 : gain < -1))
      && (asked.below === "" || (value !== null && value !== undefined && value < Number(asked.below)));
    row.hidden = !keep;
    count += keep;
  }
  for (const point of all("#scatter [data-key]")) {
    point.toggleAttribute("data-off",
      one(`#objects tr[data-key="${CSS.escape(point.dataset.key)}"]`)?.hidden ?? false);
  }
  one("#count").textContent = `${count} objects`;
  remember(asked);
}

function setUpFilters() {
  const form = one("#filters");
  if (!form) return;
  const known = address();
  for (const name of FILTERS) if (known.has(name) && form.elements[name]) form.elements[name].value = known.get(name);
  form.addEventListener("input", filter);
  form.addEventListener("submit", event => event.preventDefault());
  form.addEventListener("reset", () => setTimeout(filter));
  filter();
}

function value(row, i) {
  const text = row.cells[i].textContent.trim().replace("\u2212", "-");
  if (text === "n/a" || text === "") return -Infinity;
  return isNaN(text) ? text : Number(text);
}

function order(a, b) {
  if (typeof a === "number" && typeof b === "number") return a - b;
  return String(a).localeCompare(String(b), undefined, {numeric: true});
}

function setUpSorting(table) {
  const heads = [...table.tHead.rows[0].cells], body = table.tBodies[0];
  heads.forEach((head, i) => {
    const button = make("button", {type: "button"});
    button.append(...head.childNodes);
    head.append(button);
    button.addEventListener("click", () => {
      const up = head.getAttribute("aria-sort") !== "ascending";
      for (const other of heads) other.removeAttribute("aria-sort");
      head.setAttribute("aria-sort", up ? "ascending" : "descending");
      const rows = [...body.rows];
      rows.sort((a, b) => order(value(a, i), value(b, i)) * (up ? 1 : -1));
      body.append(...rows);
    });
  });
}

function openFromAddress() {
  const known = address();
  const key = known.has("v") ? `${known.get("v")}/${known.get("o")}` : players.keys().next().value;
  if (!key || !player.open(key)) return;
  const place = player.data.frames.indexOf(known.get("f"));
  if (place >= 0) player.show(place);
}

setUpPlayer();
setUpFilters();
for (const table of all("table.sortable")) setUpSorting(table);
document.addEventListener("click", openFromLink);
const wanted = location.hash;
addEventListener("hashchange", openFromAddress);
if (players.size) { if (wanted.includes("=")) history.replaceState(null, "", wanted); openFromAddress(); }
