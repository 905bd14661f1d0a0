// Colours as the canvas needs them, from the style sheet, and one colour per track.

const TRACK_COLOURS = 8;
const order = new Map();

/** The custom property of a track's colour; tracks get theirs in the order in which they are met. */
export function colourOf(track) {
  if (!order.has(track)) order.set(track, order.size % TRACK_COLOURS);
  return `--t${order.get(track)}`;
}

export const forgetColours = () => order.clear();

const probe = document.createElement("i");
probe.hidden = true;
let seen = new Map();
document.addEventListener("themechange", () => { seen = new Map(); });

/** A custom property as a colour that the canvas understands, in the theme of now. */
export function resolved(name, alpha = 1) {
  const key = `${name}/${alpha}`;
  if (!seen.has(key)) {
    if (!probe.isConnected) document.body.append(probe);
    probe.style.color = `var(${name})`;
    const [red, green, blue] = getComputedStyle(probe).color.match(/[\d.]+/g);
    seen.set(key, `rgba(${red}, ${green}, ${blue}, ${alpha})`);
  }
  return seen.get(key);
}
