/** How a VMM is told of a device that is served. */
export interface QemuArgumentsOptions {
  readonly socketPath: string;
  /** Lift the protocol's time limit, for breakpoints. */
  readonly unlimited: boolean;
  readonly memoryInMB?: number;
}

/** Longest time-out that QEMU takes, in ms. */
const NO_TIMEOUT = 2_147_483_647;

/**
 * The arguments that make QEMU connect to a device on a socket: guest RAM that can be shared (else DMA goes by
 * messages), and the device, whose options have to be JSON as the socket is an object.
 */
export function qemuArguments({
  socketPath,
  unlimited,
  memoryInMB = 512,
}: QemuArgumentsOptions): string[] {
  const device = {
    driver: 'vfio-user-pci',
    socket: { type: 'unix', path: socketPath },
    ...(unlimited ? { 'x-msg-timeout': NO_TIMEOUT } : {}),
  };
  return [
    '-machine',
    'q35,memory-backend=ram0',
    '-object',
    `memory-backend-memfd,id=ram0,size=${memoryInMB}M,share=on`,
    '-m',
    String(memoryInMB),
    '-device',
    JSON.stringify(device),
  ];
}
