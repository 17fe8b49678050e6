import type { SqlValue } from './state-database.ts';

/** How a value that is JSON to others is written; undefined is NULL. */
export function toJson(value: unknown): string | null {
  return JSON.stringify(value) ?? null;
}

/** What {@link toJson} wrote. */
export function fromJson(text: SqlValue | undefined): unknown {
  return typeof text === 'string' ? JSON.parse(text) : undefined;
}
