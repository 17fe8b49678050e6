import type { HCS_OPERATION, HCS_SYSTEM } from './handles.ts';

/**
 * The functions of computecore.dll for live migration of virtual machines.
 */
export interface MigrationFunctions {
  /**
   * Prepares a running system to leave for another host; until it is finalized, only migration calls are accepted.
   * Completes through `operation`, type HcsOperationTypeLiveMigration. Since: first build not documented; in the
   * current SDK header.
   * @param options MigrationInitializeOptions, or null
   * @throws HcsError HCS_E_INVALID_STATE
   */
  HcsInitializeLiveMigrationOnSource(
    computeSystem: HCS_SYSTEM,
    operation: HCS_OPERATION,
    options: string | null,
  ): void;

  /**
   * Starts the migration over the socket that the operation carries as a resource.
   * Completes through `operation`, type HcsOperationTypeLiveMigration. Since: first build not documented; in the
   * current SDK header.
   * @param options MigrationStartOptions
   */
  HcsStartLiveMigrationOnSource(
    computeSystem: HCS_SYSTEM,
    operation: HCS_OPERATION,
    options: string | null,
  ): void;

  /**
   * Transfers the memory; called on both sides, it completes when all has been transferred.
   * Completes through `operation`, type HcsOperationTypeLiveMigration. Since: first build not documented; in the
   * current SDK header.
   * @param options MigrationTransferOptions
   */
  HcsStartLiveMigrationTransfer(
    computeSystem: HCS_SYSTEM,
    operation: HCS_OPERATION,
    options: string | null,
  ): void;

  /**
   * Ends the migration on one side: Resume leaves the system for HcsResumeComputeSystem, Stop ends it.
   * Completes through `operation`, type HcsOperationTypeLiveMigration. Since: first build not documented; in the
   * current SDK header.
   * @param options MigrationFinalizedOptions
   */
  HcsFinalizeLiveMigration(
    computeSystem: HCS_SYSTEM,
    operation: HCS_OPERATION,
    options: string | null,
  ): void;

  /**
   * Cancels a transfer that is pending. Exported by the newest builds only.
   * Completes through `operation`. Since: newest builds only; not in the public header.
   * @param options MigrationCancelOptions
   */
  HcsCancelLiveMigration(
    computeSystem: HCS_SYSTEM,
    operation: HCS_OPERATION,
    options: string | null,
  ): void;
}
