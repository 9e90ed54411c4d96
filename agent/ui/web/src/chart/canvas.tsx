/** A canvas as large as its place, drawn again when its size, the theme or what it shows changes; never while hidden. */
import { useLayoutEffect, useRef } from "preact/hooks";
import { onTheme, type Pen } from "./paint.ts";

export type Draw = (pen: Pen, width: number, height: number) => void;

export function Canvas({ draw, label }: { draw: Draw; label?: string }) {
  const place = useRef<HTMLCanvasElement>(null);
  const latest = useRef(draw);
  latest.current = draw;
  const paint = (): void => {
    const canvas = place.current;
    const pen = canvas?.getContext("2d");
    if (!canvas || !pen || document.hidden) return;
    const { width, height } = canvas.getBoundingClientRect();
    if (!width || !height) return;
    const ratio = window.devicePixelRatio || 1;
    const [w, h] = [Math.round(width * ratio), Math.round(height * ratio)];
    if (canvas.width !== w || canvas.height !== h) Object.assign(canvas, { width: w, height: h });
    pen.setTransform(ratio, 0, 0, ratio, 0, 0);
    pen.clearRect(0, 0, width, height);
    latest.current(pen, width, height);
  };
  useLayoutEffect(paint);
  useLayoutEffect(() => {
    const sized = new ResizeObserver(paint);
    sized.observe(place.current!);
    const unthemed = onTheme(paint);
    document.addEventListener("visibilitychange", paint);
    return () => {
      sized.disconnect();
      unthemed();
      document.removeEventListener("visibilitychange", paint);
    };
  }, []);
  return <canvas ref={place} class="canvas" role={label ? "img" : undefined} aria-label={label} aria-hidden={label ? undefined : "true"} />;
}
