const said = new Set<string>();

/** A warning of this process (`process.on('warning')`), unless it has been given before. */
export function warnOnce(text: string): void {
  if (said.has(text)) return;
  said.add(text);
  process.emitWarning(text);
}
