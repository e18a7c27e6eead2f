import assert from "node:assert/strict";
import { test } from "node:test";
import { cliStore, DELTA0_WORDS } from "../support/cli.ts";
import { hasCommand } from "../support/run.ts";

for (const shell of ["bash", "zsh", "fish"]) {
  test(`cli: the completion script for ${shell} names the verbs and is one`, async () => {
    await using cli = await cliStore();
    const { code, stdout } = await cli.delta0(["completion", shell]);
    assert.equal(code, 0);
    for (const word of ["import", "clone", "parent", "completion"]) assert.ok(stdout.includes(word), word);
    assert.doesNotMatch(stdout, /pre-start/);
    if (!hasCommand(shell)) return;
    const checked = await cli.shell(`$DELTA0 completion ${shell} >script && ${shell} -n script`);
    assert.deepEqual(checked, { code: 0, stdout: "", stderr: "" });
  });
}

test("cli: bash completes verbs and their options", async () => {
  await using cli = await cliStore();
  const complete = async (...words: string[]): Promise<string[]> => {
    const line = `source <($DELTA0 completion bash)
delta0() { ${DELTA0_WORDS} "$@"; }
COMP_WORDS=(delta0 ${words.map((word) => `'${word}'`).join(" ")}); COMP_CWORD=${words.length}
COMP_LINE="delta0 ${words.join(" ")}"; COMP_POINT=\${#COMP_LINE}
$(complete -p delta0 | sed 's/.*-F \\([^ ]*\\).*/\\1/') delta0 '${words.at(-1) ?? ""}' '${words.at(-2) ?? "delta0"}'
printf '%s\\n' "\${COMPREPLY[@]}"`;
    const { stdout } = await cli.shell(line);
    return stdout.split("\n").map((word) => word.trim());
  };
  assert.ok((await complete("imp")).includes("import"));
  assert.ok((await complete("import", "--par")).includes("--parent"));
  assert.ok((await complete("completion", "fi")).includes("fish"));
});

test("cli: a shell that is none is refused", async () => {
  await using cli = await cliStore();
  assert.equal((await cli.delta0(["completion", "cmd"])).code, 2);
});
