import { isDeepStrictEqual } from "node:util";
import { Container } from "./container.ts";
import { KERNEL_FIELDS, KERNEL_REFUSALS, NOT_COMPARED, NOT_FOR_THE_KERNEL } from "./differences.ts";
import { DirectorySystem } from "./directory-system.ts";
import { type LayerStep, stackLayers } from "./layers.ts";
import { materialize } from "./materialize.ts";
import { Model } from "./model.ts";
import { type KernelOptions, type KernelOverlay, mountLayers } from "./kernel-overlay.ts";
import type { Inode } from "./model-tree.ts";
import type { Op, Outcome, Snapshot, System } from "./operations.ts";
import type { Place, Scratch } from "./scratch.ts";

/** A lower, and what is then done to it: all that makes a run what it is. */
export interface Sequence {
  readonly layers: readonly (readonly LayerStep[])[];
  readonly operations: readonly Op[];
}

export interface SequenceOptions {
  /** How the kernel's overlay is mounted; undefined: it does not take part. */
  readonly kernel?: KernelOptions | undefined;
}

/** Two systems that gave different answers. */
class Disagreement extends Error {}

/** Does the same to all systems. @throws {Disagreement} at the first difference that differences.ts does not list */
export async function runSequence(scratch: Scratch, sequence: Sequence, options: SequenceOptions): Promise<void> {
  const { layers, merged } = stackLayers(sequence.layers);
  using place = scratch.place();
  const plainPath = place.directory("plain");
  materialize(merged, plainPath);
  await using container = await Container.make(scratch.context, place.name, plainPath);
  await using mounted =
    options.kernel === undefined ? undefined : await mountLayers(place, layers, merged, options.kernel);
  const model = new Model(merged, { uid: process.geteuid!(), gid: process.getegid!() });
  {
    using plain = await DirectorySystem.open("plain directory", plainPath);
    await using view = await container.open();
    const systems: Systems = { model, kernel: mounted?.system, others: [plain, view] };
    await compareSnapshots(systems);
    for (const [i, op] of sequence.operations.entries()) await applyToAll(i, op, systems);
    await compareSnapshots(systems);
  }
  await compareResults(model, container, place, mounted, options);
}

interface Systems {
  readonly model: Model;
  readonly kernel: System | undefined;
  readonly others: readonly System[];
}

/** What is left when all is closed. */
async function compareResults(
  model: Model,
  container: Container,
  place: Place,
  mounted: KernelOverlay | undefined,
  { kernel }: SequenceOptions,
): Promise<void> {
  const expected = model.snapshot();
  {
    await using again = await container.open();
    assertSame("delta0, opened again,", expected, await again.snapshot());
  }
  assertSame("delta0's tree", expected, await container.frozen());
  if (mounted === undefined) return;
  mounted.unmount();
  const delta = `${place.path}/delta`;
  await container.writeDelta(delta);
  const isListed = (path: string, field: string): boolean => field === "nlink" && isListedField(model, path, field);
  assertSame("the kernel over delta0's delta", expected, mounted.snapshotOver(delta), isListed);
  // With an index the kernel keeps hard links where no delta shows them.
  if (kernel?.includes("index=on")) return;
  assertSame("delta0 with the kernel's upper", expected, await container.captured(mounted.upper));
}

async function applyToAll(index: number, op: Op, { model, kernel, others }: Systems): Promise<void> {
  const unfit = kernel === undefined ? NOT_COMPARED : [...NOT_COMPARED, ...NOT_FOR_THE_KERNEL];
  if (unfit.some(({ when }) => when(op, model))) return;
  const outcomes = new Map<System, Outcome>();
  const inode = kernel && inodeOf(op, model);
  if (kernel !== undefined) {
    const outcome = await kernel.apply(op);
    if (KERNEL_REFUSALS.some(({ when }) => when(op, outcome, model))) return;
    outcomes.set(kernel, outcome);
  }
  const expected = model.apply(op);
  for (const other of others) outcomes.set(other, await other.apply(op));
  for (const [system, outcome] of outcomes) {
    if (outcome === expected) continue;
    if (system === kernel && inode && withoutListed(outcome, inode) === withoutListed(expected, inode)) continue;
    const call = `call ${index}, ${JSON.stringify(op)}`;
    throw new Disagreement(`${call}:\n  model: ${expected}\n  ${system.name}: ${outcome}`);
  }
}

/** Of what a call of stat tells. */
function inodeOf(op: Op, model: Model): Inode | undefined {
  if (op.op === "fstat") return model.opened(op.slot);
  return op.op === "stat" ? model.find(op.path, op.follow) : undefined;
}

function withoutListed(outcome: Outcome, inode: Inode): string {
  const listed = (word: string): boolean => KERNEL_FIELDS.some(({ when }) => when(word.split("=")[0] ?? "", inode));
  return outcome
    .split(" ")
    .filter((word) => !listed(word))
    .join(" ");
}

async function compareSnapshots({ model, kernel, others }: Systems): Promise<void> {
  const expected = model.snapshot();
  for (const other of others) assertSame(other.name, expected, await other.snapshot());
  if (kernel === undefined) return;
  assertSame(kernel.name, expected, await kernel.snapshot(), (path, field) => isListedField(model, path, field));
}

function isListedField(model: Model, path: string, field: string): boolean {
  const inode = model.find(`/${path}`, false);
  return inode !== undefined && KERNEL_FIELDS.some(({ when }) => when(field, inode));
}

/** @throws {Disagreement} with each field that differs */
function assertSame(
  name: string,
  expected: Snapshot,
  actual: Snapshot,
  isListed: (path: string, field: string) => boolean = () => false,
): void {
  if (isDeepStrictEqual(expected, actual)) return;
  const differences: string[] = [];
  for (const path of new Set([...expected.keys(), ...actual.keys()])) {
    const [a, b] = [expected.get(path), actual.get(path)];
    if (a === undefined || b === undefined) {
      differences.push(`${JSON.stringify(path)}: ${a === undefined ? "not in the model" : "in the model alone"}`);
      continue;
    }
    for (const field of new Set([...Object.keys(a), ...Object.keys(b)]))
      if (a[field] !== b[field] && !isListed(path, field))
        differences.push(
          `${JSON.stringify(path)}: ${field} is ${String(a[field])} in the model, ${String(b[field])} here`,
        );
  }
  if (differences.length > 0) throw new Disagreement(`${name} shows:\n  ${differences.join("\n  ")}`);
}
