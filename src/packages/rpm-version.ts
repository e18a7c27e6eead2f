/**
 * Digits as numbers and letters as text, each above what is missing, digits above letters; what is neither only sets them apart.
 * "~" comes before all, even the end, and "^" after the end alone. Source: rpm, rpmio/rpmvercmp.c
 */
export function compareRpmText(a: string, b: string): number {
  const [one, other] = [a.match(SEGMENTS) ?? [], b.match(SEGMENTS) ?? []];
  for (let i = 0; i < one.length || i < other.length; i++) {
    const [x, y] = [one[i], other[i]];
    const order = rankOf(x) - rankOf(y);
    if (order !== 0) return order;
    if (x === undefined || y === undefined) continue;
    const difference = compareSegments(x, y);
    if (difference !== 0) return difference;
  }
  return 0;
}

const SEGMENTS = /[0-9]+|[A-Za-z]+|~|\^/g;

function rankOf(segment: string | undefined): number {
  if (segment === undefined) return 1;
  if (segment === "~") return 0;
  if (segment === "^") return 2;
  return /^[0-9]/.test(segment) ? 4 : 3;
}

/** Two of one kind. */
function compareSegments(a: string, b: string): number {
  const isNumber = /^[0-9]/.test(a);
  const [x, y] = isNumber ? [a.replace(/^0+/, ""), b.replace(/^0+/, "")] : [a, b];
  return (isNumber ? x.length - y.length : 0) || (x < y ? -1 : x > y ? 1 : 0);
}
