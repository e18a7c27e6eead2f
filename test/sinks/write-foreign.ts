// Run in a user namespace that maps root alone: writes a tree with another owner in it, and prints what became of it.
import { writeDirectory } from "../../src/sinks/directory.ts";
import { openEngine } from "../support/engine.ts";
import { makeTree, plain, wholeTree, withParents } from "./support.ts";

await using engine = await openEngine();
const file = { kind: "file" as const, path: "f", metadata: { ...plain, uid: 1000 }, pieces: ["x"] };
const changes = wholeTree(engine, makeTree(engine, withParents([file])));
console.log(JSON.stringify(await writeDirectory(process.argv[2] ?? "", changes, engine.content)));
