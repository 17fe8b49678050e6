import { execFileSync, spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { formatLspciHex } from '../../src/inspect/lspci-hex.ts';

/** Can the comparison be made here? In CI it must be: the tests then fail without lspci. */
export const canCompare: boolean =
  process.env.CI === 'true' || spawnSync('lspci', ['--version']).status === 0;
if (!canCompare) console.log('Not compared with lspci, as there is none: apt-get install pciutils');

/** What pciutils reads out of our hex dump of `bytes`: its `-vvv -nn` text. */
export function lspci(bytes: Uint8Array): string {
  const folder = mkdtempSync(join(tmpdir(), 'hl-'));
  try {
    const file = join(folder, 'dump');
    writeFileSync(file, formatLspciHex(bytes));
    return execFileSync('lspci', ['-F', file, '-vvv', '-nn'], {
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'ignore'],
    });
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

const number = (text: string | undefined, radix = 16): number | undefined =>
  text === undefined ? undefined : Number.parseInt(text, radix);

/** The facts that both decoders know, as `lspci -vvv -nn` prints them. */
export function parseLspci(text: string): unknown {
  const ids =
    /\[([0-9a-f]{4})\]: .*\[([0-9a-f]{4}):([0-9a-f]{4})\](?: \(rev ([0-9a-f]{2})\))?/.exec(text);
  const control = /Control: (.*)/.exec(text)?.[1] ?? '';
  const flags = ['I/O', 'Mem', 'BusMaster', 'SERR', 'DisINTx'].map((name) =>
    control.includes(`${name}+`),
  );
  const bars = [
    ...text.matchAll(
      /Region (\d): (Memory|I\/O ports) at (\S+)(?: \((\d\d)-bit, (non-)?prefetchable\))?/g,
    ),
  ].map((match) => ({
    slot: Number(match[1]),
    kind: match[2] === 'Memory' ? `memory${match[4]}` : 'io',
    prefetchable: match[2] === 'Memory' && match[5] === undefined,
    address: match[3]?.startsWith('<') ? 0 : number(match[3]),
  }));
  const subsystem = /Subsystem: .*\[([0-9a-f]{4}):([0-9a-f]{4})\]/.exec(text);
  const capabilities = text
    .split(/^\tCapabilities: /m)
    .slice(1)
    .map(parseCapability);
  return {
    classCode: number(ids?.[1]),
    vendorId: number(ids?.[2]),
    deviceId: number(ids?.[3]),
    revision: number(ids?.[4]) ?? 0,
    subsystem: subsystem ? [number(subsystem[1]), number(subsystem[2])] : [0, 0],
    interruptPin: ' ABCD'.indexOf(/Interrupt: pin (\w)/.exec(text)?.[1] ?? ' '),
    flags,
    // Given a dump, lspci prints a region for the upper half of a 64-bit BAR, too, when it is not zero.
    bars: bars.filter(({ slot }) => bars.find((bar) => bar.slot === slot - 1)?.kind !== 'memory64'),
    capabilities,
  };
}

function parseCapability(text: string): unknown {
  const offset = number(/^\[([0-9a-f]+)/.exec(text)?.[1]);
  const flag = (name: string): boolean => new RegExp(`\\b${name}\\+`).test(text);
  const msix = /MSI-X: Enable(.) Count=(\d+) Masked(.)/.exec(text);
  if (msix) {
    const places = [...text.matchAll(/BAR=(\d) offset=([0-9a-f]+)/g)].map((match) => [
      Number(match[1]),
      number(match[2]),
    ]);
    return {
      offset,
      enable: msix[1] === '+',
      vectors: Number(msix[2]),
      masked: msix[3] === '+',
      places,
    };
  }
  const msi = /MSI: Enable(.) Count=(\d+)\/(\d+)/.exec(text);
  if (msi) {
    return {
      offset,
      enable: msi[1] === '+',
      enabled: Number(msi[2]),
      vectors: Number(msi[3]),
      maskable: flag('Maskable'),
      address64: flag('64bit'),
      address: number(/Address: ([0-9a-f]+)/.exec(text)?.[1]),
      data: number(/Data: ([0-9a-f]+)/.exec(text)?.[1]),
      mask: number(/Masking: ([0-9a-f]+)/.exec(text)?.[1]),
    };
  }
  const power = /Power Management version (\d)/.exec(text);
  if (power) {
    return {
      offset,
      version: Number(power[1]),
      state: Number(/Status: D(\d)/.exec(text)?.[1]),
      d1: flag('D1'),
      noSoftReset: flag('NoSoftRst'),
    };
  }
  const express = /Express \(v(\d)\)/.exec(text);
  if (express) {
    return {
      offset,
      version: Number(express[1]),
      functionLevelReset: /DevCap:[\s\S]*?FLReset\+[\s\S]*?DevCtl:/.test(text),
      roleBasedErrorReporting: flag('RBE'),
      payload: Number(/DevCtl:[\s\S]*?MaxPayload (\d+)/.exec(text)?.[1]),
      readRequest: Number(/MaxReadReq (\d+)/.exec(text)?.[1]),
    };
  }
  const serial = /Device Serial Number (\S+)/.exec(text);
  if (serial) return { offset, serialNumber: serial[1] };
  const extended = /ID=([0-9a-f]+) Rev=(\d+) Len=([0-9a-f]+)/.exec(text);
  if (extended) {
    return {
      offset,
      id: number(extended[1]),
      revision: Number(extended[2]),
      length: number(extended[3]),
    };
  }
  const virtio = /VirtIO: (\w+)\s+BAR=(\d) offset=([0-9a-f]+) size=([0-9a-f]+)/.exec(text);
  if (virtio) {
    return {
      offset,
      virtio: virtio[1],
      bar: Number(virtio[2]),
      at: number(virtio[3]),
      size: number(virtio[4]),
    };
  }
  const vendor = /Vendor Specific Information: Len=([0-9a-f]+)/.exec(text);
  if (vendor) return { offset, length: number(vendor[1]) };
  return { offset };
}
