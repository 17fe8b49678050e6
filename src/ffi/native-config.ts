import koffiModule from 'koffi';

/**
 * Over this many foreign threads waiting in callbacks, or asynchronous calls under way, end the process: 4096 is the
 * most that koffi allows, 256 its default.
 */
const MAX_ASYNC_CALLS = 4096;

try {
  koffiModule.config({ max_async_calls: MAX_ASYNC_CALLS });
} catch {
  // Code outside this package loaded a library on this thread before: koffi then keeps its settings.
}

/** koffi, set up before anything is loaded: modules of this folder import it from here. */
export const koffi: typeof koffiModule = koffiModule;
