import { cp, readFile, symlink, writeFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { temporaryDirectory, type TemporaryDirectory } from "./temporary.ts";

/** A rule that is broken on purpose. */
export interface Mutation {
  readonly rule: string;
  readonly file: string;
  /** Stands in the file just once. */
  readonly text: string;
  readonly instead: string;
}

/** A copy of the checkout, to be broken. */
export async function copyOfCheckout(): Promise<TemporaryDirectory> {
  const checkout = fileURLToPath(new URL("../..", import.meta.url));
  const copy = await temporaryDirectory();
  for (const name of ["src", "test", "package.json", "tsconfig.json"])
    await cp(`${checkout}/${name}`, `${copy.path}/${name}`, { recursive: true });
  await symlink(`${checkout}/node_modules`, `${copy.path}/node_modules`);
  return copy;
}

/** Does `work` while a rule is broken in the copy. */
export async function whileBroken<T>(
  copy: TemporaryDirectory,
  { file, text, instead }: Pick<Mutation, "file" | "text" | "instead">,
  work: () => T | Promise<T>,
): Promise<T> {
  const path = `${copy.path}/${file}`;
  const source = await readFile(path, "utf8");
  if (source.split(text).length !== 2) throw new Error(`${file} does not hold this once: ${text}`);
  await writeFile(
    path,
    source.replace(text, () => instead),
  );
  try {
    return await work();
  } finally {
    await writeFile(path, source);
  }
}
