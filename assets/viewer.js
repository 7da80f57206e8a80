/* CT viewer: three linked planes on Canvas2D. One dependency-free ES module.
 *
 * Streamlit mounts it with packets of bytes (core/view/packing.py writes them):
 *   kind "volume"   header + int16 HU, i fastest; the visible viewer
 *   kind "overlay"  header + uint8 map, same order; changes without the volume being sent again
 *   kind "expect"   header only: the question now asked; a map that answers another one is dimmed, or taken off the screen
 *   An overlay without a map says why, or names the map that is still being computed; its slice strip is shown already.
 *   While a map is awaited, and where the reader stopped it, the one before it stays, dimmed and named.
 * A case opens at its middle. Its first map takes the viewer to the strongest place, however late it comes, and the axial
 * plane says so; once the reader has clicked, scrolled or pressed a key in the viewer, no map takes her elsewhere.
 * Voxel axes are closest RAS: i to the patient's right, j anterior, k superior. The display is radiological: every plane
 * flips both of its axes, so the patient's right lies on the left, anterior and superior lie on top.
 */

const PRESETS = [
  { key: "1", name: "Soft tissue", width: 400, level: 40 },
  { key: "2", name: "Lung", width: 1500, level: -600 },
  { key: "3", name: "Liver", width: 150, level: 90 },
  { key: "4", name: "Bone", width: 2500, level: 480 },
  { key: "5", name: "Brain", width: 80, level: 40 },
  { key: "6", name: "PE angio", width: 700, level: 100 },
];
const TOOLS = [
  { id: "cross", key: "c", label: "Crosshair", icon: "M12 3v7M12 14v7M3 12h7M14 12h7" },
  { id: "window", key: "w", label: "Window: drag", icon: "M12 4a8 8 0 1 0 0 16zM12 4a8 8 0 0 1 0 16" },
  { id: "zoom", key: "z", label: "Zoom: drag", icon: "M10.5 4a6.5 6.5 0 1 0 0 13 6.5 6.5 0 0 0 0-13zM15.5 15.5 21 21M8 10.5h5M10.5 8v5" },
  { id: "pan", key: "p", label: "Pan: drag", icon: "M12 3v18M3 12h18M12 3l-2.5 2.5M12 3l2.5 2.5M12 21l-2.5-2.5M12 21l2.5-2.5M3 12l2.5-2.5M3 12l2.5 2.5M21 12l-2.5-2.5M21 12l-2.5 2.5" },
  { id: "ruler", key: "m", label: "Distance in mm: drag", icon: "M3 16 16 3l5 5L8 21zM7 12l2 2M10 9l2 2M13 6l2 2" },
];
const ACTIONS = [
  { id: "invert", key: "i", label: "Invert grey scale", icon: "M4 4h16v16H4zM12 4v16M12 4h8v16h-8z" },
  { id: "focus", key: "g", label: "Go to the strongest place of the map", icon: "M12 4a8 8 0 1 0 0 16 8 8 0 0 0 0-16zM12 9a3 3 0 1 0 0 6 3 3 0 0 0 0-6z" },
  { id: "reset", key: "Space", label: "Reset view", icon: "M4 12a8 8 0 1 0 2.6-5.9M4 4v4.5h4.5" },
  { id: "full", key: "f", label: "Full screen", icon: "M4 9V4h5M15 4h5v5M20 15v5h-5M9 20H4v-5" },
  { id: "help", key: "?", label: "Keys and mouse", icon: "M9 9a3 3 0 1 1 4 2.8c-.7.3-1 .9-1 1.7v.5M12 17.5v.5" },
];
const KEYS = [
  ["Tab, pointer", "choose the plane that keys act on"], ["Wheel, up, down", "previous, next slice"], ["Page up, page down", "ten slices"],
  ["Home, end", "first, last slice"], ["Shift + arrows", "move the crosshair"], ["g", "go to the strongest place of the map"],
  ["1 to 6", "window presets"], ["Space", "reset the view and the overlay"], ["i", "invert"], ["z", "zoom: drag; again for the crosshair"],
  ["c, w, p, m", "crosshair, window, pan, distance"], ["o", "overlay on or off"], ["Right drag", "zoom"], ["Middle drag", "pan"],
  ["Shift + drag", "window"], ["Delete", "clear distances"], ["f", "full screen"], ["?", "this list"],
];
const MAP_WORDS = [
  "Colour shows where on the CT the model's risk depends on the voxels, not where disease is. Below the threshold nothing is coloured. Colours end where the maps of nine in ten training patients do, so that a weak map stays pale or uncoloured; \u201cOwn scale\u201d ends them where this map does. \u2265 and \u2264 say that it goes further.",
  "The model reads whole slices, air and table included, in cells larger than a voxel. Colour in air, outside the body or across an edge is true to the model: its risk depends on what it sees there, the body's outline for instance. Much of it is a reason to trust this answer less.",
];
const PLANES = {
  axial: { u: 0, v: 1, w: 2, letters: ["R", "L", "A", "P"], label: "Axial" },
  coronal: { u: 0, v: 2, w: 1, letters: ["R", "L", "S", "I"], label: "Coronal" },
  sagittal: { u: 1, v: 2, w: 0, letters: ["A", "P", "S", "I"], label: "Sagittal" },
};
const SIGNED_ZERO = 128;
const SCALE_MM = [1, 2, 5, 10, 20, 50, 100, 200];
const REPORT_DELAY_MS = 350;
const OVERLAY_LOOK = { threshold: 0.35, opacity: 0.55 };
const LOOK = { ...OVERLAY_LOOK, heatOn: true, inverted: false, ownScale: false };
const DIMMED = 0.35; // share of its opacity that an earlier map keeps while the next one is computed
const NARROW_PX = 660; // as in viewer.css
const MOVED = "Moved to the strongest place of the map";

const overlays = new Map(); // viewer id -> overlay packet
const expected = new Map(); // viewer id -> header with the question that the next overlay must answer
const replaced = new Set(); // tokens of headers that a newer one has taken the place of
const viewers = new Map(); // viewer id -> Viewer
const places = new Map(); // study -> place of this page visit, and whether the reader settled there (numbers only)
const windows = new Map(); // volume digest -> grey window of this page visit
const openings = new Set(); // tokens of exported cases whose view was taken over
const looks = new Map(); // viewer id -> how its grey scale and overlay look, whatever the volume
const instances = new WeakMap(); // mount element -> Viewer
let scrolled = false; // has the reader scrolled since the last click?
for (const kind of ["wheel", "touchmove"]) window.addEventListener(kind, () => { scrolled = true; }, { passive: true });
window.addEventListener("click", () => { scrolled = false; }, { capture: true });

/** Streamlit's entry: called at mount and again whenever data or theme change. */
export default function mount({ data, parentElement, setStateValue }) {
  if (!data || !data.byteLength) return undefined;
  const packet = unpack(data);
  const id = packet.header.viewer;
  if (packet.header.kind === "expect") {
    if (replaced.has(packet.header.token)) return undefined; // Streamlit may mount it once more while it leaves the page
    if (expected.has(id) && expected.get(id).token !== packet.header.token) replaced.add(expected.get(id).token);
    expected.set(id, packet.header);
    viewers.get(id)?.showState();
    if (packet.header.own) window.addEventListener("beforeunload", askBeforeLeaving);
    else window.removeEventListener("beforeunload", askBeforeLeaving);
    return () => {
      if (expected.get(id) !== packet.header) return; // a newer one is there
      expected.delete(id);
      viewers.get(id)?.showState();
      window.removeEventListener("beforeunload", askBeforeLeaving);
    };
  }
  if (packet.header.kind === "overlay") {
    const { digest } = packet.header;
    if (overlays.get(id)?.header.digest !== digest) {
      overlays.set(id, { header: packet.header, values: new Uint8Array(packet.payload()) });
      viewers.get(id)?.setOverlay(overlays.get(id));
    }
    return () => { if (overlays.get(id)?.header.digest === digest) overlays.delete(id); }; // a newer one may be there
  }
  let viewer = instances.get(parentElement);
  if (!viewer) {
    viewer = new Viewer(parentElement, id);
    instances.set(parentElement, viewer);
    if (!scrolled) document.querySelector("[data-testid=stMain]")?.scrollTo(0, 0); // Streamlit leaves it where the page before was
  }
  viewers.set(id, viewer);
  viewer.report = (state) => setStateValue("view", state);
  viewer.setVolume(packet);
  if (overlays.has(id)) viewer.setOverlay(overlays.get(id));
  return () => {
    viewer.destroy();
    instances.delete(parentElement);
    if (viewers.get(id) === viewer) viewers.delete(id);
  };
}

/** The browser's own question: a reload or a closed page drops the reader's own case. */
function askBeforeLeaving(event) {
  event.preventDefault();
}

/** Packet layout: "CTV1", uint32 header bytes, JSON header, zero padding to 8, payload. */
function unpack(bytes) {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const size = view.getUint32(4, true);
  const header = JSON.parse(new TextDecoder().decode(bytes.subarray(8, 8 + size)));
  const start = Math.ceil((8 + size) / 8) * 8;
  return { header, payload: () => bytes.slice(start).buffer };
}

function element(tag, className, attributes = {}, text = "") {
  const node = document.createElement(tag);
  if (className) node.className = className;
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  if (text) node.textContent = text;
  return node;
}

function iconButton(item, onClick) {
  const hint = `${item.label} (${item.key})`;
  const button = element("button", "tool", { type: "button", title: hint, "aria-label": hint, "data-id": item.id });
  button.innerHTML = `<svg viewBox="0 0 24 24" aria-hidden="true"><path d="${item.icon}"/></svg>`;
  button.addEventListener("click", onClick);
  return button;
}

const clamp = (value, low, high) => Math.min(high, Math.max(low, value));
const fixed = (value, digits = 0) => (Object.is(Math.round(value * 10 ** digits), -0) ? (0).toFixed(digits) : value.toFixed(digits)).replace("-", "\u2212");
const grouped = (value) => Math.round(value).toLocaleString("en-US").replace("-", "\u2212");

/** Four significant places at most, for colour-bar ends. */
function short(value) {
  if (value === 0) return "0";
  const size = Math.abs(value);
  const text = size >= 100 ? value.toFixed(0) : size >= 0.001 ? String(Number(value.toPrecision(2))) : value.toExponential(1);
  return text.replace("-", "\u2212").replace("e\u2212", "e-");
}

/** What a code of a map stands for, as a share of the map's limit: codes are even in its root. */
function valueShare(code, signed) {
  const root = signed ? (code - SIGNED_ZERO) / 127 : code / 255;
  return root * Math.abs(root);
}

/** A value on a map's colour scale; at the end of the scale, with the sign of what the map has beyond it. */
function scaled(value, { limit }, furthest) {
  const beyond = Math.abs(value) >= limit && Math.abs(furthest) > limit && value * furthest > 0;
  return `${beyond ? (value < 0 ? "\u2264 " : "\u2265 ") : ""}${short(value)}`;
}

class Pane {
  constructor(viewer, name) {
    Object.assign(this, PLANES[name]);
    this.viewer = viewer;
    this.name = name;
    this.zoom = 1;
    this.pan = [0, 0];
    this.node = element("div", `pane ${name}`, { "data-plane": name, tabindex: "0", role: "group", "aria-label": `${this.label} plane. Arrow keys change the slice, with Shift they move the crosshair.` });
    this.canvas = element("canvas", "", { role: "img", "aria-label": `${this.label} CT slice` });
    this.title = element("span", "plane-name", {}, this.label);
    this.node.append(this.canvas, this.title);
    this.letters.forEach((letter, n) => this.node.append(element("span", `letter at${n}`, { "aria-hidden": "true" }, letter)));
    this.ct = document.createElement("canvas");
    this.heat = document.createElement("canvas");
    this.ctKey = this.heatKey = "";
  }

  resize() {
    const ratio = Math.min(window.devicePixelRatio || 1, 2);
    const width = Math.max(1, Math.round(this.node.clientWidth * ratio));
    const height = Math.max(1, Math.round(this.node.clientHeight * ratio));
    if (this.canvas.width === width && this.canvas.height === height) return;
    Object.assign(this.canvas, { width, height });
    this.ratio = ratio;
  }

  /** Rectangle of the slice on the canvas, device pixels; mm-correct. */
  rectangle() {
    const { shape, spacing } = this.viewer.volume;
    const width = shape[this.u] * spacing[this.u];
    const height = shape[this.v] * spacing[this.v];
    const scale = Math.min(this.canvas.width / width, this.canvas.height / height) * this.zoom;
    const x = this.canvas.width / 2 + this.pan[0] * this.ratio - (width * scale) / 2;
    const y = this.canvas.height / 2 + this.pan[1] * this.ratio - (height * scale) / 2;
    return { x, y, width: width * scale, height: height * scale, scale };
  }

  /** Continuous voxel (u, v) under a client position. */
  voxelAt(event) {
    const box = this.canvas.getBoundingClientRect();
    const r = this.rectangle();
    const { shape } = this.viewer.volume;
    const x = ((event.clientX - box.left) * this.canvas.width) / box.width;
    const y = ((event.clientY - box.top) * this.canvas.height) / box.height;
    return [(1 - (x - r.x) / r.width) * shape[this.u] - 0.5, (1 - (y - r.y) / r.height) * shape[this.v] - 0.5];
  }

  /** Device-pixel position of a voxel (u, v). */
  positionOf(u, v, r) {
    const { shape } = this.viewer.volume;
    return [r.x + (1 - (u + 0.5) / shape[this.u]) * r.width, r.y + (1 - (v + 0.5) / shape[this.v]) * r.height];
  }

  draw() {
    const { viewer } = this;
    const context = this.canvas.getContext("2d", { alpha: false });
    context.fillStyle = "#000";
    context.fillRect(0, 0, this.canvas.width, this.canvas.height);
    if (!viewer.volume) return;
    this.paintCt();
    const r = this.rectangle();
    context.imageSmoothingEnabled = true;
    context.imageSmoothingQuality = r.width > 2.5 * this.ct.width ? "medium" : "low";
    context.drawImage(this.ct, r.x, r.y, r.width, r.height);
    if (viewer.overlayShown()) {
      this.paintHeat();
      context.globalAlpha = viewer.isEarlier() ? DIMMED : 1;
      context.drawImage(this.heat, r.x, r.y, r.width, r.height);
      context.globalAlpha = 1;
    }
    this.drawCross(context, r);
    this.drawRulers(context, r);
    this.drawScale(context, r);
  }

  paintCt() {
    const { volume, cursor, lut, lutKey } = this.viewer;
    const key = `${volume.digest}|${cursor[this.w]}|${lutKey}`;
    if (key === this.ctKey) return;
    this.ctKey = key;
    paint(this.ct, volume.voxels, volume.shape, this, cursor[this.w], lut, 32768);
  }

  paintHeat() {
    const { volume, map, cursor, heatLut, heatKey } = this.viewer;
    const slice = Math.floor(((cursor[this.w] + 0.5) * map.header.shape[this.w]) / volume.shape[this.w]);
    const key = `${map.header.digest}|${slice}|${heatKey}`;
    if (key === this.heatKey) return;
    this.heatKey = key;
    paint(this.heat, map.values, map.header.shape, this, slice, heatLut, 0);
  }

  drawCross(context, r) {
    const { cursor, tool } = this.viewer;
    const [x, y] = this.positionOf(cursor[this.u], cursor[this.v], r);
    const gap = (this.name === "axial" ? 14 : 8) * this.ratio;
    context.strokeStyle = tool === "cross" ? "rgba(206, 226, 245, .62)" : "rgba(206, 226, 245, .3)";
    context.lineWidth = this.ratio;
    context.beginPath();
    for (const [x0, y0, x1, y1] of [[0, y, x - gap, y], [x + gap, y, this.canvas.width, y], [x, 0, x, y - gap], [x, y + gap, x, this.canvas.height]]) {
      context.moveTo(Math.round(x0) + 0.5, Math.round(y0) + 0.5);
      context.lineTo(Math.round(x1) + 0.5, Math.round(y1) + 0.5);
    }
    context.stroke();
  }

  /** A bar of round length in the lower right corner, so that sizes can be judged at any zoom. */
  drawScale(context, r) {
    const mm = SCALE_MM.findLast((length) => length * r.scale <= this.canvas.width / 4) || SCALE_MM[0];
    const { ratio, canvas } = this;
    const below = this.name === "axial" && !this.viewer.narrow; // there the place stands
    const [right, y] = [canvas.width - 10 * ratio, canvas.height - (below ? 32 : 12) * ratio];
    const left = right - mm * r.scale;
    for (const [colour, width] of [["#000", 4], ["#e8edf2", 2]]) {
      context.strokeStyle = colour;
      context.lineWidth = width * ratio;
      context.beginPath();
      for (const [x0, y0, x1, y1] of [[left, y, right, y], [left, y - 4 * ratio, left, y + 4 * ratio], [right, y - 4 * ratio, right, y + 4 * ratio]]) {
        context.moveTo(x0, y0);
        context.lineTo(x1, y1);
      }
      context.stroke();
    }
    context.font = `600 ${11 * ratio}px system-ui, sans-serif`;
    context.textAlign = "center";
    context.lineWidth = 3 * ratio;
    context.strokeStyle = "#000";
    context.fillStyle = "#e8edf2";
    const words = mm < 10 ? `${mm} mm` : `${mm / 10} cm`;
    context.strokeText(words, (left + right) / 2, y - 7 * ratio);
    context.fillText(words, (left + right) / 2, y - 7 * ratio);
    context.textAlign = "start";
    Object.assign(this.node.dataset, { scaleMm: mm, scalePx: (right - left).toFixed(1) });
  }

  drawRulers(context, r) {
    context.font = `600 ${12 * this.ratio}px system-ui, sans-serif`;
    context.lineWidth = 1.5 * this.ratio;
    for (const ruler of this.viewer.rulers) {
      if (ruler.plane !== this.name || ruler.slice !== this.viewer.cursor[this.w]) continue;
      const [a, b] = [this.positionOf(...ruler.from, r), this.positionOf(...ruler.to, r)];
      context.strokeStyle = context.fillStyle = "#7fe3ff";
      context.beginPath();
      context.moveTo(...a);
      context.lineTo(...b);
      context.stroke();
      for (const [x, y] of [a, b]) context.fillRect(x - 2 * this.ratio, y - 2 * this.ratio, 4 * this.ratio, 4 * this.ratio);
      const text = `${this.viewer.lengthMm(ruler, this).toFixed(1)} mm`;
      const [x, y] = [(a[0] + b[0]) / 2 + 8 * this.ratio, (a[1] + b[1]) / 2 - 8 * this.ratio];
      context.lineWidth = 3 * this.ratio;
      context.strokeStyle = "#000";
      context.strokeText(text, x, y);
      context.fillText(text, x, y);
      context.lineWidth = 1.5 * this.ratio;
    }
  }
}

/** Where a place lies from the scanner's origin, by letter: programs differ in which way x and y count up. */
const sided = (mm, [up, down]) => `${Number(mm.toFixed(0)) < 0 ? down : up} ${Math.abs(mm).toFixed(0)}`;

/** One slice through a table of packed RGBA into a canvas of the slice's own size, both axes flipped. */
function paint(canvas, values, shape, plane, slice, table, offset) {
  const strides = [1, shape[0], shape[0] * shape[1]];
  const [nu, nv] = [shape[plane.u], shape[plane.v]];
  if (canvas.width !== nu || canvas.height !== nv) Object.assign(canvas, { width: nu, height: nv });
  const context = canvas.getContext("2d");
  const image = context.createImageData(nu, nv);
  const pixels = new Uint32Array(image.data.buffer);
  const [su, sv, base] = [strides[plane.u], strides[plane.v], slice * strides[plane.w]];
  let out = 0;
  for (let y = nv - 1; y >= 0; y -= 1) {
    let at = base + y * sv + (nu - 1) * su;
    for (let x = 0; x < nu; x += 1, at -= su) pixels[out++] = table[values[at] + offset];
  }
  context.putImageData(image, 0, 0);
}

class Viewer {
  constructor(parent, id) {
    this.id = id;
    this.lut = new Uint32Array(65536);
    this.heatLut = new Uint32Array(256);
    this.tool = "cross";
    this.rulers = [];
    Object.assign(this, LOOK, looks.get(id));
    this.inputs = {};
    this.cursor = [0, 0, 0];
    this.window = { width: 400, level: 40 };
    this.stopper = new AbortController();
    this.build(parent);
    this.observer = new ResizeObserver(() => this.resize());
    for (const node of [this.root, this.strip, ...this.panes.map((pane) => pane.node)]) this.observer.observe(node); // a foot that grows takes from the panes
    this.listen();
  }

  destroy() {
    this.remember();
    clearTimeout(this.reportTimer);
    cancelAnimationFrame(this.frame);
    this.stopper.abort();
    this.observer.disconnect();
    this.root.remove();
    this.volume = this.overlay = this.map = null;
  }

  // ---------------------------------------------------------------- structure

  build(parent) {
    this.root = element("section", "viewer", { tabindex: "-1", "aria-label": "CT viewer. Arrow keys change the slice, question mark lists all keys." });
    this.panes = Object.keys(PLANES).map((name) => new Pane(this, name));
    const [axial, coronal, sagittal] = this.panes;
    this.active = axial;
    this.probe = element("div", "read probe");
    this.place = element("div", "read place");
    this.level = element("div", "read level");
    this.stamp = element("div", "read stamp");
    this.value = element("div", "read value");
    this.moved = element("div", "read moved", { role: "status" });
    axial.node.append(this.value, this.probe, this.place, this.level, this.stamp, this.moved);
    this.strip = element("div", "strip", { role: "slider", tabindex: "0", "aria-label": "Axial slice", "aria-orientation": "vertical" });
    this.stripCanvas = element("canvas", "", { "aria-hidden": "true" });
    this.stripName = element("span", "strip-name", { "aria-hidden": "true" });
    this.strip.append(this.stripName, this.stripCanvas, element("span", "letter at2", {}, "S"), element("span", "letter at3", {}, "I"));
    this.live = element("div", "sr-only", { "aria-live": "polite" });
    this.root.append(this.buildToolbar(), this.buildHelp(), axial.node, this.strip, coronal.node, sagittal.node, this.buildFooter(), this.live);
    parent.appendChild(this.root);
  }

  buildToolbar() {
    const bar = element("div", "bar", { role: "group", "aria-label": "CT tools" });
    const presets = element("div", "group presets", { role: "group", "aria-label": "Window presets" });
    this.presetButtons = PRESETS.map((preset) => {
      const hint = `${preset.name}: width ${preset.width}, level ${preset.level} HU (${preset.key})`;
      const button = element("button", "preset", { type: "button", title: hint, "aria-label": hint }, preset.name);
      button.addEventListener("click", () => this.usePreset(preset));
      presets.append(button);
      return button;
    });
    const tools = element("div", "group", { role: "group", "aria-label": "Mouse tool" });
    this.toolButtons = TOOLS.map((tool) => iconButton(tool, () => this.useTool(tool.id)));
    tools.append(...this.toolButtons);
    const actions = element("div", "group", { role: "group", "aria-label": "View" });
    actions.append(...ACTIONS.map((action) => iconButton(action, () => this.act(action.id))));
    this.toFocus = actions.querySelector("[data-id=focus]");
    this.notice = element("span", "notice", { role: "note" });
    bar.append(presets, element("span", "grow"), this.notice, tools, actions);
    return bar;
  }

  buildFooter() {
    const foot = element("div", "foot");
    this.switch = element("button", "switch", { type: "button", role: "switch", "aria-checked": "true", title: "Overlay on or off (o)" });
    this.caption = element("span", "", {}, "Saliency");
    this.switch.append(element("i", "knob"), this.caption);
    this.switch.addEventListener("click", () => this.act("overlay"));
    this.sliders = element("div", "sliders");
    this.sliders.append(
      this.slider("threshold", "Threshold"),
      this.slider("opacity", "Opacity"),
    );
    this.own = element("button", "own", { type: "button", "aria-pressed": "false", title: "Colours of this map alone, or on the scale of the training patients' maps" }, "Own scale");
    this.own.addEventListener("click", () => this.setOwnScale(!this.ownScale));
    this.sliders.append(this.own);
    this.legend = element("div", "legend");
    this.bar = element("canvas", "ramp", { width: 256, height: 8, role: "img" });
    this.low = element("span", "end");
    this.high = element("span", "end");
    this.unit = element("span", "unit");
    this.amount = element("span", "unit");
    this.mark = element("span", "unit mark");
    const ends = element("div", "ends");
    ends.append(this.low, this.high);
    this.legend.append(this.bar, ends, this.unit, this.amount, this.mark);
    this.message = element("div", "message", { role: "status" });
    this.shown = element("div", "shown");
    foot.append(this.switch, this.sliders, this.legend, this.message, this.shown);
    return foot;
  }

  slider(name, label) {
    const wrap = element("label", "slide");
    const value = element("output", "");
    const input = element("input", "", { type: "range", min: "0", max: "95", step: "1", "aria-label": `Overlay ${name}, percent` });
    input.max = name === "opacity" ? "100" : "95";
    const show = () => {
      input.value = String(Math.round(this[name] * 100));
      value.textContent = `${input.value}%`;
    };
    show();
    this.inputs[name] = show;
    input.addEventListener("input", () => {
      this[name] = Number(input.value) / 100;
      show();
      if (this.map) this.drawLegend(this.map.header);
      this.heatTable();
      this.render();
    });
    input.addEventListener("change", () => this.reportSoon());
    wrap.append(element("span", "", {}, label), input, value);
    return wrap;
  }

  buildHelp() {
    this.help = element("dialog", "help", { "aria-label": "Keys and mouse" });
    const list = element("dl");
    KEYS.forEach(([keys, words]) => list.append(element("dt", "", {}, keys), element("dd", "", {}, words)));
    const close = element("button", "preset", { type: "button" }, "Close");
    close.addEventListener("click", () => this.help.close());
    this.help.append(element("h2", "", {}, "Keys and mouse"), list, element("h2", "", {}, "Reading the map"), ...MAP_WORDS.map((words) => element("p", "", {}, words)), close);
    return this.help;
  }

  // ---------------------------------------------------------------- data

  setVolume(packet) {
    const { header } = packet;
    if (this.volume?.digest === header.digest) return;
    this.remember();
    this.volume = { ...header, voxels: new Int16Array(packet.payload()) };
    if (this.overlay?.header.study !== header.study) this.dropOverlay();
    this.rulers = [];
    const saved = places.get(header.study); // whatever window the task brings
    const opened = header.opened && !openings.has(header.opened.token + header.study) ? header.opened : null; // once
    this.cursor = [...(opened?.cursor || saved?.cursor || header.start)];
    this.window = opened ? { width: opened.window_hu[1] - opened.window_hu[0], level: (opened.window_hu[0] + opened.window_hu[1]) / 2 } : windows.has(header.digest) ? { ...windows.get(header.digest) } : { width: header.window[1] - header.window[0], level: (header.window[0] + header.window[1]) / 2 };
    this.settled = Boolean(opened || saved?.settled);
    if (opened) {
      openings.add(opened.token + header.study);
      this.lookAs(opened);
    }
    this.moved.textContent = "";
    this.strip.setAttribute("aria-valuemin", "1");
    this.strip.setAttribute("aria-valuemax", String(header.shape[2]));
    this.resetViews();
    this.greyTable();
    this.resize();
    this.showState();
    performance.mark("ct-first-picture");
    this.root.dataset.ready = header.digest.slice(0, 12);
  }

  /** The look of an exported case; an overlay that was hidden there stays hidden. */
  lookAs({ threshold, opacity, inverted, own_scale: ownScale }) {
    Object.assign(this, LOOK, { threshold, inverted, ownScale, heatOn: opacity > 0 }, opacity > 0 ? { opacity } : {});
    Object.values(this.inputs).forEach((show) => show());
  }

  /** An overlay made for another study is never drawn. */
  setOverlay(packet) {
    if (!this.volume || packet.header.study !== this.volume.study) return;
    this.overlay = packet;
    const { header } = packet;
    this.moved.textContent = "";
    if (!header.pending && !header.stopped) this.map = header.shape ? packet : null;
    if (header.shape) this.drawLegend(header);
    this.stamp.textContent = header.watermark;
    this.heatTable();
    if (header.shape) this.reportSoon(); // exports wait for the map, and then are of what is shown
    if (!header.pending) this.root.dataset.overlay = header.digest.slice(0, 12);
    this.showState();
  }

  /** The reader has the viewer in hand: no map takes her elsewhere. */
  settle() {
    this.settled = true;
    this.moved.textContent = "";
  }

  /** To the strongest place of the first map that answers what is asked. */
  goToFirstMap() {
    this.goToFocus();
    this.settled = true;
    this.moved.textContent = MOVED;
    this.reportSoon();
  }

  /** To the strongest place of the map, or the heaviest slice. */
  goToFocus() {
    const focus = this.overlay?.header.focus;
    if (!focus || this.stale()) return;
    this.cursor = focus.map((value, n) => clamp(Math.round(value), 0, this.volume.shape[n] - 1));
    this.hover = null;
  }

  dropOverlay() {
    this.overlay = this.map = null;
    this.stamp.textContent = "";
    delete this.root.dataset.overlay;
    this.showState();
  }

  drawLegend(header) {
    const [lowest, highest] = header.ends;
    const limit = this.scaleEnd();
    const [low, high] = [scaled(-limit, { limit }, lowest), scaled(limit, { limit }, highest)];
    this.low.textContent = header.signed ? `lowers risk ${low}` : "0";
    this.high.textContent = header.signed ? `${high} raises risk` : high;
    this.unit.textContent = `From ${short(lowest)} to ${short(highest)}, ${header.unit}`;
    const strongest = Math.max(highest, -lowest);
    const weak = strongest > 0 && strongest < this.threshold * limit ? "too weak to be coloured" : "";
    this.amount.textContent = [header.amount, weak].filter(Boolean).join(": ");
    this.mark.textContent = [header.check, header.place].filter(Boolean).join(". ");
    this.mark.classList.toggle("warned", Boolean(header.check));
    const told = [header.label, this.unit.textContent, this.amount.textContent, this.mark.textContent].filter(Boolean).join(". ");
    this.legend.title = told;
    this.bar.setAttribute("aria-label", `Colour bar from ${this.low.textContent} to ${this.high.textContent}. ${told}`);
    this.own.hidden = header.common == null;
    this.own.setAttribute("aria-pressed", String(this.ownScale));
  }

  /** Where the colours end: on the scale of the training patients' maps, or on the map's own. */
  scaleEnd() {
    const { common, own } = this.map.header;
    return this.ownScale || common == null ? own : common;
  }

  setOwnScale(own) {
    this.ownScale = own;
    if (this.map) this.drawLegend(this.map.header);
    this.heatTable();
    this.render();
    this.reportSoon();
  }

  overlayShown() {
    return this.heatOn && this.hasMap();
  }

  /** Is there a map to look at: the one asked for or, until that is there or where it was stopped, the one before it? */
  hasMap() {
    return this.map != null && (Boolean(this.awaited()) || !this.stale());
  }

  /** Does the map to look at answer an earlier question than the one asked now? */
  isEarlier() {
    return this.map !== this.overlay || this.stale();
  }

  /** Is the overlay at hand the answer to an earlier question? */
  stale() {
    return this.overlay != null && expected.has(this.id) && expected.get(this.id).question !== this.overlay.header.question;
  }

  /** Name of the map that is being computed, or nothing. */
  awaited() {
    if (this.overlay && !this.stale()) return this.overlay.header.pending ? this.overlay.header.label : "";
    return expected.get(this.id)?.label || "";
  }

  /** The map on screen, told from those of other models and, where another is asked now, of other tasks. */
  nameOfMap() {
    const { label, model, task } = this.map.header;
    return [label, model, ...(task === this.overlay.header.task ? [] : [task])].join(", ");
  }

  /** What the foot says of the overlay: the map on screen, the one being computed, or why there is none. */
  showState() {
    if (!this.volume) return;
    const answer = this.overlay && !this.stale() ? this.overlay.header : null;
    const awaited = this.awaited();
    const has = this.hasMap();
    const earlier = has && this.isEarlier();
    this.root.toggleAttribute("data-waiting", Boolean(awaited));
    this.legend.hidden = !has;
    this.unit.hidden = this.amount.hidden = this.mark.hidden = earlier; // the words on the earlier map need the room
    this.sliders.hidden = !has || earlier;
    this.switch.disabled = !has;
    this.toFocus.disabled = !answer?.focus;
    this.caption.textContent = has && !earlier ? this.map.header.label : "Saliency";
    const before = earlier ? ` Dimmed${awaited ? " until then" : ""}: ${this.nameOfMap()}.` : "";
    const said = awaited ? `The map \u201c${awaited}\u201d is being computed.` : answer?.reason || "";
    this.message.textContent = said + before;
    this.shown.textContent = this.volume.note;
    if (answer?.shape && answer.focus && !this.settled) this.goToFirstMap();
    this.render();
  }

  greyTable() {
    const low = this.window.level - this.window.width / 2;
    const gain = 255 / Math.max(1, this.window.width);
    for (let n = 0; n < 65536; n += 1) {
      let grey = clamp((n - 32768 - low) * gain, 0, 255) | 0;
      if (this.inverted) grey = 255 - grey;
      this.lut[n] = 0xff000000 | (grey << 16) | (grey << 8) | grey;
    }
    this.lutKey = `${this.window.width}|${this.window.level}|${this.inverted}`;
    const preset = PRESETS.findIndex((item) => item.width === this.window.width && item.level === this.window.level);
    this.presetButtons.forEach((button, n) => button.setAttribute("aria-pressed", String(n === preset)));
    this.level.textContent = `W ${grouped(this.window.width)}  L ${grouped(this.window.level)}${this.inverted ? "  inverted" : ""}`;
  }

  heatTable() {
    if (!this.map) return;
    const { colours, signed, limit } = this.map.header;
    const gain = limit / this.scaleEnd();
    const alpha = Math.round(this.opacity * 255);
    const ramp = this.bar.getContext("2d");
    const strip = ramp.createImageData(256, 1);
    for (let n = 0; n < 256; n += 1) {
      const share = valueShare(n, signed) * gain; // of the end of the scale; may go beyond it
      const at = clamp(Math.round(signed ? SIGNED_ZERO + 127 * share : 255 * share), signed ? 1 : 0, 255);
      const size = signed ? Math.abs(n - SIGNED_ZERO) / 127 : n / 255; // of the bar, whose steps are even
      const [r, g, b] = colours[at];
      const shown = Math.abs(share) >= this.threshold && share !== 0;
      this.heatLut[n] = shown ? (alpha << 24) | (b << 16) | (g << 8) | r : 0;
      strip.data.set([...colours[n], size >= this.threshold && size > 0 ? 255 : 60], n * 4);
    }
    ramp.clearRect(0, 0, 256, 8);
    for (let y = 0; y < 8; y += 1) ramp.putImageData(strip, 0, y);
    this.heatKey = `${this.opacity}|${this.threshold}|${this.scaleEnd()}`;
    this.switch.setAttribute("aria-checked", String(this.heatOn));
  }

  // ---------------------------------------------------------------- drawing

  resize() {
    this.narrow = this.root.clientWidth <= NARROW_PX;
    this.panes.forEach((pane) => pane.resize());
    const ratio = Math.min(window.devicePixelRatio || 1, 2);
    Object.assign(this.stripCanvas, { width: Math.max(1, this.strip.clientWidth * ratio), height: Math.max(1, this.strip.clientHeight * ratio) });
    this.draw();
  }

  render() {
    if (this.frame) return;
    this.frame = requestAnimationFrame(() => {
      this.frame = 0;
      this.draw();
    });
  }

  draw() {
    if (!this.volume) return;
    const started = performance.now();
    this.panes.forEach((pane) => pane.draw());
    this.drawStrip();
    this.readOut();
    this.root.dataset.drawMs = (performance.now() - started).toFixed(2);
  }

  drawStrip() {
    const context = this.stripCanvas.getContext("2d", { alpha: false });
    const { width, height } = this.stripCanvas;
    context.fillStyle = "#000";
    context.fillRect(0, 0, width, height);
    const slices = this.volume.shape[2];
    const yOf = (k) => (1 - (k + 0.5) / slices) * height;
    const bars = this.stale() ? [] : this.overlay?.header.strip || [];
    const top = Math.max(...bars.map((bar) => bar[1]), 1e-9);
    context.fillStyle = "#E69F00";
    for (const [k, weight, thickness] of bars) {
      const thick = Math.max(1.5, (thickness / slices) * height - 1);
      context.globalAlpha = 0.9;
      context.fillRect(4, yOf(k) - thick / 2, Math.max(1, (weight / top) * (width - 8)), thick);
    }
    context.globalAlpha = 1;
    const y = yOf(this.cursor[2]);
    context.fillStyle = "#fff";
    context.fillRect(0, y - 1, width, 2);
    context.beginPath();
    context.moveTo(width, y - 6);
    context.lineTo(width - 8, y);
    context.lineTo(width, y + 6);
    context.fill();
    this.stripName.textContent = bars.length ? this.overlay.header.strip_label.split(";")[0] : "";
    this.strip.title = bars.length ? this.overlay.header.strip_label : "Axial slices: click to jump";
  }

  /** Value of the map at a voxel of the volume, in words; nothing where no map answers what is asked. */
  valueAt(voxel) {
    if (!this.overlayShown() || this.isEarlier()) return "";
    const { header, values } = this.map;
    const [i, j, k] = voxel.map((at, n) => Math.floor(((at + 0.5) * header.shape[n]) / this.volume.shape[n]));
    const code = values[i + header.shape[0] * (j + header.shape[1] * k)];
    const share = valueShare(code, header.signed);
    return `map ${scaled(share * header.limit, header, header.ends[share < 0 ? 0 : 1])}`;
  }

  worldMm([i, j, k]) {
    return this.volume.affine.slice(0, 3).map((row) => row[0] * i + row[1] * j + row[2] * k + row[3]);
  }

  readOut() {
    const [, , k] = this.cursor;
    const slices = this.volume.shape[2];
    this.place.textContent = `slice ${k + 1}/${slices}  z ${fixed(this.worldMm(this.cursor)[2])} mm`;
    const at = this.hover || this.cursor;
    const [x, y, z] = this.worldMm(at);
    for (const pane of this.panes) pane.title.textContent = pane.name === "axial" ? pane.label : `${pane.label} ${this.cursor[pane.w] + 1}/${this.volume.shape[pane.w]}`;
    const hu = this.volume.voxels[at[0] + this.volume.shape[0] * (at[1] + this.volume.shape[1] * at[2])];
    this.probe.textContent = `${grouped(hu)} HU  ${sided(x, "RL")}  ${sided(y, "AP")}  z ${fixed(z)} mm`;
    this.value.textContent = this.valueAt(at);
    this.strip.setAttribute("aria-valuenow", String(k + 1));
    this.strip.setAttribute("aria-valuetext", this.place.textContent);
    this.root.dataset.slice = String(k);
  }

  lengthMm(ruler, pane) {
    const { spacing } = this.volume;
    return Math.hypot((ruler.to[0] - ruler.from[0]) * spacing[pane.u], (ruler.to[1] - ruler.from[1]) * spacing[pane.v]);
  }

  // ---------------------------------------------------------------- actions

  usePreset(preset) {
    this.window = { width: preset.width, level: preset.level };
    this.greyTable();
    this.render();
    this.reportSoon();
  }

  useTool(id) {
    this.tool = this.tool === id && id !== "cross" ? "cross" : id;
    this.toolButtons.forEach((button) => button.setAttribute("aria-pressed", String(button.dataset.id === this.tool)));
    this.root.dataset.tool = this.tool;
    this.render();
  }

  act(id) {
    if (id === "invert") {
      this.inverted = !this.inverted;
      this.greyTable();
    } else if (id === "reset") {
      this.rulers = [];
      this.window = { width: this.volume.window[1] - this.volume.window[0], level: (this.volume.window[0] + this.volume.window[1]) / 2 };
      Object.assign(this, LOOK);
      if (this.map) this.drawLegend(this.map.header);
      Object.values(this.inputs).forEach((show) => show());
      this.resetViews();
      this.greyTable();
      this.heatTable();
    } else if (id === "focus") {
      this.goToFocus();
    } else if (id === "overlay") {
      this.heatOn = !this.heatOn;
      this.heatTable();
    } else if (id === "clear") {
      this.rulers = [];
    } else if (id === "full") {
      if (document.fullscreenElement) document.exitFullscreen();
      else this.root.requestFullscreen?.().catch(() => {});
    } else if (id === "help") {
      if (this.help.open) this.help.close();
      else {
        this.help.show();
        this.help.scrollTop = 0;
      }
    }
    this.render();
    this.reportSoon();
  }

  resetViews() {
    this.panes.forEach((pane) => {
      pane.zoom = 1;
      pane.pan = [0, 0];
    });
    this.useTool("cross");
  }

  moveSlice(pane, step) {
    const { shape } = this.volume;
    this.cursor[pane.w] = clamp(this.cursor[pane.w] + step, 0, shape[pane.w] - 1);
    this.hover = null;
    this.render();
    this.reportSoon();
  }

  reportSoon() {
    clearTimeout(this.reportTimer);
    this.reportTimer = setTimeout(() => {
      if (!this.volume) return;
      this.live.textContent = this.active.name === "axial" ? this.place.textContent : this.active.title.textContent;
      this.remember();
      this.report?.({
        voxel: this.cursor.map((value, n) => Math.round((value + 0.5) * this.volume.full_shape[n] / this.volume.shape[n] - 0.5)),
        window_hu: [this.window.level - this.window.width / 2, this.window.level + this.window.width / 2],
        threshold: this.threshold,
        opacity: this.heatOn ? this.opacity : 0,
        inverted: this.inverted,
        own_scale: this.ownScale,
        volume: this.volume.digest,
      });
    }, REPORT_DELAY_MS);
  }

  remember() {
    if (!this.volume) return;
    looks.set(this.id, { threshold: this.threshold, opacity: this.opacity, heatOn: this.heatOn, inverted: this.inverted, ownScale: this.ownScale });
    places.set(this.volume.study, { cursor: [...this.cursor], settled: this.settled });
    windows.set(this.volume.digest, { ...this.window });
    for (const kept of [places, windows]) if (kept.size > 16) kept.delete(kept.keys().next().value);
  }

  // ---------------------------------------------------------------- input

  listen() {
    const options = { signal: this.stopper.signal };
    this.panes.forEach((pane) => this.listenPane(pane, options));
    const jump = (event) => {
      const box = this.strip.getBoundingClientRect();
      const slices = this.volume.shape[2];
      const k = Math.floor((1 - (event.clientY - box.top) / box.height) * slices);
      this.moveSlice(this.panes[0], clamp(k, 0, slices - 1) - this.cursor[2]);
    };
    this.strip.addEventListener("pointerdown", (event) => {
      this.strip.setPointerCapture(event.pointerId);
      jump(event);
    }, options);
    this.strip.addEventListener("pointermove", (event) => { if (event.buttons) jump(event); }, options);
    this.strip.addEventListener("wheel", (event) => this.wheel(this.panes[0], event), { ...options, passive: false });
    for (const kind of ["pointerdown", "click", "input"]) this.root.addEventListener(kind, () => this.settle(), { ...options, capture: true });
    this.root.addEventListener("pointerenter", () => { this.inside = true; }, options);
    this.root.addEventListener("pointerleave", () => { this.inside = false; }, options);
    document.addEventListener("keydown", (event) => this.keyDown(event), options);
    document.addEventListener("fullscreenchange", () => {
      const told = [expected.get(this.id)?.title, this.volume?.notice].filter(Boolean).join(" \u00b7 ");
      this.notice.textContent = this.root.matches(":fullscreen") ? told : ""; // the page shows it else
      this.resize();
    }, options);
  }

  listenPane(pane, options) {
    const { node } = pane;
    node.addEventListener("contextmenu", (event) => event.preventDefault(), options);
    node.addEventListener("wheel", (event) => this.wheel(pane, event), { ...options, passive: false });
    node.addEventListener("pointerdown", (event) => this.dragStart(pane, event), options);
    node.addEventListener("pointermove", (event) => this.dragMove(pane, event), options);
    node.addEventListener("pointerup", (event) => this.dragEnd(event), options);
    node.addEventListener("pointercancel", (event) => this.dragEnd(event), options);
    node.addEventListener("pointerenter", () => this.activate(pane), options);
    node.addEventListener("focus", () => this.activate(pane), options);
    node.addEventListener("blur", () => this.activate(this.panes[0]), options);
    node.addEventListener("pointerleave", () => {
      this.hover = null;
      this.activate(this.panes.find((other) => other.node.matches(":focus")) || this.panes[0]);
      this.render();
    }, options);
  }

  /** The plane that keys act on: the one last pointed at or focused, else the axial one. */
  activate(pane) {
    this.active = pane;
    this.panes.forEach((other) => other.node.toggleAttribute("data-active", other === pane));
  }

  wheel(pane, event) {
    event.preventDefault();
    if (!this.volume) return;
    this.settle();
    this.wheelSum = (this.wheelSum || 0) + (event.deltaMode === 0 ? event.deltaY / 50 : event.deltaY);
    const steps = Math.trunc(this.wheelSum);
    if (!steps) return;
    this.wheelSum -= steps;
    this.moveSlice(pane, -Math.sign(steps) * Math.max(1, Math.min(4, Math.floor(Math.abs(steps) / 2))));
  }

  dragStart(pane, event) {
    if (!this.volume) return;
    pane.node.focus({ preventScroll: true });
    pane.node.setPointerCapture(event.pointerId);
    const mode = event.button === 2 ? "zoom" : event.button === 1 ? "pan" : event.shiftKey ? "window" : event.pointerType === "touch" && this.tool === "cross" ? "touch" : this.tool;
    this.touches = this.touches || new Map();
    this.touches.set(event.pointerId, [event.clientX, event.clientY]);
    this.drag = { mode: this.touches.size > 1 ? "pinch" : mode, pane, x: event.clientX, y: event.clientY, moved: false };
    if (event.button === 1) event.preventDefault();
    if (mode === "cross") this.placeCross(pane, event);
    if (mode === "ruler") {
      const at = pane.voxelAt(event);
      this.drag.ruler = { plane: pane.name, slice: this.cursor[pane.w], from: at, to: at };
      this.rulers.push(this.drag.ruler);
    }
  }

  dragMove(pane, event) {
    if (!this.volume) return;
    this.hoverAt(pane, event);
    const { drag } = this;
    if (!drag || drag.pane !== pane) return;
    const [dx, dy] = [event.clientX - drag.x, event.clientY - drag.y];
    drag.moved = drag.moved || Math.abs(dx) + Math.abs(dy) > 3;
    const handler = { cross: () => this.placeCross(pane, event), window: () => this.dragWindow(dx, dy), zoom: () => this.dragZoom(pane, dy), pan: () => this.dragPan(pane, dx, dy),
      ruler: () => { drag.ruler.to = pane.voxelAt(event); }, touch: () => this.dragTouch(pane, dy), pinch: () => this.dragPinch(pane, event) }[drag.mode];
    const consumed = handler();
    if (consumed !== false) Object.assign(drag, { x: event.clientX, y: event.clientY });
    this.render();
  }

  dragEnd(event) {
    this.touches?.delete(event.pointerId);
    if (!this.drag) return;
    if (this.drag.mode === "touch" && !this.drag.moved) this.placeCross(this.drag.pane, event);
    const { ruler, pane } = this.drag;
    if (ruler && this.lengthMm(ruler, pane) < 0.5) this.rulers = this.rulers.filter((other) => other !== ruler);
    this.drag = null;
    this.render();
    this.reportSoon();
  }

  hoverAt(pane, event) {
    const [u, v] = pane.voxelAt(event).map(Math.round);
    const { shape } = this.volume;
    const at = [...this.cursor];
    at[pane.u] = u;
    at[pane.v] = v;
    const inside = u >= 0 && v >= 0 && u < shape[pane.u] && v < shape[pane.v];
    this.hover = inside ? at : null;
    this.readOut();
  }

  placeCross(pane, event) {
    const [u, v] = pane.voxelAt(event);
    const { shape } = this.volume;
    this.cursor[pane.u] = clamp(Math.round(u), 0, shape[pane.u] - 1);
    this.cursor[pane.v] = clamp(Math.round(v), 0, shape[pane.v] - 1);
    this.render();
  }

  dragWindow(dx, dy) {
    const gain = Math.max(1, this.window.width / 300);
    this.window.width = clamp(Math.round(this.window.width + dx * gain), 1, 8000);
    this.window.level = clamp(Math.round(this.window.level + dy * gain), -2000, 4000);
    this.greyTable();
  }

  dragZoom(pane, dy) {
    const before = pane.zoom;
    pane.zoom = clamp(pane.zoom * Math.exp(-dy / 150), 0.5, 12);
    pane.pan = pane.pan.map((value) => (value * pane.zoom) / before);
  }

  dragPan(pane, dx, dy) {
    pane.pan = [pane.pan[0] + dx, pane.pan[1] + dy];
  }

  dragTouch(pane, dy) {
    const step = Math.trunc(dy / 6);
    if (!step) return false;
    this.moveSlice(pane, -step);
    return true;
  }

  dragPinch(pane, event) {
    const spread = () => {
      const [[x0, y0], [x1, y1]] = [...this.touches.values()];
      return Math.hypot(x1 - x0, y1 - y0);
    };
    if (this.touches.size < 2) return;
    const before = spread();
    this.touches.set(event.pointerId, [event.clientX, event.clientY]);
    pane.zoom = clamp((pane.zoom * spread()) / Math.max(1, before), 0.5, 12);
  }

  /** Keys work when the viewer has the focus, or when the pointer rests on it and nothing else has the focus. */
  keyDown(event) {
    if (!this.volume || event.ctrlKey || event.metaKey || event.altKey) return;
    const path = event.composedPath();
    const focused = path.includes(this.root);
    if (!focused && !(this.inside && path[0] === document.body)) return;
    const target = path[0];
    const scrolls = target.type === "range" || path.includes(this.help);
    if (scrolls && /^(Arrow|Home|End|Page)/.test(event.key)) return;
    if (target.tagName === "BUTTON" && (event.key === " " || event.key === "Enter")) return;
    const pane = path.includes(this.strip) ? this.panes[0] : this.active;
    if (!(event.shiftKey && this.stepCross(pane, event.key)) && !this.runKey(pane, event.key)) return;
    this.settle();
    event.preventDefault();
  }

  /** One voxel along the picture of a plane, which shows both of its axes from high to low. */
  stepCross(pane, key) {
    const step = { ArrowLeft: [pane.u, 1], ArrowRight: [pane.u, -1], ArrowUp: [pane.v, 1], ArrowDown: [pane.v, -1] }[key];
    if (!step) return false;
    const [axis, by] = step;
    this.cursor[axis] = clamp(this.cursor[axis] + by, 0, this.volume.shape[axis] - 1);
    this.hover = null;
    this.render();
    this.reportSoon();
    return true;
  }

  runKey(pane, key) {
    const preset = PRESETS.find((item) => item.key === key);
    const tool = TOOLS.find((item) => item.key === key);
    const last = this.volume.shape[pane.w];
    const steps = { ArrowUp: 1, ArrowDown: -1, PageUp: 10, PageDown: -10, Home: last, End: -last }[key];
    const action = { i: "invert", " ": "reset", o: "overlay", g: "focus", f: "full", "?": "help", Delete: "clear" }[key];
    if (preset) this.usePreset(preset);
    else if (tool) this.useTool(tool.id);
    else if (steps) this.moveSlice(pane, steps);
    else if (action) this.act(action);
    else if (key === "Escape" && this.help.open) this.help.close();
    else return false;
    return true;
  }
}
