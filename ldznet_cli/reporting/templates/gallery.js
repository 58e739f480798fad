"use strict";
// DATA: {images: [{name, source}], items: [{image, phrase, label, score, threshold, iou, area, mask, prob, truth, error}]}
// `mask`, `prob` and `truth` are 8-bit grey PNGs on grids of their own: all are stretched over the picture.
const TINT = [86, 180, 233], RIGHT = [0, 158, 115], WRONG = [213, 94, 0], MISSED = [240, 228, 66];
const INSIDE = 140, OUTSIDE = 110, HALF = 127;
const by = (id) => document.getElementById(id);
const percent = (share) => (share === null ? "–" : (100 * share).toFixed(1) + " %");
const grid = by("grid"), shown = new Set();

const watcher = new IntersectionObserver((changes) => {
  for (const { target, isIntersecting } of changes) {
    if (isIntersecting) { shown.add(target); paint(target); } else { shown.delete(target); }
  }
}, { rootMargin: "200px" });

function make(tag, properties, ...children) {
  const node = Object.assign(document.createElement(tag), properties);
  node.append(...children);
  return node;
}

function card(item) {
  const source = DATA.images[item.image].source;
  const picture = make("div", { className: "picture", tabIndex: 0 });
  picture.item = item;
  if (source) picture.append(make("img", { src: source, alt: DATA.images[item.image].name }));
  if (item.error) picture.append(make("p", { textContent: item.error }));
  else picture.append(make("canvas", {}));
  picture.addEventListener("click", () => picture.classList.toggle("pinned"));
  watcher.observe(picture);
  const numbers = [`score ${percent(item.score)}`, `area ${percent(item.area)}`];
  if (item.iou !== null) numbers.unshift(`IoU ${percent(item.iou)}`);
  return make("figure", {}, picture, make("figcaption", {},
    make("b", { textContent: item.label }), make("br", {}), item.error ? "failed" : numbers.join(", "),
    make("br", {}), DATA.images[item.image].name));
}

// One PNG's grey values, stretched to width x height. The stretched ones are not kept: they would be many.
async function greys(source, width, height) {
  const image = new Image();
  image.src = source;
  await image.decode();
  const context = make("canvas", { width, height }).getContext("2d", { willReadFrequently: true });
  context.drawImage(image, 0, 0, width, height);
  return context.getImageData(0, 0, width, height).data;
}

function settings() {
  const asMade = by("made").checked;
  return { asMade, threshold: Number(by("threshold").value), truth: Boolean(by("truth") && by("truth").checked) };
}

async function paint(picture) {
  const { item } = picture, canvas = picture.querySelector("canvas"), image = picture.querySelector("img");
  if (!canvas) return;
  const turn = picture.turn = (picture.turn || 0) + 1;
  if (image) await image.decode();
  const width = image ? image.naturalWidth : item.width, height = image ? image.naturalHeight : item.height;
  const { asMade, threshold, truth } = settings();
  const soft = !asMade && item.prob;
  const found = await greys(soft ? item.prob : item.mask, width, height);
  const real = truth && item.truth ? await greys(item.truth, width, height) : null;
  if (turn !== picture.turn) return;
  const least = soft ? 255 * threshold : HALF;
  Object.assign(canvas, { width, height });
  const context = canvas.getContext("2d"), pixels = context.createImageData(width, height);
  for (let at = 0; at < pixels.data.length; at += 4) {
    const here = found[at] > least, there = real !== null && real[at] > HALF;
    const colour = real === null ? (here ? TINT : null)
      : here && there ? RIGHT : here ? WRONG : there ? MISSED : null;
    if (colour) pixels.data.set(colour, at);
    pixels.data[at + 3] = colour ? INSIDE : OUTSIDE;
  }
  context.putImageData(pixels, 0, 0);
  picture.dataset.painted = soft ? `p > ${threshold}` : "as made";
}

const ORDERS = {
  made: () => 0,
  worst: (a, b) => (a.iou ?? 2) - (b.iou ?? 2),
  low: (a, b) => (a.score ?? 2) - (b.score ?? 2),
  high: (a, b) => (b.score ?? -1) - (a.score ?? -1),
};

function chosen() {
  const words = by("find").value.toLowerCase(), phrase = by("phrase").value;
  const least = Number(by("least").value), most = Number(by("most").value);
  return DATA.items.filter((item) => {
    const text = `${DATA.images[item.image].name} ${item.phrase} ${item.label}`.toLowerCase();
    const scored = item.score === null ? least === 0 : item.score >= least && item.score <= most;
    return text.includes(words) && (phrase === "" || item.phrase === phrase) && scored;
  });
}

function arrange() {
  const order = by("order").value, items = chosen().sort(ORDERS[order]);
  watcher.disconnect();
  shown.clear();
  let last = null;
  grid.replaceChildren(...items.flatMap((item) => {
    const heading = order === "made" && item.image !== last;
    last = item.image;
    return heading ? [make("h2", { textContent: DATA.images[item.image].name }), card(item)] : [card(item)];
  }));
  by("count").textContent = `${items.length} of ${DATA.items.length} masks`;
}

function repaint() {
  document.body.classList.toggle("always", by("always").checked);
  document.body.classList.toggle("comparing", settings().truth);
  if (by("truth")) by("legend").hidden = !by("truth").checked;
  shown.forEach((picture) => paint(picture));
}

for (const phrase of [...new Set(DATA.items.map((item) => item.phrase))].sort()) {
  by("phrase").append(make("option", { value: phrase, textContent: phrase }));
}
for (const output of document.querySelectorAll("output")) {
  const input = by(output.htmlFor.value), tell = () => { output.textContent = Number(input.value).toFixed(2); };
  input.addEventListener("input", tell);
  tell();
}
by("tools").addEventListener("submit", (event) => event.preventDefault());
by("threshold").addEventListener("input", () => { by("made").checked = false; repaint(); });
for (const id of ["made", "always", "truth"]) if (by(id)) by(id).addEventListener("change", repaint);
for (const id of ["find", "phrase", "order", "least", "most"]) by(id).addEventListener("input", arrange);
arrange();
