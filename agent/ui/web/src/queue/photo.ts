/** Photos: shrunk to 1600 px JPEG before they are kept, named by their SHA-256. */
import { sha256 } from "../core/ids.ts";
import { theShelf } from "./queue.ts";
import type { Photo } from "./shelf.ts";

const EDGE = 1600;
const QUALITY = 0.82;
export const MOST = 3;

/** Width and height so that the longer side is at most `edge`; never larger than given. */
export function fit(width: number, height: number, edge = EDGE): { width: number; height: number } {
  const factor = Math.min(1, edge / Math.max(width, height));
  return { width: Math.max(1, Math.round(width * factor)), height: Math.max(1, Math.round(height * factor)) };
}

async function shrink(file: Blob): Promise<Blob> {
  const picture = await createImageBitmap(file, { imageOrientation: "from-image" });
  const { width, height } = fit(picture.width, picture.height);
  const canvas = Object.assign(document.createElement("canvas"), { width, height });
  canvas.getContext("2d")!.drawImage(picture, 0, 0, width, height);
  picture.close();
  return new Promise((done, fail) =>
    canvas.toBlob((blob) => (blob ? done(blob) : fail(new Error("no JPEG"))), "image/jpeg", QUALITY),
  );
}

/** Keep a picture on the tablet. Throws when the file is no picture. */
export async function takePhoto(file: Blob): Promise<Photo> {
  const jpeg = await shrink(file);
  const sha = await sha256(new Uint8Array(await jpeg.arrayBuffer()));
  await theShelf().putBlob(sha, jpeg);
  return { sha, size: jpeg.size };
}

/** Drop photos that neither an entry nor `needed` (the draft) names: left over from a form that was given up. */
export async function sweepPhotos(needed: string[]): Promise<void> {
  const entries = await theShelf().all();
  const keep = new Set([...needed, ...entries.flatMap((entry) => entry.photos.map((photo) => photo.sha))]);
  for (const sha of await theShelf().blobNames()) if (!keep.has(sha)) await theShelf().dropBlob(sha);
}
