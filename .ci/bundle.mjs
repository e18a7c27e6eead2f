// Makes dist/cli: the command in one file with all it imports but native parts, V8's code of it, and what starts it.
// Usage: node .ci/bundle.mjs
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { resolve } from "node:path";
import { stderr, stdout } from "node:process";
import { setFlagsFromString } from "node:v8";
import { Script } from "node:vm";
import { build } from "esbuild";

const OUT = "dist/cli";
const NATIVE = ["koffi", "@napi-rs/*", "blake3"];
/** What many containers are made with, looked at and removed. */
const COMMANDS = [
  "import docs base",
  "clone base web --no-lxc",
  "ls --json",
  "ls",
  "show web",
  "status web",
  "reflog",
  "rm web",
  "undo",
  "info",
];

// As `launch.ts` has them: V8 takes no code that was made with others.
setFlagsFromString("--interrupt-budget=1000000");

rmSync(OUT, { recursive: true, force: true });
const common = {
  bundle: true,
  platform: "node",
  target: "node20",
  format: "cjs",
  logLevel: "warning",
  // What is asked of it for running from the sources.
  logOverride: { "empty-import-meta": "silent" },
  legalComments: "none",
  define: { "import.meta.url": "here" },
};
await build({
  ...common,
  entryPoints: ["src/cli/launch.ts"],
  outfile: `${OUT}/main.cjs`,
  banner: { js: 'const here = require("node:url").pathToFileURL(__filename).href;' },
});
const { metafile } = await build({
  ...common,
  entryPoints: ["src/cli/command-line.ts"],
  outfile: `${OUT}/bundle.cjs`,
  external: NATIVE,
  // Comments are half of what is not ASCII; of the code nothing may be: `launch.ts`.
  minifyWhitespace: true,
  // Without its native part, which is for decoding alone, and takes 10 ms to be found.
  alias: { msgpackr: "msgpackr/pack" },
  metafile: true,
  plugins: [{ name: "addons", setup: keepAddonInItsPackage }],
  // A function, so that it can be compiled with a cache: `launch.ts`.
  banner: {
    js: '(function (require, module, __filename) {\nconst here = require("node:url").pathToFileURL(__filename).href;',
  },
  footer: { js: "})" },
});
// Each thread would otherwise load some ten modules, which takes it half of its start.
await build({
  ...common,
  entryPoints: readdirSync("src", { recursive: true }).flatMap((file) =>
    file.endsWith("-thread.ts") ? [`src/${file}`] : [],
  ),
  outdir: "dist",
  outbase: "src",
  format: "esm",
  sourcemap: true,
  packages: "external",
  define: {},
});
writeFileSync(`${OUT}/LICENSES`, licensesOf(metafile));
await writeCode(resolve(OUT, "bundle.cjs"));

/** LevelDB's addon is looked for beside the file that asks for it; and first where it mostly is, which takes 3 ms less. */
function keepAddonInItsPackage({ onResolve, onLoad }) {
  const addon = "addon of classic-level";
  onResolve({ filter: /^\.\/binding$/ }, ({ resolveDir }) =>
    resolveDir.endsWith("/classic-level") ? { path: addon, namespace: addon } : undefined,
  );
  onResolve({ filter: /./, namespace: addon }, ({ path }) => ({ path, external: true }));
  onLoad({ filter: /./, namespace: addon }, () => ({
    contents: `
      try {
        module.exports = require(\`classic-level/prebuilds/linux-\${process.arch}/classic-level.node\`);
      } catch {
        module.exports = require("classic-level/binding.js");
      }`,
  }));
}

/** Their authors ask for this wherever the code goes. */
function licensesOf({ inputs }) {
  const folders = new Set(
    Object.keys(inputs).flatMap((file) => /^.*node_modules\/(?:@[^/]+\/)?[^/]+/.exec(file) ?? []),
  );
  return [...folders].sort().map(licenseOf).join("\n\n");
}

function licenseOf(folder) {
  const { name, version, license } = JSON.parse(readFileSync(`${folder}/package.json`, "utf8"));
  const file = readdirSync(folder).find((file) => /^licen[cs]e/i.test(file));
  if (file === undefined) throw new Error(`${folder} has no licence file`);
  return `${name} ${version}, ${license}\n\n${readFileSync(`${folder}/${file}`, "utf8").trim()}`;
}

/** Of what the common commands run, which is found by running them. */
async function writeCode(file) {
  const source = readFileSync(file, "utf8");
  if (!/^[\0-\x7f]*$/.test(source)) throw new Error(`${file} is not ASCII`);
  const script = new Script(source, { filename: file });
  const module = { exports: {} };
  script.runInThisContext()(createRequire(file), module, file);
  const directory = mkdtempSync(`${tmpdir()}/delta0-bundle-`);
  const write = stdout.write;
  // Each command listens by itself.
  for (const stream of [stdout, stderr]) stream.setMaxListeners(0);
  try {
    stdout.write = (_text, done) => (done?.(), true);
    for (const command of COMMANDS) {
      const words = command.split(" ");
      const exit = await module.exports.main(["--store", `${directory}/store`, "--quiet", ...words]);
      if (exit !== 0) throw new Error(`delta0 ${command} exited with ${exit}`);
    }
  } finally {
    stdout.write = write;
    rmSync(directory, { recursive: true, force: true });
  }
  writeFileSync(`${file}.code`, script.createCachedData());
}
