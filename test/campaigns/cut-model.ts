import assert from "node:assert/strict";

/** A tree's digest; null for nothing; "?" for what only who does it can tell. */
export type Meaning = string | null;

/** What a command is about to do. Names and places that are not in it stay as they are. */
export interface Plan {
  readonly verb: string;
  readonly names?: Readonly<Record<string, Meaning>>;
  /** Directories, tars and backups outside of the store that come to be; each with the digest that it is to hold. */
  readonly places?: Readonly<Record<string, string>>;
  /** Of a name: the paths at which it will differ from what it was. */
  readonly changes?: Readonly<Record<string, readonly string[]>>;
  /** Of a new name: what it is made from, on this host. */
  readonly source?: string;
}

/** What an actor says; one line each. */
export type Line =
  | (Plan & { readonly at: "begin" })
  | {
      readonly at: "done";
      readonly names: Readonly<Record<string, Meaning>>;
      readonly ms: number;
      readonly steps: number;
    };

/** What was acknowledged. */
export class Known {
  readonly names = new Map<string, string>();
  readonly places = new Map<string, string>();

  /** @returns what was under way at the end, and so may have happened or not */
  note(lines: readonly Line[]): Plan | undefined {
    let plan: Plan | undefined;
    for (const line of lines) {
      if (line.at === "begin") {
        assert.equal(plan, undefined);
        plan = line;
        continue;
      }
      assert.ok(plan !== undefined);
      this.#take(plan, line.names);
      plan = undefined;
    }
    return plan;
  }

  #take({ names = {}, places = {} }: Plan, told: Readonly<Record<string, Meaning>>): void {
    for (const [name, meaning] of Object.entries({ ...names, ...told })) {
      assert.notEqual(meaning, "?", `nobody told what ${name} is`);
      if (meaning === null) this.names.delete(name);
      else this.names.set(name, meaning);
    }
    for (const [place, digest] of Object.entries(places)) this.places.set(place, digest);
  }

  /**
   * Fails unless all is as it was acknowledged, and what was under way has happened as a whole or not at all.
   *
   * @returns whether it has happened
   */
  judge(present: ReadonlyMap<string, string>, cut: Plan | undefined): boolean {
    const planned = Object.entries(cut?.names ?? {});
    const open = new Set(planned.map(([name]) => name));
    for (const name of new Set([...this.names.keys(), ...present.keys()]))
      if (!open.has(name)) assert.equal(present.get(name), this.names.get(name), `${name}, after ${cut?.verb}`);
    const isOld = planned.every(([name]) => present.get(name) === this.names.get(name));
    const isNew = planned.every(([name, meaning]) => {
      const found = present.get(name) ?? null;
      return meaning === "?" ? found !== null : found === meaning;
    });
    const seen = planned.map(([name, meaning]) => ({
      name,
      was: this.names.get(name),
      found: present.get(name),
      meaning,
    }));
    assert.ok(isOld || isNew, `${cut?.verb} by half: ${JSON.stringify(seen)}`);
    for (const [name] of planned) {
      const found = present.get(name);
      if (found === undefined) this.names.delete(name);
      else this.names.set(name, found);
    }
    return !isOld;
  }
}
