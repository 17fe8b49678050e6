import type { InspectOption } from './inspector.ts';

/** What `hdvkit run` was given. */
export interface RunOptions {
  readonly host?: string;
  readonly export?: string;
  readonly configuration: readonly string[];
  readonly command?: string;
  readonly trace?: boolean;
  readonly watch?: boolean;
  readonly inspect?: InspectOption;
  readonly memory?: number;
  readonly processors?: number;
  readonly kernel?: string;
  readonly initrd?: string;
  readonly append?: string;
  readonly disk?: readonly string[];
  readonly share?: string;
  readonly module?: readonly string[];
  readonly qemu?: string;
  readonly document?: string;
}
