let collator: Intl.Collator | undefined;

/** As people sort names that have numbers in them: snap2 before snap10. */
export function compareNumerically(a: string, b: string): number {
  // Made when it is first needed: that takes 5 ms, and most commands sort nothing so.
  collator ??= new Intl.Collator("en", { numeric: true });
  return collator.compare(a, b);
}
