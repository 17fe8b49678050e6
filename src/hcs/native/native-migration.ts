import type { HCS_OPERATION, HCS_SYSTEM } from '../core/handles.ts';
import type { MigrationFunctions } from '../core/migration-functions.ts';
import type { NativeSystems } from './native-systems.ts';

/** The functions for live migration. */
export class NativeMigration implements MigrationFunctions {
  readonly #systems: NativeSystems;

  constructor(systems: NativeSystems) {
    this.#systems = systems;
  }

  HcsInitializeLiveMigrationOnSource(
    computeSystem: HCS_SYSTEM,
    operation: HCS_OPERATION,
    options: string | null,
  ): void {
    this.#systems.call('HcsInitializeLiveMigrationOnSource', computeSystem, operation, options);
  }

  HcsStartLiveMigrationOnSource(
    computeSystem: HCS_SYSTEM,
    operation: HCS_OPERATION,
    options: string | null,
  ): void {
    this.#systems.call('HcsStartLiveMigrationOnSource', computeSystem, operation, options);
  }

  HcsStartLiveMigrationTransfer(
    computeSystem: HCS_SYSTEM,
    operation: HCS_OPERATION,
    options: string | null,
  ): void {
    this.#systems.call('HcsStartLiveMigrationTransfer', computeSystem, operation, options);
  }

  HcsFinalizeLiveMigration(
    computeSystem: HCS_SYSTEM,
    operation: HCS_OPERATION,
    options: string | null,
  ): void {
    this.#systems.call('HcsFinalizeLiveMigration', computeSystem, operation, options);
  }

  HcsCancelLiveMigration(
    computeSystem: HCS_SYSTEM,
    operation: HCS_OPERATION,
    options: string | null,
  ): void {
    this.#systems.call('HcsCancelLiveMigration', computeSystem, operation, options);
  }
}
