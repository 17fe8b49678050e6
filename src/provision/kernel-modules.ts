import { readFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { ProvisionError } from './provision-error.ts';
import type { GuestFiles } from './provision-guest.ts';

/** Identity of a PCI function as the kernel's module aliases spell it. */
export interface PciModuleQuery {
  readonly vendorId: number;
  readonly deviceId: number;
  readonly subsystemVendorId?: number;
  readonly subsystemId?: number;
  readonly classCode: number;
}

/** The modules of a kernel and how they depend on each other, from depmod's tables (modules.dep(5)). */
export class KernelModules {
  readonly #folder: string;
  readonly #release: string;
  /** Module name → path below the folder, and names of what it needs. */
  readonly #modules = new Map<
    string,
    { readonly path: string; readonly needs: readonly string[] }
  >();
  readonly #builtin: ReadonlySet<string>;

  constructor({ root, kernelRelease }: Pick<GuestFiles, 'root' | 'kernelRelease'>) {
    this.#folder = join(root, 'lib/modules', kernelRelease);
    this.#release = kernelRelease;
    for (const line of this.#table('modules.dep')) {
      const [path, needs = ''] = line.split(':');
      if (path === undefined) continue;
      const names = needs.split(' ').filter((need) => need !== '');
      this.#modules.set(moduleName(path), { path, needs: names.map(moduleName) });
    }
    this.#builtin = new Set(this.#table('modules.builtin').map(moduleName));
  }

  /**
   * Paths below lib/modules/RELEASE of these modules and all they need, each after what it needs. Modules that are
   * part of the kernel are left out.
   *
   * @throws ProvisionError for a name that the kernel has no module for
   */
  order(names: readonly string[]): string[] {
    const ordered = new Set<string>();
    const visit = (name: string): void => {
      if (this.#builtin.has(name)) return;
      const module = this.#modules.get(name);
      if (module === undefined) {
        throw new ProvisionError(
          `Cannot load module ${name}: kernel ${this.#release} has none of that name`,
          `look for it in ${this.#folder}`,
        );
      }
      if (ordered.has(module.path)) return;
      for (const need of module.needs) visit(need);
      ordered.add(module.path);
    };
    for (const name of names) visit(moduleName(name));
    return [...ordered];
  }

  /** Bytes of a module's file. */
  read(path: string): Buffer {
    return readFileSync(join(this.#folder, path));
  }

  /** Lines of modules.dep for these modules, for a guest's modprobe. */
  dependencyTable(paths: readonly string[]): string {
    const lines = paths.map((path) => {
      const needs = this.order([path]).filter((need) => need !== path);
      return `${path}:${needs
        .reverse()
        .map((need) => ` ${need}`)
        .join('')}\n`;
    });
    return lines.join('');
  }

  /** Names of the modules whose drivers want such a function (modules.alias(5)). */
  forPciFunction(query: PciModuleQuery): string[] {
    const hex = (value: number, digits: number): string =>
      value.toString(16).toUpperCase().padStart(digits, '0');
    const alias =
      `pci:v${hex(query.vendorId, 8)}d${hex(query.deviceId, 8)}` +
      `sv${hex(query.subsystemVendorId ?? 0, 8)}sd${hex(query.subsystemId ?? 0, 8)}` +
      `bc${hex(query.classCode >>> 16, 2)}sc${hex((query.classCode >>> 8) & 0xff, 2)}` +
      `i${hex(query.classCode & 0xff, 2)}`;
    const aliases = [alias, ...virtioAlias(query)];
    const found = this.#table('modules.alias').flatMap((line) => {
      const [, pattern = '', name = ''] = line.split(' ');
      return /^(pci|virtio):/.test(pattern) && aliases.some((text) => matches(pattern, text))
        ? name
        : [];
    });
    return [...new Set(found)];
  }

  #table(name: string): string[] {
    return readFileSync(join(this.#folder, name), 'utf8')
      .split('\n')
      .filter((line) => line !== '' && !line.startsWith('#'));
  }
}

/** A virtio function's device has an alias of its own (virtio 1.2, 4.1.2: 0x1040 and the device's type). */
function virtioAlias({ vendorId, deviceId }: PciModuleQuery): string[] {
  if (vendorId !== 0x1af4 || deviceId < 0x1040 || deviceId > 0x107f) return [];
  const type = (deviceId - 0x1040).toString(16).toUpperCase().padStart(8, '0');
  return [`virtio:d${type}v00001AF4`];
}

/** What a module file says about itself (section .modinfo: NUL-terminated `key=value`). */
export interface ModuleInfo {
  /** Release of the kernel that it was built for, the first word of vermagic. */
  readonly release: string;
  readonly needs: readonly string[];
}

/** Reads what a module file says about itself. @throws ProvisionError when it is no kernel module */
export function readModuleInfo(file: string): ModuleInfo {
  const text = readFileSync(file).toString('latin1');
  const vermagic = /\0vermagic=([^\0 ]*)/.exec(text)?.[1];
  if (vermagic === undefined || !text.startsWith('\x7fELF')) {
    throw new ProvisionError(
      `Cannot load ${file}: it is no kernel module`,
      'give the .ko file that the kernel build made',
    );
  }
  const needs = /\0depends=([^\0]*)/.exec(text)?.[1] ?? '';
  return { release: vermagic, needs: needs.split(',').filter((name) => name !== '') };
}

/** `kernel/net/9p/9pnet-virtio.ko` → `9pnet_virtio`: the kernel takes both spellings. */
function moduleName(path: string): string {
  return basename(path)
    .replace(/\.ko(\.\w+)?$/, '')
    .replaceAll('-', '_');
}

/** Shell pattern with `*` and `[...]`, as in modules.alias. */
function matches(pattern: string, text: string): boolean {
  const source = pattern.replace(/[.+?^${}()|\\]/g, '\\$&').replaceAll('*', '.*');
  return new RegExp(`^${source}$`).test(text);
}
