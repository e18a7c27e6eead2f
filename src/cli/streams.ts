/** Made when it is first written to: that takes 2 ms. */
export function stdout(): NodeJS.WriteStream {
  return listenedTo(process.stdout);
}

/** Commands that have nothing to say beside their result do without. */
export function stderr(): NodeJS.WriteStream {
  return listenedTo(process.stderr);
}

const known = new WeakSet<NodeJS.WriteStream>();

/** Without a listener a broken pipe would end the process by an exception. Writes report it by themselves. */
function listenedTo(stream: NodeJS.WriteStream): NodeJS.WriteStream {
  if (!known.has(stream)) stream.on("error", () => undefined);
  known.add(stream);
  return stream;
}
