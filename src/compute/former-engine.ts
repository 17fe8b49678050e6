import type { Engine } from './engine.ts';

/**
 * In the place of an engine that the service before had and this one has not: tells how machines have ended that were no more
 * than its process, and runs none.
 */
export function formerEngine(name: string): Engine {
  return {
    name,
    check() {},
    create: () => Promise.reject(new Error(`there is no engine ${name} here`)),
  };
}
