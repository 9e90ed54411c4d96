/** The live stream: SSE read by fetch (an EventSource cannot carry the token). Every connection begins with a snapshot.
 *  No beat for 5 s means offline; a hidden page holds no connection (a browser has six for one host). */

export interface Frame {
  event: string;
  data: string;
}

/** Cut a growing text into SSE frames (WHATWG HTML §9.2.6: comments, CRLF, several data lines). */
export class Frames {
  private rest = "";

  /** Frames completed by this piece of text. */
  feed(piece: string): Frame[] {
    const text = this.rest + piece;
    const held = text.endsWith("\r") ? 1 : 0; // its \n may come with the next piece
    const blocks = text.slice(0, text.length - held).replace(/\r\n?/g, "\n").split("\n\n");
    this.rest = (blocks.pop() ?? "") + "\r".repeat(held);
    return blocks.map(frame).filter((one): one is Frame => one !== null);
  }
}

function frame(block: string): Frame | null {
  let event = "message";
  const data: string[] = [];
  for (const line of block.split("\n")) {
    const cut = line.indexOf(":");
    const field = cut < 0 ? line : line.slice(0, cut);
    const value = cut < 0 ? "" : line.slice(cut + 1).replace(/^ /, "");
    if (field === "event") event = value;
    if (field === "data") data.push(value);
  }
  return data.length ? { event, data: data.join("\n") } : null;
}

export interface Handlers {
  url(): string;
  headers(): Record<string, string>;
  frame(event: string, data: unknown): void;
  up(): void;
  down(status: number): void;
}

const QUIET_MS = 5000;
const FIRST_MS = 500;
const CAP_MS = 8000;

export class Live {
  private abort: AbortController | null = null;
  private watchdog: ReturnType<typeof setTimeout> | undefined;
  private again: ReturnType<typeof setTimeout> | undefined;
  private pause = FIRST_MS;

  constructor(private readonly on: Handlers) {}

  /** Connect now, and whenever the page is shown again. */
  start(): void {
    document.addEventListener("visibilitychange", () => (document.hidden ? this.stop() : this.connect()));
    window.addEventListener("online", () => this.connect());
    this.connect();
  }

  /** Open the stream anew (also after the station was changed). */
  connect(): void {
    this.stop();
    if (document.hidden) return;
    const abort = new AbortController();
    this.abort = abort;
    this.alive(abort);
    this.read(abort).then(
      (status) => this.lost(abort, status),
      () => this.lost(abort, 0),
    );
  }

  private stop(): void {
    clearTimeout(this.again);
    clearTimeout(this.watchdog);
    const abort = this.abort;
    this.abort = null;
    abort?.abort();
  }

  /** A sign of life: the watchdog begins anew. */
  private alive(abort: AbortController): void {
    clearTimeout(this.watchdog);
    this.watchdog = setTimeout(() => this.lost(abort, 0), QUIET_MS);
  }

  private async read(abort: AbortController): Promise<number> {
    const answer = await fetch(this.on.url(), { headers: this.on.headers(), signal: abort.signal, cache: "no-store" });
    if (!answer.ok || !answer.body) return answer.status;
    const frames = new Frames();
    const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
    for (;;) {
      const { done, value } = await reader.read();
      if (done || abort !== this.abort) return 0;
      this.alive(abort);
      for (const { event, data } of frames.feed(value)) {
        this.on.frame(event, JSON.parse(data));
        if (event === "snapshot") {
          this.pause = FIRST_MS;
          this.on.up();
        }
      }
    }
  }

  private lost(abort: AbortController, status: number): void {
    if (abort !== this.abort) return;
    this.stop();
    this.on.down(status);
    // full jitter: many tablets come back after one cut, not all in the same moment
    this.again = setTimeout(() => this.connect(), this.pause * (0.5 + Math.random() / 2));
    this.pause = Math.min(CAP_MS, this.pause * 2);
  }
}
