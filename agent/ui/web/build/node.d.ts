/** The little of node that the build uses. @types/node would come into the wheel build through vite's optional peers. */
declare module "node:crypto" {
  interface Hash {
    update(data: string | Uint8Array): Hash;
    digest(encoding: "hex"): string;
  }
  export function createHash(name: "sha256"): Hash;
}
declare module "node:zlib" {
  export function gzipSync(data: Uint8Array, options?: { level: number }): Uint8Array;
}
declare module "node:fs/promises" {
  export function readFile(path: string, encoding: "utf8"): Promise<string>;
}
declare module "node:path" {
  export function resolve(...parts: string[]): string;
}
