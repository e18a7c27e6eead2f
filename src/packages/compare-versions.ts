import type { Manager } from "./database.ts";
import { compareRpmText } from "./rpm-version.ts";

/** Which of two versions is the later one, as the manager has it: below 0 if the first is earlier. */
export function compareVersions(manager: Manager, a: string, b: string): number {
  const [one, other] = [partsOf(manager, a), partsOf(manager, b)];
  const compareText = manager === "rpm" ? compareRpmText : compareDebianText;
  return (
    compareNumbers(one.epoch, other.epoch) ||
    compareText(one.version, other.version) ||
    compareText(one.revision, other.revision)
  );
}

interface Parts {
  /** Digits. */
  readonly epoch: string;
  readonly version: string;
  readonly revision: string;
}

/** "2:1.4-3ubuntu1": the revision is what follows the last hyphen. Of several versions it is the latest, which is the last. */
function partsOf(manager: Manager, text: string): Parts {
  const [, epoch = "0", rest = ""] = /^(?:([0-9]+):)?(.*)$/s.exec(text.slice(text.lastIndexOf(" ") + 1)) ?? [];
  const hyphen = rest.lastIndexOf("-");
  const [version, revision] = hyphen < 0 ? [rest, "0"] : [rest.slice(0, hyphen), rest.slice(hyphen + 1)];
  // What apk has before a release, others write with a tilde.
  return { epoch, version: manager === "apk" ? version.replace(/_(?=alpha|beta|pre|rc)/g, "~") : version, revision };
}

/**
 * Digits as numbers, the rest by letters before all else, "~" before the end. Source: deb-version(7). apk's own
 * way differs in suffixes: in what they leave undecided, that is.
 */
function compareDebianText(a: string, b: string): number {
  let [i, j] = [0, 0];
  while (i < a.length || j < b.length) {
    while ((i < a.length && !isDigit(a[i])) || (j < b.length && !isDigit(b[j]))) {
      const order = orderOf(a[i]) - orderOf(b[j]);
      if (order !== 0) return order;
      i++;
      j++;
    }
    const [x, y] = [digitsAt(a, i), digitsAt(b, j)];
    const order = compareNumbers(x, y);
    if (order !== 0) return order;
    i += x.length;
    j += y.length;
  }
  return 0;
}

function orderOf(char: string | undefined): number {
  if (char === undefined || isDigit(char)) return 0;
  if (char === "~") return -1;
  return /[A-Za-z]/.test(char) ? char.charCodeAt(0) : char.charCodeAt(0) + 256;
}

function isDigit(char: string | undefined): boolean {
  return char !== undefined && char >= "0" && char <= "9";
}

function digitsAt(text: string, start: number): string {
  let end = start;
  while (isDigit(text[end])) end++;
  return text.slice(start, end);
}

/** Digits of any number: they may be more than a number holds. */
function compareNumbers(a: string, b: string): number {
  const [x, y] = [a.replace(/^0+/, ""), b.replace(/^0+/, "")];
  return x.length - y.length || (x < y ? -1 : x > y ? 1 : 0);
}
