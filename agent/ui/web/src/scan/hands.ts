/** A keyboard that a person types on feeds the number pad while that is on the screen. */
import { useEffect } from "preact/hooks";

/** Takes one character, "del" or "enter". */
export type Hand = (key: string) => void;

let asking: Hand | null = null;

/** Who hears the keyboard now. */
export const hand = (): Hand | null => asking;

/** Hear the keyboard. Keys may come faster than the screen is drawn: `press` must look at what is there by then. */
export function useHand(press: Hand): void {
  useEffect(() => {
    asking = press;
    return () => void (asking = null);
  });
}
