/** Pages instead of scrolling: nothing on the kiosk needs a swipe. */
import { Icon } from "../look/icon.tsx";
import { t } from "../words/texts.ts";

export function Pager(props: { page: number; pages: number; turn(page: number): void; note?: string; test: string }) {
  const { page, pages, turn, note, test } = props;
  if (pages < 2) return null;
  return (
    <div class="pager" data-test={`pager-${test}`}>
      <button class="key" type="button" disabled={page === 0} aria-label={t("kiosk.page.back")} onClick={() => turn(page - 1)} data-test={`${test}-back`}>
        <Icon name="back" />
      </button>
      <p>
        {page + 1} / {pages}
        {note ? `${t("kiosk.join")}${note}` : ""}
      </p>
      <button class="key flip" type="button" disabled={page + 1 >= pages} aria-label={t("kiosk.page.on")} onClick={() => turn(page + 1)} data-test={`${test}-on`}>
        <Icon name="back" />
      </button>
    </div>
  );
}

export function slice<T>(all: T[], page: number, size: number): { shown: T[]; page: number; pages: number } {
  const pages = Math.max(1, Math.ceil(all.length / size));
  const at = Math.min(page, pages - 1);
  return { shown: all.slice(at * size, at * size + size), page: at, pages };
}
