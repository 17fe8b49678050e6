import { koffi } from './native-config.ts';

/** What this thread's event loop waits for, for code that blocks the thread in its stead. */
export interface EventLoopNeeds {
  /**
   * Readable when the loop has something to do: input on a handle, a message on a port. Undefined on Windows, whose
   * loops wait for a completion port: nothing else may.
   */
  readonly fd: number | undefined;
  /**
   * Longest time, in milliseconds, that the thread may stay away from the loop; 0: there is work now; -1: as long as
   * it likes. As of the loop's last turn.
   */
  timeout(): number;
}

/** Longest absence where what the loop waits for cannot be seen: what a device waits for must not starve. */
export const BLIND_WAIT_MS = 2;

/** `koffi.node.env` is this thread's napi_env; the typings give it a type of its own. */
const environment = koffi.node.env as unknown as bigint;

/**
 * Finds the libuv loop of this thread. Call it before the thread may be ended, as it makes native functions, and when
 * everything is open that the thread always has.
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
    if (fd >= 0) return { fd, timeout: () => backendTimeout(address) as number };
    const usual = openPorts(process.getActiveResourcesInfo());
    return {
      fd: undefined,
      timeout() {
        const timeout = backendTimeout(address) as number;
        if (timeout >= 0 && timeout <= BLIND_WAIT_MS) return timeout;
        return waitsForMore(process.getActiveResourcesInfo(), usual) ? BLIND_WAIT_MS : timeout;
      },
    };
  } catch {
    return undefined;
  }
}

/** Resources that the loop's own timeout speaks for. */
const TIMED = new Set(['Timeout', 'Immediate', 'CloseReq']);

const PORT = 'MessagePort';

function openPorts(resources: readonly string[]): number {
  return resources.filter((resource) => resource === PORT).length;
}

/** Does the loop wait for anything but timers, and the ports that were there from the start? */
function waitsForMore(resources: readonly string[], usualPorts: number): boolean {
  if (openPorts(resources) > usualPorts) return true;
  return resources.some((resource) => resource !== PORT && !TIMED.has(resource));
}
