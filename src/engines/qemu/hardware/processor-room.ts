import type { PlannedNuma } from './numa.ts';

/**
 * Virtual processors that a machine may have later on, if it was not created with more. The tables that firmware and guests
 * read have places for them, and disks have a queue for each, so it is the same for the machine that is saved and the one that
 * goes on with what came to it.
 */
const PROCESSOR_ROOM = 8;

/** Virtual processors that a machine can have at most. All that there may be have to be in a node, and in a socket. */
export function mostProcessors({ nodes, sockets }: PlannedNuma, processors: number): number {
  const isFixed = nodes.length > 0 || sockets !== undefined;
  return isFixed ? processors : Math.max(processors, PROCESSOR_ROOM);
}
