/** Which screen is shown; the band and the short word lie over all of them. */
import { notice, view } from "./core/route.ts";
import { token } from "./core/device.ts";
import { head, tileIds } from "./core/store.ts";
import { TopBar } from "./home/bar.tsx";
import { Detail } from "./tiles/detail.tsx";
import { Home } from "./home/home.tsx";
import { Measure } from "./measure/measure.tsx";
import { draft } from "./report/draft.ts";
import { Report } from "./report/report.tsx";
import { Sent } from "./report/sent.tsx";
import { BadgeSheet } from "./scan/ask.tsx";
import { QueueView } from "./ticket/queueview.tsx";
import { TicketView } from "./ticket/ticket.tsx";
import { t } from "./words/texts.ts";

function Unknown() {
  return (
    <>
      <TopBar />
      <main class="k-body unknown" data-test="unknown">
        <div class="k-facts">
          <h2>{t("kiosk.unknown")}</h2>
          <p class="prose">{t("kiosk.unknown.how")}</p>
        </div>
      </main>
    </>
  );
}

function Waiting() {
  return (
    <>
      <TopBar />
      <main class="k-body" data-test="waiting-first">
        <p class="k-none">{t("kiosk.first")}</p>
      </main>
    </>
  );
}

function Screen() {
  const now = view.value;
  if (now.at === "report" && draft.value) return <Report />;
  if (now.at === "sent") return <Sent key={now.entry.id} given={now.entry} />;
  if (now.at === "ticket") return <TicketView key={now.no} no={now.no} />;
  if (now.at === "tile" && tileIds.value.includes(now.id)) return <Detail id={now.id} />;
  if (now.at === "measure") return <Measure />;
  if (now.at === "queue") return <QueueView />;
  return <Home />;
}

function Toast() {
  const shown = notice.value;
  if (!shown || view.value.at === "home") return null;
  return (
    <p class={shown.soon ? "k-toast soon" : "k-toast"} role="status" data-test="toast" onClick={() => (notice.value = null)}>
      {shown.text}
    </p>
  );
}

export function App() {
  if (!token.value) return <Unknown />;
  if (!head.value) return <Waiting />;
  return (
    <>
      <Screen />
      <Toast />
      <BadgeSheet />
    </>
  );
}

