/** A Vite plugin that writes sw.js (the kiosk's own files are kept in a cache named by their hash, nothing else is touched)
 *  and a .gz beside each file.
 *  order "post" so that index.html stands in the bundle and counts in the hash. */
import { createHash } from "node:crypto";
import { gzipSync } from "node:zlib";
import type { Plugin } from "vite";

export const BUDGET_KB = 60;
/** What is worth packing; the server hands out the .gz beside a file (agent/ui/page.py). */
const PACKED = /\.(js|css|html|svg)$/;

interface Item {
  type: "chunk" | "asset";
  fileName: string;
  code?: string;
  source?: string | Uint8Array;
  imports?: string[];
  dynamicImports?: string[];
  facadeModuleId?: string | null;
  viteMetadata?: { importedCss: Set<string>; importedAssets: Set<string> };
}

/** Names of all files that the page `entry` can ever ask for. */
export function reach(bundle: Record<string, Item>, entry: string): string[] {
  const found = new Set<string>();
  const walk = (name: string): void => {
    const item = bundle[name];
    if (!item || found.has(name)) return;
    found.add(name);
    for (const css of item.viteMetadata?.importedCss ?? []) found.add(css);
    for (const asset of item.viteMetadata?.importedAssets ?? []) found.add(asset);
    [...(item.imports ?? []), ...(item.dynamicImports ?? [])].forEach(walk);
  };
  for (const item of Object.values(bundle)) {
    if (item.facadeModuleId?.endsWith(`/${entry}`)) walk(item.fileName);
    if (item.fileName.startsWith("assets/favicon")) found.add(item.fileName);
  }
  return [...found].sort();
}

/** The worker's text: cache first for the listed files, everything else (all of /api) goes to the network. */
export function script(files: string[], hash: string): string {
  return `const CACHE = "andon-${hash}";
const FILES = ${JSON.stringify(["./", ...files])};
const KNOWN = new Set(FILES.map((file) => new URL(file, location.href).pathname));
self.addEventListener("install", (event) => {
  const fresh = FILES.map((file) => new Request(file, { cache: "reload" }));
  event.waitUntil(caches.open(CACHE).then((cache) => cache.addAll(fresh)));
});
self.addEventListener("activate", (event) => {
  const drop = async () => {
    for (const key of await caches.keys()) if (key.startsWith("andon-") && key !== CACHE) await caches.delete(key);
    await clients.claim();
  };
  event.waitUntil(drop());
});
self.addEventListener("message", (event) => {
  if (event.data === "take over") self.skipWaiting();
});
self.addEventListener("fetch", (event) => {
  const url = new URL(event.request.url);
  if (event.request.method !== "GET" || url.origin !== location.origin || !KNOWN.has(url.pathname)) return;
  const kept = caches.open(CACHE).then((cache) => cache.match(url.pathname, { ignoreVary: true }));
  event.respondWith(kept.then((answer) => answer ?? fetch(event.request)));
});
`;
}

function bytes(item: Item): Uint8Array {
  const data = item.type === "chunk" ? (item.code ?? "") : (item.source ?? "");
  return typeof data === "string" ? new TextEncoder().encode(data) : data;
}

export function serviceWorker(): Plugin {
  return {
    name: "andon-worker",
    apply: "build",
    generateBundle: {
      order: "post",
      handler(_options, output) {
        const bundle = output as unknown as Record<string, Item>;
        const files = reach(bundle, "index.html");
        const digest = createHash("sha256");
        for (const name of ["index.html", ...files]) {
          const item = bundle[name];
          if (item) digest.update(name).update(bytes(item));
        }
        const source = script(files, digest.digest("hex").slice(0, 16));
        this.emitFile({ type: "asset", fileName: "sw.js", source });
        for (const [name, item] of [...Object.entries(bundle), ["sw.js", { source }] as const]) {
          if (PACKED.test(name)) this.emitFile({ type: "asset", fileName: `${name}.gz`, source: gzipSync(bytes(item as Item), { level: 9 }) });
        }
        const js = files.filter((name) => name.endsWith(".js")).map((name) => gzipSync(bytes(bundle[name]!)).length);
        const kb = js.reduce((sum, size) => sum + size, 0) / 1024;
        const line = `kiosk: ${kb.toFixed(1)} KB of JavaScript, gzipped, all languages (budget ${BUDGET_KB} KB)`;
        if (kb > BUDGET_KB) this.warn(line);
        else this.info(line);
      },
    },
  };
}
