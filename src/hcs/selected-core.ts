import type { ComputeCore } from './compute-core.ts';

let provide: (() => ComputeCore) | undefined;

/**
 * Says where the functions of this package that bear Microsoft's names find their host. Host selection calls it once;
 * the provider is asked on each call, so that a later selection takes effect.
 */
export function provideComputeCore(provider: () => ComputeCore): void {
  provide = provider;
}

/** The compute core of the selected host. @throws Error when nothing has provided one */
export function selectedComputeCore(): ComputeCore {
  if (provide === undefined) {
    throw new Error(
      "Cannot find a compute core as no host is selected: import 'hdvkit' or 'hdvkit/hcs', or pass { core }",
    );
  }
  return provide();
}
