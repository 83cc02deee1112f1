// Paints on the left canvas. After every change, the right canvas shows the translation.
const byId = id => document.getElementById(id);
const input = byId("input"), output = byId("output");
const pen = input.getContext("2d", {willReadFrequently: true});
const settings = await (await fetch("settings")).json();  // Settings in demo.py

const MAX_UNDO = 50;
let history = [];         // earlier pictures, for undo
let strokePoint = null;   // the last point of a stroke, or the first corner of a rectangle
let beforeStroke = null;  // the picture before the stroke, for a rectangle to be drawn on
let sample = 0;           // number of the noise
let example = 0;          // number of the next example
const brushes = new Map(settings.brushes);  // colours by name
let colour = brushes.get("window") ?? settings.brushes[0][1];

function showStatus(text) { byId("status").textContent = text; }

// Requests

async function post(path, body) {
  const headers = {"content-type": "application/octet-stream"};
  const response = await fetch(path, {method: "POST", body, headers})
    .catch(() => { throw Error("the demo does not answer; start it again in the terminal"); });
  if (!response.ok) throw Error(await response.text());
  return createImageBitmap(await response.blob());
}

// Only one request runs at a time. If the picture changes meanwhile, one more request follows.
let busy = false, changedAgain = false;

async function translate() {
  if (busy) { changedAgain = true; return; }
  busy = output.ariaBusy = true;
  try {
    const png = await new Promise(resolve => input.toBlob(resolve));
    showOutput(await post(`translate?number=${sample}`, png));
    showStatus("");
  } catch (error) { showStatus(error.message); }
  busy = output.ariaBusy = false;
  if (changedAgain) { changedAgain = false; translate(); }
}

function showOutput(image) {
  const context = output.getContext("2d");
  context.clearRect(0, 0, output.width, output.height);
  context.drawImage(image, 0, 0);
  output.dataset.count = Number(output.dataset.count) + 1;
}

async function openImage(path, body) {
  try {
    const image = await post(path, body);
    saveForUndo();
    pen.clearRect(0, 0, input.width, input.height);
    pen.drawImage(image, 0, 0);
    translate();
  } catch (error) { showStatus(error.message); }
}

// Painting

function saveForUndo() {
  const picture = pen.getImageData(0, 0, input.width, input.height);
  history = [...history.slice(1 - MAX_UNDO), picture];
}

function undo() {
  const picture = history.pop();
  if (!picture) return;
  pen.putImageData(picture, 0, 0);
  translate();
}

function fillRectangle(x, y, width, height, fill = colour) {
  pen.clearRect(x, y, width, height);
  pen.fillStyle = fill;
  pen.fillRect(x, y, width, height);
}

function fillBackground() {
  fillRectangle(0, 0, input.width, input.height, settings.background);
}

// Fills a disc with whole pixels, because blended pixels at its edge would have no class.
function fillDisc(x, y) {
  const radius = byId("size").value / 2;
  for (let row = Math.ceil(y - radius - .5); row + .5 <= y + radius; row++) {
    const half = Math.sqrt(Math.max(0, radius ** 2 - (row + .5 - y) ** 2));
    const left = Math.round(x - half);
    fillRectangle(left, row, Math.max(1, Math.round(x + half) - left), 1);
  }
}

function drawStroke([x, y], [endX, endY]) {
  const steps = Math.ceil(Math.max(1, Math.hypot(endX - x, endY - y)));
  for (let k = 0; k <= steps; k++) {
    fillDisc(x + (endX - x) * k / steps, y + (endY - y) * k / steps);
  }
}

function drawRectangle(corner, opposite) {
  const [[left, right], [top, bottom]] =
    [0, 1].map(axis => [corner[axis], opposite[axis]].map(Math.round).sort((a, b) => a - b));
  pen.putImageData(beforeStroke, 0, 0);
  fillRectangle(left, top, right - left, bottom - top);
}

// The position of the pointer, in pixels of the picture.
function position(event) {
  const box = input.getBoundingClientRect();
  return [(event.clientX - box.x) * input.width / box.width,
          (event.clientY - box.y) * input.height / box.height];
}

function startStroke(event) {
  input.setPointerCapture(event.pointerId);
  saveForUndo();
  beforeStroke = history.at(-1);
  strokePoint = position(event);
  continueStroke(event);
}

function continueStroke(event) {
  if (!strokePoint) return;
  const point = position(event);
  if (byId("tool").value === "brush") {
    drawStroke(strokePoint, point);
    strokePoint = point;
  } else {
    drawRectangle(strokePoint, point);
  }
  translate();
}

function endStroke() { strokePoint = null; }

input.onpointerdown = startStroke;
input.onpointermove = continueStroke;
input.onpointerup = input.onpointercancel = endStroke;

// Tools

function updateTool() { byId("size").disabled = byId("tool").value !== "brush"; }

function openFile(event) {
  const [file] = event.target.files;
  if (file?.size > settings.max_megabytes << 20) {
    showStatus(`this file is too large; open an image of at most ${settings.max_megabytes} MB`);
  } else if (file) {
    openImage("input", file);
  }
  event.target.value = "";  // Without this line, the same file could not be opened again.
}

byId("tool").onchange = updateTool;
byId("undo").onclick = undo;
byId("clear").onclick = () => { saveForUndo(); fillBackground(); translate(); };
byId("noise").onclick = () => { sample += 1; translate(); };
byId("example").onclick = () => openImage(`example?number=${example++}`, "");
byId("open").onclick = () => byId("file").click();
byId("file").onchange = openFile;

// The parts of the page that depend on the run

function addBrush(name, value) {
  const label = document.createElement("label"), swatch = document.createElement("i");
  const radio = Object.assign(document.createElement("input"), {type: "radio", name: "brush"});
  radio.checked = value === colour;
  radio.onchange = () => { colour = value; };
  swatch.style.background = value;
  label.append(radio, swatch, name);
  byId("brushes").append(label);
}

function addColourPicker() {
  const picker = Object.assign(document.createElement("input"), {type: "color", title: "colour"});
  picker.oninput = () => {
    colour = picker.value;
    for (const radio of byId("brushes").querySelectorAll("[type=radio]")) radio.checked = false;
  };
  byId("brushes").append(picker);
}

function resizeCanvas(canvas) {
  canvas.width = settings.width;
  canvas.height = settings.height;
  // The canvas is at most three quarters as high as the window, so the whole picture is visible.
  canvas.style.maxWidth = `calc(75vh * ${settings.width / settings.height})`;
}

document.title = byId("title").textContent = settings.title;
byId("about").textContent = settings.about;
byId("noise").hidden = !settings.has_noise;
byId("example").hidden = !settings.has_examples;
[input, output].forEach(resizeCanvas);
settings.brushes.forEach(([name, value]) => addBrush(name, value));
if (settings.any_colour) addColourPicker();
updateTool();
fillBackground();
if (settings.has_examples) byId("example").click(); else translate();
