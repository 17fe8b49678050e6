import type { ComputeSystem } from '../hcs/schema/documents.ts';
import { invalidDocument, parseDocument } from '../hcs/schema/validate.ts';
import type { Engine } from './engine.ts';
import { failure, failureFrom } from './failure.ts';
import { type FlexibleIovEntry, flexibleIovEntries } from './flexible-iov.ts';
import { NEWEST_SCHEMA } from './service-properties.ts';
import { SYSTEM_KINDS, type SystemKind } from './system-kind.ts';

/** A ComputeSystem document that has been checked against the schema. */
export interface CreateDocument {
  readonly document: ComputeSystem;
  readonly kind: SystemKind;
  readonly entries: readonly FlexibleIovEntry[];
}

/** A create document that can be built: checked, with the engine for it. */
export interface CheckedDocument extends CreateDocument {
  readonly engine: Engine;
}

/**
 * Reads a ComputeSystem document.
 * @throws HcsError HCS_E_INVALID_JSON; E_NOTIMPL when no engine runs such systems; what the engine's check throws
 */
export function readCreateDocument(
  name: string,
  configuration: string,
  engines: readonly Engine[],
): CheckedDocument {
  return checkCreateDocument(name, parseCreateDocument(name, configuration), engines);
}

/** Reads a ComputeSystem document, whatever engines there may be. @throws HcsError HCS_E_INVALID_JSON */
export function parseCreateDocument(name: string, configuration: string): CreateDocument {
  const document = parseDocument<ComputeSystem>('ComputeSystem', configuration, name);
  checkVersion(name, document);
  const present = SYSTEM_KINDS.filter((kind) => document[kind] !== undefined);
  const [kind] = present;
  if (present.length !== 1 || kind === undefined) {
    throw invalidDocument(name, 'ComputeSystem', [
      {
        path: '$',
        message: `has ${present.length === 0 ? 'none' : present.join(' and ')} of ${SYSTEM_KINDS.join(', ')}: it must have exactly one`,
      },
    ]);
  }
  const entries = flexibleIovEntries(name, document.VirtualMachine?.Devices?.FlexibleIov);
  return { document, kind, entries };
}

/**
 * Finds the engine of a document.
 * @throws HcsError E_NOTIMPL when no engine runs such systems; what the engine's check throws
 */
export function checkCreateDocument(
  name: string,
  parsed: CreateDocument,
  engines: readonly Engine[],
): CheckedDocument {
  const { document, kind } = parsed;
  const engine = engines.find((candidate) => (candidate.runs ?? 'VirtualMachine') === kind);
  if (engine === undefined) {
    throw failure(name, 'E_NOTIMPL', `$.${kind} cannot be run: this host has no engine for it`);
  }
  try {
    engine.check(document as Readonly<Record<string, unknown>>);
  } catch (error) {
    throw failureFrom(name, error);
  }
  return { ...parsed, engine };
}

function checkVersion(name: string, { SchemaVersion }: ComputeSystem): void {
  if (SchemaVersion === undefined) return;
  const { Major = 0, Minor = 0 } = SchemaVersion;
  if (Major === NEWEST_SCHEMA.Major && Minor <= NEWEST_SCHEMA.Minor) return;
  throw invalidDocument(name, 'ComputeSystem', [
    {
      path: '$.SchemaVersion',
      message: `is ${Major}.${Minor}: this host understands 2.0 to ${NEWEST_SCHEMA.Major}.${NEWEST_SCHEMA.Minor}`,
    },
  ]);
}
