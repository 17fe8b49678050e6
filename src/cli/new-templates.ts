/** What `hdvkit new` writes. One file of text: the templates are read side by side. */

/** Where the new folder gets hdvkit from. */
export interface TemplateOptions {
  /** The version range or `file:` path for package.json. */
  readonly dependency: string;
}

/** Path → text of every file of a new device. */
export function deviceTemplate(
  name: string,
  { dependency }: TemplateOptions,
): Readonly<Record<string, string>> {
  const className = name
    .split('-')
    .map((word) => word.charAt(0).toUpperCase() + word.slice(1))
    .join('');
  const mapName = name.toUpperCase().replaceAll('-', '_');
  return {
    [`${name}.ts`]: device(className, mapName),
    [`${name}.test.ts`]: deviceTest(name, className, mapName),
    'README.md': readme(name, className),
    'package.json': manifest(name, dependency),
    'tsconfig.json': TSCONFIG,
  };
}

const device = (className: string, mapName: string): string => `\
import { mmio, msix, PciDevice, registerMap, u32 } from 'hdvkit';

/** Registers of BAR 0. */
export const ${mapName} = registerMap({
  /** Says who answers. */
  ID: u32(0x00, { access: 'ro', reset: 0x6864_766b }),
  /** Each write is added to TOTAL, and raises vector 0. */
  ADD: u32(0x04, { access: 'wo' }),
  TOTAL: u32(0x08, { access: 'ro' }),
});

/** Adds up what the driver writes. */
export class ${className} extends PciDevice {
  override readonly identity = { vendorId: 0x1234, deviceId: 0x0d01, classCode: 0xff0000 };
  override readonly interrupts = msix(1);

  readonly regs = ${mapName}.bind({
    ADD: { write: (value) => this.#add(value) },
  });
  override readonly bars = { 0: mmio(0x1000, { 0: this.regs }) };

  #add(value: number): void {
    this.regs.TOTAL += value;
    this.interrupts.raise(0);
  }
}
`;

const deviceTest = (name: string, className: string, mapName: string): string => `\
import assert from 'node:assert/strict';
import test from 'node:test';
import { fuzz, plug } from 'hdvkit/testing';
import { ${className}, ${mapName} } from './${name}.ts';

const { ID, ADD, TOTAL } = ${mapName}.offsets;

test('says who answers', () => {
  const guest = plug(new ${className}());
  assert.equal(guest.bar(0).read32(ID), 0x6864_766b);
});

test('adds up what the driver writes, and says so by an interrupt', () => {
  const guest = plug(new ${className}());
  guest.bar(0).write32(ADD, 40);
  guest.bar(0).write32(ADD, 2);
  assert.equal(guest.bar(0).read32(TOTAL), 42);
  assert.deepEqual(guest.takeInterrupts(), [0, 0]);
});

test('no access of a guest makes it fail', async () => {
  await fuzz(() => new ${className}(), { seed: 1, accesses: 10_000 });
});
`;

const readme = (name: string, className: string): string => `\
# ${name}

\`${className}\` in \`${name}.ts\` is a PCI device; \`${name}.test.ts\` is what a driver does with it.

\`\`\`sh
npm test                              # in a simulated machine
npx hdvkit show ${name}.ts            # config space, BARs, registers
npx hdvkit run ${name}.ts --host simulated
npx hdvkit run ${name}.ts --host linux --trace   # in a Linux guest under QEMU
\`\`\`

In the guest, \`cat /sys/bus/pci/devices/*/vendor\` shows it as 0x1234.
`;

const manifest = (name: string, dependency: string): string =>
  `${JSON.stringify(
    {
      name,
      version: '0.0.0',
      private: true,
      type: 'module',
      scripts: { test: `node --import tsx --test ${name}.test.ts` },
      dependencies: { hdvkit: dependency, tsx: '^4.20.0' },
    },
    null,
    2,
  )}\n`;

const TSCONFIG = `${JSON.stringify(
  {
    compilerOptions: {
      target: 'es2022',
      lib: ['es2023', 'esnext.disposable'],
      module: 'nodenext',
      strict: true,
      noUncheckedIndexedAccess: true,
      erasableSyntaxOnly: true,
      verbatimModuleSyntax: true,
      allowImportingTsExtensions: true,
      noEmit: true,
      skipLibCheck: true,
    },
  },
  null,
  2,
)}\n`;
