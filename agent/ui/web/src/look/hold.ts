/** Keep the keyboard inside what lies over the page: focus goes in, Tab stays in, Escape leaves, and then focus goes back. */

const TARGETS = "button:not(:disabled), input:not(:disabled), select:not(:disabled), textarea:not(:disabled)";

/** Answers how to let go. */
export function hold(over: HTMLElement, leave: () => void): () => void {
  const before = document.activeElement;
  over.focus({ preventScroll: true });
  const press = (event: KeyboardEvent): void => {
    if (event.key === "Escape") leave();
    if (event.key !== "Tab" || event.defaultPrevented) return;
    const all = [...over.querySelectorAll<HTMLElement>(TARGETS)];
    const [first, last] = [all[0], all.at(-1)];
    const at = document.activeElement;
    const out = !over.contains(at) || at === over;
    if (event.shiftKey ? out || at === first : at === last) {
      event.preventDefault();
      (event.shiftKey ? last : first)?.focus();
    }
  };
  document.addEventListener("keydown", press);
  return () => {
    document.removeEventListener("keydown", press);
    if (before instanceof HTMLElement && before.isConnected) before.focus({ preventScroll: true });
  };
}
