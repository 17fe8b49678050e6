import koffi from 'koffi';

/** What this thread's event loop waits for, for code that blocks the thread in its stead. */
export interface EventLoopNeeds {
  /** Readable when the loop has something to do: input on a handle, a message on a port. */
  readonly fd: number;
  /** Milliseconds until the loop's next timer; 0: it has work now; -1: none. As of the loop's last turn. */
  timeout(): number;
}

/** `koffi.node.env` is this thread's napi_env; the typings give it a type of its own. */
const environment = koffi.node.env as unknown as bigint;

/**
 * Finds the libuv loop of this thread. Call it before the thread may be ended, as it makes native functions.
 * @returns undefined in a Node whose functions cannot be called by name
 */
export function eventLoopNeeds(): EventLoopNeeds | undefined {
  try {
    const program = koffi.load(null);
    const getLoop = program.func('napi_get_uv_event_loop', 'int', ['void *', '_Out_ uintptr_t *']);
    const backendFd = program.func('uv_backend_fd', 'int', ['uintptr_t']);
    const backendTimeout = program.func('uv_backend_timeout', 'int', ['uintptr_t']);
    const loop: [number] = [0];
    if (getLoop(environment, loop) !== 0) return undefined;
    const [address] = loop;
    const fd: number = backendFd(address);
    return fd < 0 ? undefined : { fd, timeout: () => backendTimeout(address) as number };
  } catch {
    return undefined;
  }
}
