/** Photos of the draft: at most three, shrunk and kept before anything is sent. */
import { useEffect, useState } from "preact/hooks";
import { say } from "../core/route.ts";
import { Icon } from "../look/icon.tsx";
import { MOST, takePhoto } from "../queue/photo.ts";
import { theShelf } from "../queue/queue.ts";
import type { Photo } from "../queue/shelf.ts";
import { num } from "../words/format.ts";
import { t } from "../words/texts.ts";
import { change, draft } from "./draft.ts";

/** The kept picture behind a digest, as an address for <img>. */
export function usePicture(sha: string | undefined): string {
  const [address, setAddress] = useState("");
  useEffect(() => {
    let made = "";
    let gone = false;
    setAddress("");
    if (sha) {
      void theShelf()
        .blob(sha)
        .then((blob) => {
          if (!blob || gone) return;
          made = URL.createObjectURL(blob);
          setAddress(made);
        });
    }
    return () => {
      gone = true;
      if (made) URL.revokeObjectURL(made);
    };
  }, [sha]);
  return address;
}

export function Picture({ photo, left, right, drop }: { photo: Photo; left: string; right: string; drop?(): void }) {
  const address = usePicture(photo.sha);
  return (
    <figure class="photo" data-test="photo">
      {address && <img src={address} alt={left} />}
      {drop && (
        <button class="key photo-drop" type="button" aria-label={t("kiosk.photo.drop")} data-test="photo-drop" onClick={drop}>
          <Icon name="x" />
        </button>
      )}
      <figcaption>
        <span>{left}</span>
        <span>{right}</span>
      </figcaption>
    </figure>
  );
}

async function take(input: HTMLInputElement): Promise<void> {
  const file = input.files?.[0];
  input.value = "";
  if (!file) return;
  try {
    const photo = await takePhoto(file);
    const photos = draft.value?.photos ?? [];
    if (photos.length < MOST && !photos.some((one) => one.sha === photo.sha)) change({ photos: [...photos, photo] });
  } catch {
    say(t("kiosk.photo.bad"), true);
  }
}

export function PhotoKey({ count }: { count: number }) {
  return (
    <label class="key photo-key" data-test="photo-key" aria-disabled={count >= MOST}>
      <Icon name="cam" />
      {count >= MOST ? t("kiosk.photo.full", { most: MOST }) : count ? t("kiosk.photo.more") : t("kiosk.photo.take")}
      <input
        class="sr"
        type="file"
        accept="image/*"
        capture="environment"
        disabled={count >= MOST}
        data-test="photo-input"
        onChange={(event) => void take(event.currentTarget)}
      />
    </label>
  );
}

/** The newest photo of the draft. */
export function DraftPhoto({ photos }: { photos: Photo[] }) {
  const newest = photos.at(-1);
  if (!newest) return null;
  const drop = (): void => change({ photos: photos.filter((photo) => photo.sha !== newest.sha) });
  const size = t("kiosk.photo.size", { mb: num(newest.size / 2 ** 20, 1) });
  return <Picture photo={newest} left={t("kiosk.photo.of", { n: photos.length, most: MOST })} right={size} drop={drop} />;
}
