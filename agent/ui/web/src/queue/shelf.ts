/** What must survive a reload, a restart and a power cut, in IndexedDB with strict durability:
 *  entries waiting to be sent, their photos, the last picture of the screen. */
import { openDB, type DBSchema, type IDBPDatabase } from "idb";
import type { Arg, Named } from "../words/texts.ts";

export interface Photo {
  sha: string;
  size: number;
  sent?: boolean;
}
/** One entry of a person, to be sent exactly once. `id` is its Idempotency-Key; `seq` its place in the row. */
export interface Entry {
  seq: number;
  id: string;
  kind: "ticket" | "measure" | "action";
  lane: string;
  path: string;
  json: { [field: string]: unknown };
  badge: string | null;
  who: string | null;
  photos: Photo[];
  enteredAt: string;
  label: { key: string; args: { [name: string]: Arg } };
  state: "waiting" | "parked";
  /** True once it may have reached the server: from then on it is not taken back silently. */
  tried: boolean;
  tries: number;
  retryAt: number;
  status: number;
  reason: Named | null;
}
export type NewEntry = Omit<Entry, "seq">;

interface Schema extends DBSchema {
  entries: { key: number; value: Omit<Entry, "seq"> & { seq?: number } };
  blobs: { key: string; value: Blob };
  kept: { key: string; value: unknown };
}

export interface Shelf {
  /** False when the browser refuses storage: entries then live only as long as the page. */
  readonly lasting: boolean;
  all(): Promise<Entry[]>;
  add(entry: NewEntry): Promise<Entry>;
  /** Write an entry that is still there; one removed meanwhile (by another tab) stays removed. */
  put(entry: Entry): Promise<void>;
  drop(seq: number): Promise<void>;
  putBlob(sha: string, blob: Blob): Promise<void>;
  blob(sha: string): Promise<Blob | undefined>;
  blobNames(): Promise<string[]>;
  dropBlob(sha: string): Promise<void>;
  keep(key: string, value: unknown): Promise<void>;
  kept(key: string): Promise<unknown>;
}

const STRICT = { durability: "strict" } as const;

class Database implements Shelf {
  readonly lasting = true;
  constructor(private readonly db: IDBPDatabase<Schema>) {}

  async all(): Promise<Entry[]> {
    return (await this.db.getAll("entries")) as Entry[];
  }
  async add(entry: NewEntry): Promise<Entry> {
    const tx = this.db.transaction("entries", "readwrite", STRICT);
    const [seq] = await Promise.all([tx.store.add(entry), tx.done]);
    return { ...entry, seq };
  }
  async put(entry: Entry): Promise<void> {
    const tx = this.db.transaction("entries", "readwrite", STRICT);
    if (await tx.store.getKey(entry.seq)) await tx.store.put(entry);
    await tx.done;
  }
  async drop(seq: number): Promise<void> {
    const tx = this.db.transaction("entries", "readwrite", STRICT);
    await Promise.all([tx.store.delete(seq), tx.done]);
  }
  async putBlob(sha: string, blob: Blob): Promise<void> {
    const tx = this.db.transaction("blobs", "readwrite", STRICT);
    await Promise.all([tx.store.put(blob, sha), tx.done]);
  }
  blob(sha: string): Promise<Blob | undefined> {
    return this.db.get("blobs", sha);
  }
  blobNames(): Promise<string[]> {
    return this.db.getAllKeys("blobs");
  }
  async dropBlob(sha: string): Promise<void> {
    await this.db.delete("blobs", sha);
  }
  async keep(key: string, value: unknown): Promise<void> {
    await this.db.put("kept", value, key);
  }
  kept(key: string): Promise<unknown> {
    return this.db.get("kept", key);
  }
}

class Memory implements Shelf {
  readonly lasting = false;
  private readonly rows = new Map<number, Entry>();
  private readonly blobs = new Map<string, Blob>();
  private readonly notes = new Map<string, unknown>();
  private last = 0;

  all = async (): Promise<Entry[]> => [...this.rows.values()];
  add = async (entry: NewEntry): Promise<Entry> => {
    const full = { ...entry, seq: ++this.last };
    this.rows.set(full.seq, full);
    return full;
  };
  put = async (entry: Entry): Promise<void> => {
    if (this.rows.has(entry.seq)) this.rows.set(entry.seq, entry);
  };
  drop = async (seq: number): Promise<void> => void this.rows.delete(seq);
  putBlob = async (sha: string, blob: Blob): Promise<void> => void this.blobs.set(sha, blob);
  blob = async (sha: string): Promise<Blob | undefined> => this.blobs.get(sha);
  blobNames = async (): Promise<string[]> => [...this.blobs.keys()];
  dropBlob = async (sha: string): Promise<void> => void this.blobs.delete(sha);
  keep = async (key: string, value: unknown): Promise<void> => void this.notes.set(key, value);
  kept = async (key: string): Promise<unknown> => this.notes.get(key);
}

/** Open the tablet's database; where that is refused, memory (and `lasting` says so). */
export async function openShelf(name = "andon"): Promise<Shelf> {
  try {
    const db = await openDB<Schema>(name, 1, {
      upgrade(fresh) {
        fresh.createObjectStore("entries", { keyPath: "seq", autoIncrement: true });
        fresh.createObjectStore("blobs");
        fresh.createObjectStore("kept");
      },
      blocking: (_old, _new, event) => (event.target as IDBDatabase).close(),
    });
    return new Database(db);
  } catch {
    return new Memory();
  }
}
