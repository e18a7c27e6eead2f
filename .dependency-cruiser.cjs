"use strict";

/**
 * The import table. Each part of src/ may import itself and what it lists, nothing else.
 * Data flows one way: a part only ever lists parts above it.
 */
const BASE = ["errors.ts", "model/", "format/", "sys/"];
const STORE = [...BASE, "kv/", "chunks/", "trees/"];
const EDGES = ["sources/", "sinks/", "lxc/", "packages/"];
const PARTS_OF_A_STORE = [...STORE, "overlay/", "containers/", ...EDGES, "store-paths.ts", "exports/", "transfer/"];

const IMPORTS = {
  "errors.ts": [],
  "model/": ["errors.ts"],
  "format/": ["errors.ts", "model/"],
  "sys/": ["errors.ts", "model/", "format/"],
  "kv/": BASE,
  "chunks/": [...BASE, "kv/"],
  "trees/": [...BASE, "kv/", "chunks/"],
  "overlay/": STORE,
  "containers/": [...STORE, "overlay/"],
  "sources/": BASE,
  "sinks/": BASE,
  "lxc/": BASE,
  "packages/": BASE,
  "store-paths.ts": [],
  "store-directory.ts": [...BASE, "store-paths.ts"],
  "store-damage.ts": [...BASE, "kv/", "store-paths.ts", "store-directory.ts"],
  "exports/": [...STORE, "sinks/", "store-paths.ts"],
  "transfer/": [...STORE, "containers/", "sources/"],
  "store-parts.ts": [...PARTS_OF_A_STORE, "store-directory.ts", "store-damage.ts"],
  "store.ts": [...PARTS_OF_A_STORE, "store-parts.ts"],
  "operations/": [...PARTS_OF_A_STORE, "store.ts", "store-damage.ts"],
  "service/": [...BASE, "store-paths.ts", "store-directory.ts", "store-parts.ts", "store.ts", "operations/"],
  "index.ts": [...PARTS_OF_A_STORE, "store-parts.ts", "store.ts", "operations/", "service/"],
  "cli/": ["errors.ts", "model/duration.ts", "model/size.ts", "store.ts", "operations/", "service/", "index.ts"],
};

const PARTS = Object.keys(IMPORTS);

/** "kv/" matches everything below src/kv, "store.ts" that file alone. */
const pattern = (parts) =>
  `^src/(${parts.map((part) => (part.endsWith("/") ? part : `${part.replace(".", "\\.")}$`)).join("|")})`;

const onlyIn = (folder, dependency) => ({
  name: `only-${folder}-imports-${dependency}`,
  severity: "error",
  from: { path: "^src/", pathNot: `^src/${folder}/` },
  to: { path: `(^|/)node_modules/${dependency}/` },
});

/** @type {import("dependency-cruiser").IConfiguration} */
module.exports = {
  forbidden: [
    { name: "no-cycles", severity: "error", from: {}, to: { circular: true } },
    { name: "no-unresolved", severity: "error", from: {}, to: { couldNotResolve: true } },
    {
      name: "a-known-part",
      comment: "A new folder of src/ first gets its line in the import table.",
      severity: "error",
      from: { path: "^src/", pathNot: pattern(PARTS) },
      to: {},
    },
    {
      name: "no-development-dependencies",
      severity: "error",
      from: { path: "^src/" },
      to: { dependencyTypes: ["npm-dev"], dependencyTypesNot: ["type-only"] },
    },
    ...PARTS.map((part) => ({
      name: `imports-of-${part.replace(/\/|\.ts/, "")}`,
      severity: "error",
      from: { path: pattern([part]) },
      to: { path: "^src/", pathNot: pattern([part, ...IMPORTS[part]]) },
    })),
    {
      name: "operations-are-loaded-when-called",
      comment: "A command that loads all of them takes three times as long.",
      severity: "error",
      from: { path: "^src/(cli|service)/" },
      to: { path: "^src/(operations/|store\\.ts|index\\.ts)", dynamic: false, dependencyTypesNot: ["type-only"] },
    },
    onlyIn("kv", "(level|classic-level)"),
    onlyIn("sys", "koffi"),
  ],
  options: {
    doNotFollow: { path: "node_modules" },
    tsPreCompilationDeps: true,
    tsConfig: { fileName: "tsconfig.json" },
    enhancedResolveOptions: { exportsFields: ["exports"], conditionNames: ["import", "node", "types", "default"] },
  },
};
