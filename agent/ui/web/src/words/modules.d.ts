/** Made by build/texts.ts. */
declare module "texts/*" {
  const table: Record<string, string>;
  export default table;
}
