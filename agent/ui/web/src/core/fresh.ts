/** The page opens with the server away (service worker), and a new version loads by itself when nobody is at work. */

const LOOK_MS = 10 * 60_000;
const IDLE_LOOK_MS = 2000;

export function keepFresh(idle: () => boolean): void {
  navigator.storage?.persist?.().catch(() => undefined);
  const worker = navigator.serviceWorker; // undefined where the page is no secure context
  if (!worker) return;
  let had = worker.controller !== null;
  let stale = false;
  worker.addEventListener("controllerchange", () => {
    stale = had; // the first worker of all brings nothing new
    had = true;
  });
  const ready = worker.register("./sw.js", { updateViaCache: "none" });
  ready.then(
    (registration) => {
      if (!registration) return; // a browser may refuse without an error
      const look = (): void => void registration.update().catch(() => undefined);
      setInterval(look, LOOK_MS);
      document.addEventListener("visibilitychange", () => !document.hidden && look());
      setInterval(() => {
        if (!idle()) return;
        if (stale) location.reload();
        else registration.waiting?.postMessage("take over");
      }, IDLE_LOOK_MS);
    },
    () => undefined,
  );
}
