import type { HdvBinding } from './hdv-binding.ts';
import type { HDV_HOST } from './vm-device-host.ts';

/** What is left of a device host that nobody disposed and nobody can reach any more. */
export interface LostHost {
  readonly binding: HdvBinding;
  readonly handle: HDV_HOST;
  readonly systemId: string;
}

/** Device hosts with devices in them: guests depend on these, whether the program still refers to them or not. */
const inUse = new Set<object>();

const lost = new FinalizationRegistry<LostHost>(({ binding, handle, systemId }) => {
  process.emitWarning(
    `A device host of ${systemId} was garbage-collected without being disposed, and is torn down now: dispose it, as in await using devices = await DeviceHost.create(system)`,
    'DeviceHostNotDisposed',
  );
  binding.vmDeviceHost.HdvTeardownDeviceHost(handle).catch((error: unknown) => {
    process.emitWarning(error instanceof Error ? error : String(error));
  });
});

/** From now on the host is torn down when it is garbage-collected. */
export function watchLifetime(host: object, rest: LostHost): void {
  lost.register(host, rest, host);
}

/** It was disposed. */
export function endLifetime(host: object): void {
  lost.unregister(host);
  inUse.delete(host);
}

/** Keeps it from being garbage-collected while it has devices. */
export function keepWhile(host: object, hasDevices: boolean): void {
  if (hasDevices) inUse.add(host);
  else inUse.delete(host);
}
