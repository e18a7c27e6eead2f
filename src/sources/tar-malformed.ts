/**
 * What a part of the tar reader found wrong, as the predicate of a sentence: "has no name". The reader, which knows the
 * archive and the entry, makes a StoreError of it.
 */
export class MalformedTar extends Error {
  override readonly name = "MalformedTar";
}
