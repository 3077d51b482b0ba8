// The real editor in headless Chromium, driven by JSON lines: node driver.js URL PACK
//   {"op": "load", "name": "toonify_portrait"}  ->  {"red": [], "overlaps": [], "small": [], "prompt": {...}}
// Each operation is a function below; a failure answers {"error": "..."}.
const { chromium } = require('playwright-core');
const fs = require('fs');
const readline = require('readline');
const [url, pack] = process.argv.slice(2);
const SETTLE_MS = 1200, CALM_FPS = 8, SECONDS_TO_SHOW = 20;
let page, complaints = [];

// ---- in the page ----
const seen = () => {
  const nodes = app.graph._nodes, overlaps = [], scale = app.canvas.ds.scale;
  const box = n => {
    const b = n.boundingRect || n.getBounding(), drawn = document.querySelector(`[data-node-id="${n.id}"]`);
    const height = drawn ? Math.max(b[3], drawn.getBoundingClientRect().height / scale) : b[3];
    return [b[0], b[1], b[0] + b[2], b[1] + height];
  };
  for (let i = 0; i < nodes.length; i++) for (let j = i + 1; j < nodes.length; j++) {
    const a = box(nodes[i]), b = box(nodes[j]);
    const w = Math.min(a[2], b[2]) - Math.max(a[0], b[0]), h = Math.min(a[3], b[3]) - Math.max(a[1], b[1]);
    if (w > 1 && h > 1) overlaps.push(`${nodes[i].title} | ${nodes[j].title}: ${Math.round(w)}x${Math.round(h)}`);
  }
  const small = nodes.filter(n => n.type.startsWith('Atelier')).filter(n => { const m = n.computeSize(); return m[1] > n.size[1] + 1 || m[0] > n.size[0] + 1; })
    .map(n => `${n.title}: ${n.size.map(Math.round)} of ${n.computeSize().map(Math.round)}`);
  const red = nodes.filter(n => n.has_errors || !LiteGraph.registered_node_types[n.type]).map(n => n.type);
  return { overlaps, small, red };
};

const pictures = async () => {
  const found = {};
  for (const n of app.graph._nodes) {
    const field = n.widgets?.find(w => w.name === 'atelier_text'), text = field?.value;
    const drawn = [...document.querySelectorAll(`[data-node-id="${n.id}"] img`)].filter(i => i.naturalWidth);
    const shown = drawn.length ? drawn : n.imgs || [];
    found[n.id] = { type: n.type, sizes: shown.map(i => [i.naturalWidth, i.naturalHeight]), text: text ?? null,
      text_height: field?.computedHeight ?? 0, live: shown.some(i => i.src.startsWith('blob:')) };
  }
  return found;
};

const measured = async ([types, vue]) => {
  await app.extensionManager.setting.set('Comfy.VueNodes.Enabled', vue);
  const wait = ms => new Promise(r => setTimeout(r, ms)), sizes = {};
  app.graph.clear();
  app.canvas.ds.scale = 1;
  app.canvas.ds.offset = [100, 100];
  for (const type of types) {
    const node = LiteGraph.createNode(type);
    if (!node) continue;
    app.graph.add(node);
    node.pos = [0, 0];
    app.canvas.setDirty(true, true);
    await wait(vue ? 350 : 60);
    const drawn = vue && document.querySelector(`[data-node-id="${node.id}"]`), size = node.computeSize();
    const title = LiteGraph.NODE_TITLE_HEIGHT;
    sizes[type] = [size[0], Math.max(size[1], drawn ? drawn.getBoundingClientRect().height - title : 0)].map(Math.ceil);
    app.graph.remove(node);
  }
  return sizes;
};

// ---- operations ----
const settle = ms => page.waitForTimeout(ms ?? SETTLE_MS);
const open = async () => {
  const browser = await chromium.launch({ executablePath: process.env.CHROMIUM || '/usr/bin/chromium',
    timeout: 180000, args: ['--no-sandbox', '--disable-gpu', '--disable-dev-shm-usage'] });
  page = await (await browser.newContext({ viewport: { width: 1600, height: 950 } })).newPage();
  page.setDefaultTimeout(240000);
  page.on('pageerror', e => complaints.push(String(e).slice(0, 300)));
  page.on('console', m => m.type() === 'error' && complaints.push(m.text().slice(0, 300)));
  await ready();
};
const ready = async () => {
  await page.goto(url, { timeout: 180000 });
  await page.waitForFunction(() => window.app?.graph && window.LiteGraph
    && Object.keys(LiteGraph.registered_node_types).some(t => t.startsWith('Atelier')), null, { timeout: 240000 });
  await settle(3000);
  await page.keyboard.press('Escape');
  await page.evaluate(([fps]) => { app.canvas.maximumFps = fps; // the cores are for the work
    return app.extensionManager.setting.set('Comfy.Minimap.Visible', false); }, [CALM_FPS]).catch(() => {});
};
const operations = {
  async load({ name, file }) {
    const workflow = file ? JSON.parse(fs.readFileSync(file))
      : await (await page.request.get(`${url}/api/workflow_templates/${pack}/${name}.json`)).json();
    await page.evaluate(w => app.loadGraphData(w, true, true), workflow);
    await settle();
    await page.keyboard.press('Escape');
    return { ...await page.evaluate(seen), prompt: (await page.evaluate(() => app.graphToPrompt())).output };
  },
  async seen() { return page.evaluate(seen); },
  // waits for what has a result of its own to show it
  async pictures() {
    const due = await page.evaluate(() => app.graph._nodes.filter(n => !n.hideOutputImages && app.nodeOutputs[n.id]?.images?.length
      && !app.nodeOutputs[n.id].animated?.some(Boolean)).map(n => n.id));
    let found = await page.evaluate(pictures);
    for (let i = 0; i < SECONDS_TO_SHOW && !due.every(id => found[id].sizes.length && !found[id].live); i++) {
      await settle(1000);
      found = await page.evaluate(pictures);
    }
    return found;
  },
  async set({ node, widget, value }) {
    await page.evaluate(([node, widget, value]) => {
      const found = app.graph.getNodeById(node).widgets.find(w => w.name === widget);
      found.value = value; found.callback?.(value);
    }, [node, widget, value]);
    return true;
  },
  async queue() {
    return page.evaluate(() => { window.ended = null; window.ticks = [];
      if (!window.ticking) window.ticking = app.api.addEventListener('progress',
        e => window.ticks.push([String(e.detail.node), e.detail.value])) ?? true;
      for (const kind of ['execution_success', 'execution_error', 'execution_interrupted'])
        app.api.addEventListener(kind, e => { window.ended = { kind, detail: e.detail }; }, { once: true });
      return app.queuePrompt(0).then(() => true); });
  },
  async ended({ timeout_ms }) {
    await page.waitForFunction(() => window.ended, null, { timeout: timeout_ms });
    await settle();
    return page.evaluate(() => window.ended);
  },
  async interrupt() { return page.evaluate(() => app.api.interrupt().then(() => true)); },
  async progressed({ node, value, timeout_ms }) {
    await page.waitForFunction(([node, value]) => window.ended || window.ticks.some(t => t[0] === node && t[1] >= value),
      [node, value], { timeout: timeout_ms });
    return page.evaluate(node => window.ticks.find(t => t[0] === node)?.[1] ?? null, node);
  },
  async build({ nodes }) {
    await page.keyboard.press('Escape');
    return page.evaluate(async nodes => {
      await app.loadGraphData({ last_node_id: 0, last_link_id: 0, nodes: [], links: [], groups: [], config: {}, extra: {}, version: 0.4 },
        true, true);
      const made = nodes.map(([type], i) => {
        const node = LiteGraph.createNode(type);
        app.graph.add(node);
        node.pos = [i * 420, 100];
        return node;
      });
      nodes.forEach(([, inputs], i) => Object.entries(inputs).forEach(([name, value]) => {
        if (Array.isArray(value)) return made[value[0]].connect(value[1], made[i], made[i].inputs.findIndex(s => s.name === name));
        const widget = made[i].widgets.find(w => w.name === name);
        widget.value = value; widget.callback?.(value);
      }));
      return made.map(node => String(node.id));
    }, nodes);
  },
  async click({ selector, modifiers }) { await page.locator(selector).first().click({ modifiers, timeout: 20000 }); return true; },
  async press({ selector, keys }) {
    await page.locator(selector).first().focus({ timeout: 20000 });
    for (const key of keys) await page.keyboard.press(key);
    return true;
  },
  async search({ word }) {
    const box = () => page.evaluate(() => app.extensionManager.command.execute('Workspace.SearchBox.Toggle'));
    await box();
    await settle(800);
    await page.keyboard.type(word, { delay: 60 });
    await settle(2500);
    const rows = await page.evaluate(() => {
      const kinds = ['[role=option]', '.p-autocomplete-option', '.p-autocomplete-item', '[data-testid*=result]'];
      const found = kinds.map(k => [...document.querySelectorAll(k)]).find(r => r.length) ?? [];
      return found.map(r => r.innerText.trim().replace(/\s*\n\s*/g, ' | ')).slice(0, 8);
    });
    await page.keyboard.press('Escape');
    await settle(500);
    return rows;
  },
  async setting({ key, value }) {
    await page.evaluate(([key, value]) => app.extensionManager.setting.set(key, value), [key, value]);
    await ready();
    return true;
  },
  async reload() { await ready(); return true; },
  async measure({ types, vue }) { return page.evaluate(measured, [types, vue]); },
  async evaluate({ code }) { return page.evaluate(code); },
  async forget() {
    return page.evaluate(() => app.api.fetchApi('/free', { method: 'POST', headers: { 'Content-Type': 'application/json' },
      body: JSON.stringify({ unload_models: true, free_memory: true }) }).then(() => true));
  },
  async fit() {
    await page.evaluate(() => { app.canvas.fitViewToSelectionAnimated?.(); });
    await page.evaluate(() => app.extensionManager.command?.execute?.('Comfy.Canvas.FitView')).catch(() => {});
    await settle(800);
    return true;
  },
  async shot({ path }) {
    await page.evaluate(() => new Promise(drawn => {  // pictures that have just come are on the canvas a frame later
      app.canvas.draw(true, true);
      requestAnimationFrame(() => requestAnimationFrame(drawn));
    }));
    await page.screenshot({ path });
    return path;
  },
  async complaints() { const found = complaints; complaints = []; return found; },
};

(async () => {
  await open();
  console.log(JSON.stringify({ ready: await page.evaluate(() => window.__COMFYUI_FRONTEND_VERSION__ ?? '') }));
  for await (const line of readline.createInterface({ input: process.stdin })) {
    const request = JSON.parse(line);
    let answer;
    try { answer = await operations[request.op](request); } catch (e) { answer = { error: String(e).slice(0, 500) }; }
    console.log(JSON.stringify(answer ?? null));
  }
  process.exit(0);
})().catch(e => { console.log(JSON.stringify({ error: String(e).slice(0, 500) })); process.exit(2); });
