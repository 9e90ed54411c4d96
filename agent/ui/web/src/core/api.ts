/** Plain HTTP to the edge. Nothing here throws for the network: `status` 0 means "no answer". */
import { token } from "./device.ts";

export interface Answer<T = unknown> {
  status: number;
  data: T;
}
export interface Ask {
  method?: string;
  json?: unknown;
  bytes?: Blob;
  key?: string;
  badge?: string | null;
  enteredAt?: string;
  timeoutMs?: number;
}

export function headers(ask: Ask): Record<string, string> {
  const all: Record<string, string> = { Authorization: `Bearer ${token.value}` };
  if (ask.json !== undefined) all["Content-Type"] = "application/json";
  if (ask.bytes) all["Content-Type"] = ask.bytes.type || "application/octet-stream";
  if (ask.key) all["Idempotency-Key"] = ask.key;
  if (ask.badge) all["X-Andon-Badge"] = encodeURIComponent(ask.badge);
  if (ask.enteredAt) all["X-Andon-Entered-At"] = ask.enteredAt;
  return all;
}

/** `path` is relative to the page (api/v1/…), so that the kiosk may stand behind any prefix. */
export async function call<T = unknown>(path: string, ask: Ask = {}): Promise<Answer<T>> {
  const stop = AbortSignal.timeout(ask.timeoutMs ?? 10_000);
  const body = ask.bytes ?? (ask.json === undefined ? undefined : JSON.stringify(ask.json));
  try {
    const answer = await fetch(path, { method: ask.method ?? "GET", headers: headers(ask), body, signal: stop });
    const text = await answer.text();
    return { status: answer.status, data: (text ? parse(text) : null) as T };
  } catch {
    return { status: 0, data: null as T };
  }
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return null; // a proxy's HTML page: the status says enough
  }
}
