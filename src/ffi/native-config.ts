import koffiModule from 'koffi';

// Over this many foreign threads waiting in callbacks, or asynchronous calls under way, end the process; koffi takes
// the setting only before this thread loads its first library.
koffiModule.config({ max_async_calls: 4096 });

/** koffi, set up before anything is loaded: modules of this folder import it from here. */
export const koffi: typeof koffiModule = koffiModule;
