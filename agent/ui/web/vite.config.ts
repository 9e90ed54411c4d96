/// <reference types="vitest/config" />
import { defineConfig } from "vite";
import { texts } from "./build/texts.ts";
import { serviceWorker } from "./build/worker.ts";

// Nothing is inlined (strict CSP) and nothing is absolute: the same files serve the kiosk and the sandbox, at any mount.
export default defineConfig({
  base: "./",
  build: {
    target: "chrome109",
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    reportCompressedSize: false,
    rolldownOptions: { input: { index: "index.html", sandbox: "sandbox.html" } },
  },
  plugins: [texts(), serviceWorker()],
  test: { include: ["test/*.test.ts"], environment: "node" },
});
