/** Marks from icons.svg: put into the page once, used by name. */
import sprite from "./icons.svg?raw";

export function hang(): void {
  const holder = document.createElement("div");
  holder.hidden = true;
  holder.innerHTML = sprite; // our own file, no input
  document.body.prepend(holder);
}

export function Icon({ name, large }: { name: string; large?: boolean }) {
  return (
    <svg class={large ? "ic large" : "ic"} aria-hidden="true">
      <use href={`#i-${name}`} />
    </svg>
  );
}
