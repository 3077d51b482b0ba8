// The words of a bundled workflow (notes, titles, groups) in the editor's language: texts/LANGUAGE.json holds them by their
// English. What a user has changed is no longer that English, and stays.
import { app } from "../../scripts/app.js";

async function words(language) {
  const short = language.split("-")[0];
  if (short === "en") return {};
  const reply = await fetch(new URL(`texts/${short}.json`, import.meta.url));
  return reply.ok ? reply.json() : {};
}

app.registerExtension({
  name: "StyleGANAtelier.Templates",
  async afterConfigureGraph() {
    const graph = app.graph;
    if (!graph.extra?.atelier?.template) return;
    const table = await words(app.extensionManager?.setting?.get("Comfy.Locale") ?? "en");
    for (const group of graph._groups ?? []) group.title = table[group.title] ?? group.title;
    for (const node of graph._nodes ?? []) {
      node.title = table[node.title] ?? node.title;
      if (node.type !== "MarkdownNote") continue;
      for (const widget of node.widgets ?? []) widget.value = table[widget.value] ?? widget.value;
    }
    graph.setDirtyCanvas(true, true);
  },
});
