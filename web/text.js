// What the nodes say: `text` of their results in a read-only field of their own, notes (what was noticed, where Cancel left
// the work so far) as a message as well. Only the public extension API.
import { app } from "../../scripts/app.js";
import { api } from "../../scripts/api.js";
import { ComfyWidgets } from "../../scripts/widgets.js";

const FIELD = "atelier_text";
const NOTE_PIXELS = 80;

// note: beside a picture, which it must leave its room; a result's text fills what the node has
function show(node, text, note = false) {
  let field = node.widgets?.find((widget) => widget.name === FIELD);
  if (!field) {
    field = ComfyWidgets.STRING(node, FIELD, ["STRING", { multiline: true }], app).widget;
    field.label = " ";
    field.serialize = false; // neither in the saved workflow nor in the prompt
    field.options.serialize = false;
    field.options.read_only = true;
    if (field.element) field.element.readOnly = true;
    if (field.inputEl) field.inputEl.readOnly = true;
    if (note) field.options.getMaxHeight = () => NOTE_PIXELS;
    const [width, height] = node.computeSize();
    node.setSize([Math.max(node.size[0], width), Math.max(node.size[1], height)]);
  }
  field.value = text;
  field.note = note;
  app.graph.setDirtyCanvas(true, true);
}

app.registerExtension({
  name: "StyleGANAtelier.Text",
  beforeRegisterNodeDef(nodeType, nodeData) {
    if (!nodeData.name.startsWith("Atelier")) return;
    const onExecuted = nodeType.prototype.onExecuted;
    nodeType.prototype.onExecuted = function (output) {
      onExecuted?.apply(this, arguments);
      if (output?.text?.length) show(this, output.text.join("\n"));
    };
  },
  setup() {
    api.addEventListener("executing", ({ detail }) => { // what was noticed before is not of a run that begins
      const field = app.graph.getNodeById(detail)?.widgets?.find((widget) => widget.name === FIELD);
      if (field?.note) field.value = "";
    });
    api.addEventListener("stylegan-atelier.note", ({ detail }) => {
      const node = app.graph.getNodeById(detail.node);
      if (node) show(node, detail.text, true);
      app.extensionManager?.toast?.add({ severity: "info", summary: node?.title ?? "StyleGAN Atelier", detail: detail.text, life: 20000 });
    });
  },
});
