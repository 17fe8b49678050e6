import type { BarNames } from './bar-names.ts';
import { commandBits, type DecodedCapability } from './config-space.ts';
import { configRegisterName } from './config-space-text.ts';
import { formatAccessedFields } from './register-names.ts';
import { TraceKind, type TraceRecord } from './trace-ring.ts';

/** What names are taken from. */
export interface TraceNames {
  readonly bars: BarNames;
  readonly capabilities: readonly DecodedCapability[];
}

/** Offset of the command register, and of the status register in its upper half. */
const COMMAND = 0x04;

/** Kinds of reset by the number that a record holds. */
export const RESET_KINDS = ['cold', 'function', 'disconnect'] as const;

const hex = (value: number, digits = 0): string => `0x${value.toString(16).padStart(digits, '0')}`;
const valueText = ({ value, length }: TraceRecord): string => hex(value, Math.min(length, 4) * 2);

/** One record as one line without its time: `write DMA_COMMAND 0x00000005 RUN=1` */
export function formatTraceRecord(record: TraceRecord, names: TraceNames): string {
  const { kind, location, length, value } = record;
  switch (kind) {
    case TraceKind.CONFIG_READ:
    case TraceKind.CONFIG_WRITE: {
      const name = configRegisterName(location, names.capabilities) || hex(location, 2);
      const bits = location === COMMAND ? ` ${commandBits(value).join(' ') || 'none'}` : '';
      return `${kind === TraceKind.CONFIG_READ ? 'config read ' : 'config write'} ${name} ${valueText(record)}${bits}`;
    }
    case TraceKind.BAR_READ:
      return `read   ${formatAccess(record, names.bars)}`;
    case TraceKind.BAR_WRITE:
      return `write  ${formatAccess(record, names.bars)}`;
    case TraceKind.DOORBELL:
      return `ring   ${names.bars.locate(record.slot, location).name}`;
    case TraceKind.DMA_READ:
      return `dma    ${length} bytes from ${hex(location)}${value ? '' : ' refused'}`;
    case TraceKind.DMA_WRITE:
      return `dma    ${length} bytes to ${hex(location)}${value ? '' : ' refused'}`;
    case TraceKind.INTERRUPT:
      return `irq    vector ${location} raised`;
    case TraceKind.INTERRUPT_SENT:
      return `irq    vector ${location} sent`;
    case TraceKind.INTERRUPT_LINE:
      return `irq    INTx ${value ? 'asserted' : 'deasserted'}`;
    case TraceKind.RESET:
      return `reset  ${RESET_KINDS[location] ?? location}`;
    case TraceKind.GUEST_ERROR:
      return `error  guest error number ${location}`;
    case TraceKind.APERTURE:
      return `map    ${length} bytes at ${hex(location)}${value ? '' : ' refused'}`;
    case TraceKind.FAILED:
      return 'error  the device has stopped; it answers as if unplugged';
    default:
      return `record of kind ${kind}`;
  }
}

function formatAccess(record: TraceRecord, bars: BarNames): string {
  const { slot, location, length, value } = record;
  const place = bars.locate(slot, location);
  const at = `BAR${slot}+${hex(location)}`;
  if (!place.isModelled) return `${at} ${valueText(record)} (not modelled)`;
  const { register, inside } = place;
  if (register === undefined) return `${place.name} ${valueText(record)}`;
  const where = inside === 0 ? '' : `+${inside}`;
  // Narrower than the register, or one half of a 64-bit one.
  const width = length === register.width || length === 0 ? '' : ` (${length} bytes)`;
  const fields = formatAccessedFields(register, inside, length, value);
  return `${place.name}${where} ${valueText(record)}${width}${fields === '' ? '' : ` ${fields}`}`;
}
