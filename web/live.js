// When a node is done, the file of its result takes the place of its live picture, which editors would go on showing: the canvas in
// the result's stead, Vue nodes beside it until they hear that the node starts anew (nodes/progress.py says so). Only what the
// app object offers.
import { app } from "../../scripts/app.js";

const KEPT_MS = 60000; // what the queue shows of a job may still be the live picture

function endLive(node) {
  const inside = node.graph && node.graph !== app.graph && node.graph.isRootGraph === false;
  const live = app.nodePreviewImages?.[inside ? `${node.graph.id}:${node.id}` : String(node.id)];
  for (const url of live?.splice?.(0) ?? []) setTimeout(() => URL.revokeObjectURL(url), KEPT_MS);
}

app.registerExtension({
  name: "StyleGANAtelier.Live",
  beforeRegisterNodeDef(nodeType, nodeData) {
    if (!nodeData.name.startsWith("Atelier")) return;
    const onExecuted = nodeType.prototype.onExecuted;
    nodeType.prototype.onExecuted = function (output) {
      onExecuted?.apply(this, arguments);
      if (output?.images?.length) endLive(this);
    };
  },
});
