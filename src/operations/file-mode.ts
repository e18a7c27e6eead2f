import { StoreError } from "../errors.ts";

/** What a mode is changed in. */
export interface ModeOf {
  /** Of permissions alone, `[0 … 0o7777]`. */
  readonly mode: number;
  readonly isDirectory: boolean;
  /** Counts where a change says not whose bits it is about: "+w". */
  readonly umask: number;
}

/** A change of permissions. */
export type ModeChange = (of: ModeOf) => number;

/**
 * A mode as chmod(1) takes it: octal ("755", "00755", "=644") or symbolic ("u+x,g=rX", "a+t", "g=u"). Directories keep their
 * set-id bits unless these are named, as GNU's do.
 *
 * Source: gnulib, modechange.c.
 *
 * @throws {StoreError} USAGE
 */
export function parseMode(text: string): ModeChange {
  const clauses = /^[0-7]+$/.test(text) ? [octalClause(text)] : symbolicClauses(text);
  return ({ mode, isDirectory, umask }) =>
    clauses.reduce((now, clause) => changed(now, clause, isDirectory, umask), mode);
}

interface Clause {
  readonly operator: string;
  /** The bits that it is about; 0 where it does not say. */
  readonly affected: number;
  readonly value: number;
  /** The bits that it names: of directories no other set-id bits change. */
  readonly mentioned: number;
  /** The bits of one class that are taken for all. */
  readonly copied?: boolean;
  /** Execution for what is a directory, or can be executed by somebody. */
  readonly conditional?: boolean;
}

function changed(mode: number, clause: Clause, isDirectory: boolean, umask: number): number {
  const { operator, affected, mentioned, copied = false, conditional = false } = clause;
  const kept = isDirectory ? SET_IDS & ~mentioned : 0;
  let { value } = clause;
  if (copied) value = spread(value & mode);
  if (conditional && (isDirectory || (mode & EXECUTE) !== 0)) value |= EXECUTE;
  value &= (affected === 0 ? ~umask : affected) & ~kept & ALL;
  if (operator === "+") return mode | value;
  if (operator === "-") return mode & ~value;
  return (mode & ((affected === 0 ? 0 : ~affected & ALL) | kept)) | value;
}

function octalClause(digits: string): Clause {
  const value = octal(digits);
  // With more than four digits all bits are meant.
  const mentioned = digits.length < 5 ? (value & SET_IDS) | (ALL & ~SET_IDS) : ALL;
  return { operator: "=", affected: ALL, value, mentioned };
}

function symbolicClauses(text: string): Clause[] {
  return text.split(",").flatMap((part) => {
    const [, who = "", actions = ""] = /^([ugoa]*)((?:[-+=](?:[rwxXst]*|[ugo]|[0-7]+))+)$/.exec(part) ?? [];
    if (actions === "") throw invalid(text);
    const affected = bitsOf(who, CLASSES);
    return (actions.match(/[-+=][^-+=]*/g) ?? []).map((action, i, { length }) => {
      const [operator = "", what] = [action[0], action.slice(1)];
      if (/[0-7]/.test(what)) {
        if (who !== "" || i < length - 1) throw invalid(text);
        return { operator, affected: ALL, value: octal(what), mentioned: ALL };
      }
      if (/[ugo]/.test(what)) {
        const value = bitsOf(what, COPIED);
        return { operator, affected, value, mentioned: affected === 0 ? value : affected & value, copied: true };
      }
      const value = bitsOf(what, LETTERS);
      const mentioned = affected === 0 ? value : affected & value;
      return { operator, affected, value, mentioned, conditional: what.includes("X") };
    });
  });
}

function octal(digits: string): number {
  const value = Number.parseInt(digits, 8);
  if (value <= ALL) return value;
  throw invalid(digits);
}

function bitsOf(letters: string, table: Readonly<Record<string, number>>): number {
  return Array.from(letters).reduce((bits, letter) => bits | (table[letter] ?? 0), 0);
}

/** Bits of some class, for all three. */
function spread(bits: number): number {
  return [0o444, 0o222, 0o111].reduce((all, mask) => ((bits & mask) === 0 ? all : all | mask), bits);
}

const ALL = 0o7777;
const SET_IDS = 0o6000;
const EXECUTE = 0o111;
const CLASSES: Readonly<Record<string, number>> = { u: 0o4700, g: 0o2070, o: 0o1007, a: ALL };
const COPIED: Readonly<Record<string, number>> = { u: 0o700, g: 0o070, o: 0o007 };
const LETTERS: Readonly<Record<string, number>> = { r: 0o444, w: 0o222, x: 0o111, s: SET_IDS, t: 0o1000 };

function invalid(text: string): StoreError {
  return new StoreError("USAGE", {
    reason: `"${text}" is no mode`,
    hint: "write it as chmod takes it: 644, u+x, go-w",
  });
}
