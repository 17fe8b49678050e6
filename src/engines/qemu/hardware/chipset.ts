import type { Chipset } from '../../../hcs/schema/documents.ts';
import { resourceFailure } from '../resources/resource-failure.ts';

/** What a document says of the board. */
export interface PlannedChipset {
  /** Of the base board (SMBIOS type 2). Undefined: none. */
  readonly boardSerial: string | undefined;
  /** Of the chassis (SMBIOS type 3). */
  readonly chassisSerial: string | undefined;
  readonly assetTag: string | undefined;
  /** Whether the clock is UTC; otherwise it begins with the local time of this machine. */
  readonly isClockUtc: boolean;
  /** Whether the guest can sleep on its disk (ACPI S4). */
  readonly hibernates: boolean;
}

/** SMBIOS strings end with a zero, and tables with two. */
const LONGEST_TEXT = 255;

/**
 * Reads Chipset of a document.
 * @throws HcsError E_INVALIDARG for a text that no SMBIOS table can have
 */
export function planChipset(chipset: Chipset = {}): PlannedChipset {
  const text = (name: 'BaseBoardSerialNumber' | 'ChassisSerialNumber' | 'ChassisAssetTag') =>
    tableText(`$.VirtualMachine.Chipset.${name}`, chipset[name]);
  return {
    boardSerial: text('BaseBoardSerialNumber'),
    chassisSerial: text('ChassisSerialNumber'),
    assetTag: text('ChassisAssetTag'),
    isClockUtc: chipset.UseUtc ?? false,
    hibernates: chipset.EnableHibernation ?? false,
  };
}

function tableText(at: string, text: string | undefined): string | undefined {
  if (text === undefined || text === '') return undefined;
  if (text.length <= LONGEST_TEXT && /^[\x20-\x7e]+$/.test(text)) return text;
  throw resourceFailure(
    'E_INVALIDARG',
    `${at} is ${JSON.stringify(text)}: use 1 to ${LONGEST_TEXT} printable ASCII characters`,
  );
}

/** QEMU's arguments for it. */
export function chipsetArguments(chipset: PlannedChipset): string[] {
  const { boardSerial, chassisSerial, assetTag, isClockUtc, hibernates } = chipset;
  return [
    ...table(2, { serial: boardSerial }),
    ...table(3, { serial: chassisSerial, asset: assetTag }),
    ...['-rtc', `base=${isClockUtc ? 'utc' : 'localtime'}`],
    ...['-global', `ICH9-LPC.disable_s4=${hibernates ? 0 : 1}`],
  ];
}

/** A table of SMBIOS, where something is said in it. In a list of options a comma is written twice. */
function table(type: number, texts: Readonly<Record<string, string | undefined>>): string[] {
  const options = Object.entries(texts)
    .filter(([, text]) => text !== undefined)
    .map(([name, text]) => `${name}=${text?.replaceAll(',', ',,')}`);
  return options.length === 0 ? [] : ['-smbios', [`type=${type}`, ...options].join(',')];
}
