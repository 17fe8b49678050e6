import { INFINITE } from '../../src/hcs/core/constants.ts';
import type { HCS_OPERATION, HCS_SYSTEM } from '../../src/hcs/core/handles.ts';
import {
  createNativeComputeCore,
  type NativeComputeCore,
} from '../../src/hcs/native/native-compute-core.ts';
import { openStandIns, type StandIns } from './stand-ins.ts';

/** A document whose machine has an agent in its guest. */
export const DOCUMENT = JSON.stringify({
  Owner: 'Test',
  VirtualMachine: { ComputeTopology: { Memory: { SizeInMB: 64 } }, GuestConnection: {} },
});

/** computecore.dll bound to its stand-in, with the few calls that most tests make. */
export class ComputeRig {
  readonly standIns: StandIns = openStandIns();
  readonly core: NativeComputeCore = createNativeComputeCore({
    path: this.standIns.libraries.computecore,
    system: this.standIns.libraries.system,
  });

  /** Makes a call on an operation of its own and waits for it. */
  async run(start: (operation: HCS_OPERATION) => void): Promise<string | null> {
    const operation = this.core.HcsCreateOperation(null, null);
    try {
      start(operation);
      return await this.core.HcsWaitForOperationResult(operation, INFINITE);
    } finally {
      this.core.HcsCloseOperation(operation);
    }
  }

  async create(id: string, document = DOCUMENT): Promise<HCS_SYSTEM> {
    let system = 0n as HCS_SYSTEM;
    await this.run((operation) => {
      system = this.core.HcsCreateComputeSystem(id, document, operation, null);
    });
    return system;
  }

  async start(system: HCS_SYSTEM): Promise<void> {
    await this.run((operation) => this.core.HcsStartComputeSystem(system, operation, null));
  }

  async terminate(system: HCS_SYSTEM): Promise<void> {
    await this.run((operation) => this.core.HcsTerminateComputeSystem(system, operation, null));
  }

  /** The transcript without slices of waits that elapsed, of which there are as many as timing has it. */
  transcript(id?: string): readonly string[] {
    const lines = this.standIns.transcript(id === undefined ? {} : { id });
    return lines.filter((line) => !/^HcsWait\w+\(.*\) = 0x80370118\b/.test(line));
  }

  close(): void {
    this.standIns.clearRules();
    this.standIns.close();
  }
}

/** Turns of the event loop, until something is so; the limit is the test's own. */
export async function until(isSo: () => boolean): Promise<void> {
  while (!isSo()) await new Promise((resolve) => setTimeout(resolve, 2));
}
