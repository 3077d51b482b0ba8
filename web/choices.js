// Choose by the picture: what a node drew of each value of a widget (styles, swap points) becomes buttons on the node that set
// it. Tab reaches them, arrows move among them, Enter or Space takes one; with Ctrl or Shift one more, where several fit. Without
// this file the host shows the same pictures as one. Only the public extension API.
import { app } from "../../scripts/app.js";
import { api } from "../../scripts/api.js";

const FIELD = "atelier_choices";
const ACROSS = 5, ROWS = 5, GAP = 3, MARGINS = 36; // a wider node shows larger pictures; more than 5 rows are scrolled

const listed = (text) => String(text ?? "").split(",").map((part) => part.trim()).filter(Boolean);

// the values that the widget's text names: numbers, spans such as 5-8, or names
function chosen(told, text) {
  if (!told.many) return [String(text)];
  const named = told.labels.map((label) => label.replace(/^\d+\s+/, ""));
  return listed(text).flatMap((part) => {
    const at = named.indexOf(part), span = part.match(/^(\d+)\s*-\s*(\d+)$/);
    if (at >= 0) return [told.values[at]];
    if (!span) return [part];
    const [from, to] = [Number(span[1]), Number(span[2])];
    return told.values.filter((value) => Number(value) >= from && Number(value) <= to);
  });
}

function tile(told, i) {
  const button = document.createElement("button");
  const column = i % told.columns, row = Math.floor(i / told.columns);
  const share = (at, all) => (all > 1 ? (100 * at) / (all - 1) : 0);
  Object.assign(button, { type: "button", title: told.labels[i] });
  button.setAttribute("role", "option");
  button.setAttribute("aria-label", told.labels[i]);
  button.dataset.value = told.values[i];
  Object.assign(button.style, {
    aspectRatio: "1", minWidth: "0", padding: "0", border: "0", borderRadius: "4px", cursor: "pointer", position: "relative",
    backgroundImage: `url("${api.apiURL(`/view?${new URLSearchParams(told.file)}`)}")`,
    backgroundSize: `${100 * told.columns}% ${100 * told.rows}%`,
    backgroundPosition: `${share(column, told.columns)}% ${share(row, told.rows)}%`,
  });
  const caption = document.createElement("span");
  caption.textContent = told.many ? told.values[i] : told.labels[i];
  Object.assign(caption.style, {
    position: "absolute", left: "2px", bottom: "2px", padding: "0 3px", borderRadius: "3px", font: "11px sans-serif",
    color: "#fff", background: "rgba(0, 0, 0, 0.6)", pointerEvents: "none",
  });
  const ring = document.createElement("span"); // of its own: editors style the shadows and outlines of buttons
  Object.assign(ring.style, { position: "absolute", inset: "0", border: "3px solid #2f9be0", borderRadius: "4px", pointerEvents: "none" });
  button.append(caption, ring);
  return button;
}

class Chooser {
  constructor(node) {
    this.node = node;
    this.element = document.createElement("div");
    this.element.setAttribute("role", "listbox");
    Object.assign(this.element.style, {
      display: "grid", gridTemplateColumns: `repeat(${ACROSS}, minmax(0, 1fr))`, gap: `${GAP}px`, alignContent: "start",
      overflowY: "auto", padding: "3px", boxSizing: "border-box", pointerEvents: "auto",
    });
    this.element.addEventListener("click", (event) => this.take(event.target.closest("button"), event));
    this.element.addEventListener("keydown", (event) => this.move(event));
    this.element.addEventListener("pointerdown", (event) => event.stopPropagation());
    const widget = node.addDOMWidget(FIELD, "atelier_choices", this.element, {
      serialize: false, hideOnZoom: false, getMinHeight: () => this.height(), getHeight: () => this.height(),
    });
    widget.serialize = false; // neither in the saved workflow nor in the prompt
  }

  height() {
    const rows = Math.min(ROWS, Math.ceil((this.told?.values.length ?? 0) / ACROSS));
    return rows * ((this.node.size[0] - MARGINS) / ACROSS + GAP) + 8;
  }

  show(told) {
    this.told = told;
    this.target = this.node.widgets.find((widget) => widget.name === told.widget);
    if (!this.target) return;
    if (!this.target.atelierHeard) {
      const callback = this.target.callback;
      this.target.callback = (...given) => { const answer = callback?.apply(this.target, given); this.mark(); return answer; };
      this.target.atelierHeard = true;
    }
    this.element.setAttribute("aria-label", this.target.label ?? told.widget);
    this.element.setAttribute("aria-multiselectable", String(told.many));
    this.element.replaceChildren(...told.values.map((_, i) => tile(told, i)));
    this.element.style.minHeight = `${this.height()}px`;
    this.mark();
    const [width, height] = this.node.computeSize();
    this.node.setSize([Math.max(this.node.size[0], width), Math.max(this.node.size[1], height)]);
    app.graph.setDirtyCanvas(true, true);
  }

  // nothing was drawn this time: no pictures of another run
  clear() {
    this.told = undefined;
    this.element.replaceChildren();
    this.element.style.minHeight = "0";
  }

  // show which are chosen; Tab comes to the first of them
  mark() {
    if (!this.told) return;
    const now = new Set(chosen(this.told, this.target.value)), buttons = [...this.element.children];
    for (const button of buttons) {
      const on = now.has(button.dataset.value);
      button.setAttribute("aria-selected", String(on));
      button.lastChild.style.display = on ? "block" : "none";
      button.tabIndex = -1;
    }
    (buttons.find((button) => now.has(button.dataset.value)) ?? buttons[0]).tabIndex = 0;
  }

  take(button, event) {
    if (!button) return;
    let text = button.dataset.value;
    if (this.told.many && (event.ctrlKey || event.metaKey || event.shiftKey)) {
      const others = chosen(this.told, this.target.value), without = others.filter((value) => value !== text);
      text = (without.length < others.length ? without : [...others, text]).join(", ") || text;
    }
    this.target.value = text;
    this.target.callback?.(text);
    this.mark();
    button.tabIndex = 0;
    app.graph.setDirtyCanvas(true, true);
  }

  move(event) {
    const buttons = [...this.element.children], at = buttons.indexOf(document.activeElement);
    const step = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -ACROSS, ArrowDown: ACROSS }[event.key];
    if (step !== undefined) {
      buttons[Math.min(Math.max(at + step, 0), buttons.length - 1)]?.focus();
      event.preventDefault();
    }
    if (event.key !== "Escape" && event.key !== "Tab") event.stopPropagation(); // no shortcut of the editor's
  }
}

app.registerExtension({
  name: "StyleGANAtelier.Choices",
  beforeRegisterNodeDef(nodeType, nodeData) {
    if (!nodeData.name.startsWith("Atelier")) return;
    const onExecuted = nodeType.prototype.onExecuted;
    nodeType.prototype.onExecuted = function (output) {
      onExecuted?.apply(this, arguments);
      const told = output?.atelier_choices?.[0];
      if (!told) return this.atelierChooser?.clear();
      if (!this.atelierChooser) {
        this.hideOutputImages = true; // the buttons are the picture: the host's own copy of it stays away
        this.onDrawBackground = () => {};
        this.atelierChooser = new Chooser(this);
      }
      this.atelierChooser.show(told);
    };
  },
});
