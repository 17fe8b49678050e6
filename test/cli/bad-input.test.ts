import { chmodSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { tinyKernel } from '../guest/tiny-kernel.ts';
import * as devices from './devices.ts';
import { type CliOptions, type CliResult, Workplace } from './run-cli.ts';

/** Runs one command in a folder of its own; what it must leave there is nothing. */
async function refuse(
  args: (place: Workplace) => readonly string[],
  options: CliOptions = {},
): Promise<CliResult> {
  using place = new Workplace();
  const result = await place.run(args(place), options);
  expect(place.leftovers).toEqual([]);
  return result;
}

/** One message that starts with "hdvkit: Cannot", at most one remedy, no stack, nothing on standard output, code 2. */
function expectOneMessage({ code, stdout, stderr }: CliResult, message: RegExp): void {
  const lines = stderr.trimEnd().split('\n');
  expect(lines[0], stderr).toMatch(/^hdvkit: /);
  expect(stderr).toMatch(message);
  expect(lines.length, stderr).toBeLessThanOrEqual(2);
  if (lines.length === 2) expect(lines[1]).toMatch(/^ {2}remedy: |^\(/);
  expect(stderr).not.toMatch(/^\s+at /m);
  expect(stdout).toBe('');
  expect(code).toBe(2);
}

describe.concurrent('a device file', () => {
  test.for([
    ['that does not exist', undefined, /Cannot open device\.ts: there is no such file/],
    ['that exports no device', devices.NO_DEVICE, /it exports no device class; export one/],
    ['that exports two', devices.TWO_DEVICES, /classes Good, Second.*\n.*--export/],
    ['whose constructor throws', devices.THROWS, /Cannot construct Throws .*no luck today/],
    [
      'that ends the process',
      'process.exit(0);',
      /Cannot load device\.ts: it called process\.exit\(0\)/,
    ],
    [
      'that waits forever',
      'await new Promise(() => {});',
      /Cannot load device\.ts: an await .* never ends/,
    ],
    ['with overlapping registers', devices.OVERLAPS, /SECOND.*FIRST/],
    ['with BARs that overlap', devices.WRONG_SLOT, /Cannot .*BAR 1/],
    ['that is no TypeScript', devices.SYNTAX_ERROR, /Cannot load .*device\.ts/],
  ] as const)('%s is refused', async ([, text, message]) => {
    const result = await refuse((place) => {
      if (text !== undefined) place.write('device.ts', text);
      return ['show', 'device.ts'];
    });
    expectOneMessage(result, message);
  });

  test.for([
    ['show', devices.ENDLESS_CONSTRUCTOR, ['show', 'device.ts']],
    ['run', devices.ENDLESS_MODULE, ['run', 'device.ts', '--host', 'simulated']],
    ['serve', devices.PENDING_MODULE, ['serve', 'device.ts', '--socket', 's']],
  ] as const)('that never finishes to load ends %s', async ([, text, args]) => {
    const result = await refuse(
      (place) => {
        place.write('device.ts', text);
        return args;
      },
      { env: { HDVKIT_LOAD_LIMIT: '2.5' } },
    );
    expectOneMessage(
      result,
      /Cannot load device\.ts: it did not finish within 2\.5 s; a constructor/,
    );
  });

  test('is not loaded under a limit that is no time', async () => {
    const result = await refuse(
      (place) => {
        place.write('device.ts', devices.GOOD);
        return ['show', 'device.ts'];
      },
      { env: { HDVKIT_LOAD_LIMIT: 'soon' } },
    );
    expectOneMessage(result, /HDVKIT_LOAD_LIMIT is "soon": set it to seconds/);
  });

  test('without such an export is refused', async () => {
    const result = await refuse((place) => {
      place.write('device.ts', devices.GOOD);
      return ['show', 'device.ts', '--export', 'Best'];
    });
    expectOneMessage(result, /Cannot find the export Best .*Good/);
  });

  test('that refuses its configuration is named with its reason', async () => {
    const result = await refuse((place) => {
      place.write('device.ts', devices.TAKES_CONFIGURATION);
      return [
        'run',
        'device.ts',
        '--host',
        'simulated',
        '--command',
        'read VALUE',
        '--configuration',
        'x=1',
      ];
    });
    expect(result.stderr).toMatch(/Cannot configure Good with "x=1": it knows value=NUMBER/);
    expect(result.code).toBe(2);
  });
});

describe.concurrent('a host', () => {
  test('that HDVKIT_HOST misspells is refused with the names that there are', async () => {
    const result = await refuse(
      (place) => {
        place.write('device.ts', devices.GOOD);
        return ['run', 'device.ts'];
      },
      { env: { HDVKIT_HOST: 'linus' } },
    );
    expectOneMessage(result, /'linus' \(HDVKIT_HOST\): the hosts are simulated, linux, windows/);
  });

  test('that --host misspells is refused', async () => {
    const result = await refuse(() => ['demo', '--host', 'linus']);
    expectOneMessage(result, /'linus' is invalid. Allowed choices are simulated, linux, windows/);
  });

  test('that this version does not have is refused', async () => {
    const result = await refuse(() => ['demo', '--host', 'windows']);
    expectOneMessage(result, /Cannot use the host windows .*simulated/);
  });
});

describe.concurrent('a socket path', () => {
  test('at which another file is stays untouched', async () => {
    const result = await refuse((place) => {
      place.write('device.ts', devices.GOOD);
      place.write('taken', 'precious');
      return ['serve', 'device.ts', '--socket', 'taken'];
    });
    expectOneMessage(result, /Cannot listen on .*taken: a file of another kind is in its place/);
  });

  test('that is too long is refused with the limit', async () => {
    const result = await refuse((place) => {
      place.write('device.ts', devices.GOOD);
      return ['serve', 'device.ts', '--socket', join(place.path, 'x'.repeat(120))];
    });
    expectOneMessage(result, /a socket path has 1 to 107 bytes/);
  });

  test('at which a server listens is refused', async () => {
    using place = new Workplace();
    place.write('device.ts', devices.GOOD);
    const path = join(place.path, 's');
    const server = createServer().listen(path);
    try {
      const result = await place.run(['serve', 'device.ts', '--socket', path]);
      expectOneMessage(result, /a server is listening there/);
    } finally {
      server.close();
    }
  });
});

describe.concurrent('what a Linux guest needs', () => {
  test('a QEMU that is too old is refused with the version that is needed', async () => {
    const result = await refuse((place) => {
      place.write('device.ts', devices.GOOD);
      const qemu = place.write('qemu', '#!/bin/sh\necho "QEMU emulator version 7.2.0"\n');
      chmodSync(qemu, 0o755);
      writeFileSync(join(place.path, 'kernel'), tinyKernel());
      writeFileSync(join(place.path, 'initrd'), '');
      return [
        'run',
        'device.ts',
        '--host',
        'linux',
        '--qemu',
        qemu,
        '--kernel',
        'kernel',
        '--initrd',
        'initrd',
      ];
    });
    expectOneMessage(result, /it is QEMU 7\.2\.0 without vfio-user-pci.*10\.1\.1/);
  });

  test('a kernel that is missing is named', async () => {
    const result = await refuse((place) => {
      place.write('device.ts', devices.GOOD);
      return ['run', 'device.ts', '--host', 'linux', '--kernel', 'vmlinuz'];
    });
    expectOneMessage(result, /Cannot use vmlinuz as kernel: there is no such file/);
  });

  test('a share that is no folder is refused before anything starts', async () => {
    const result = await refuse((place) => {
      place.write('device.ts', devices.GOOD);
      return ['run', 'device.ts', '--host', 'linux', '--share', 'device.ts'];
    });
    expectOneMessage(result, /Cannot use device\.ts as share: it is not a folder/);
  });

  test('a guest that was never provisioned is refused with the command that does it', async () => {
    const result = await refuse(
      (place) => {
        place.write('device.ts', devices.GOOD);
        return ['run', 'device.ts', '--host', 'linux'];
      },
      { env: { HDVKIT_CACHE: '/nonexistent' } },
    );
    expectOneMessage(result, /hdvkit provision/);
  });
});

describe.concurrent('a document', () => {
  test('with a misspelt key is refused with its JSON path and the key that was meant', async () => {
    const result = await refuse((place) => {
      place.write('device.ts', devices.GOOD);
      place.write('vm.json', '{"VirtualMachine":{"ComputeTopolgy":{}}}');
      return ['run', 'device.ts', '--host', 'simulated', '--document', 'vm.json'];
    });
    expectOneMessage(result, /\$\.VirtualMachine\.ComputeTopolgy .*did you mean "ComputeTopology"/);
  });

  test('that is no JSON is refused', async () => {
    const result = await refuse((place) => {
      place.write('device.ts', devices.GOOD);
      place.write('vm.json', '{');
      return ['run', 'device.ts', '--host', 'simulated', '--document', 'vm.json'];
    });
    expectOneMessage(result, /Cannot use vm\.json as a document/);
  });
});

describe.concurrent('an option', () => {
  test('that asks for a host that this machine cannot have is refused', async () => {
    const result = await refuse((place) => {
      place.write('device.ts', devices.GOOD);
      return ['run', 'device.ts', '--host', 'windows', '--command', 'registers'];
    });
    expectOneMessage(result, /Cannot use the host windows on \w+: /);
  });

  test('that does not belong to the host is refused', async () => {
    const result = await refuse((place) => {
      place.write('device.ts', devices.GOOD);
      return ['run', 'device.ts', '--host', 'simulated', '--kernel', 'vmlinuz'];
    });
    expectOneMessage(result, /Cannot use --kernel on the host simulated/);
  });

  test('that is unknown, or a command that is, gets a suggestion', async () => {
    const option = await refuse(() => ['show', 'x.ts', '--ra']);
    expect(option.stderr).toContain('(Did you mean --raw?)');
    expect(option.code).toBe(2);
    const command = await refuse(() => ['sho']);
    expect(command.stderr).toContain('(Did you mean show?)');
    expect(command.code).toBe(2);
  });
});

test('HDVKIT_DEBUG adds the stack and the cause', async () => {
  const result = await refuse(
    (place) => {
      place.write('device.ts', devices.THROWS);
      return ['show', 'device.ts'];
    },
    { env: { HDVKIT_DEBUG: '1' } },
  );
  expect(result.stderr).toMatch(/^\s+at /m);
  expect(result.stderr).toContain('caused by Error: no luck today');
  expect(result.code).toBe(2);
});
