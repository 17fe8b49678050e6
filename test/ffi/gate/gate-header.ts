import { CONSTANTS, type GateStruct, STRUCTS } from '../../../src/ffi/gate/gate-layout.ts';

/** The gate's memory as C sees it, from the table that TypeScript uses. */
export function gateHeader(): string {
  const constants = Object.entries(CONSTANTS).map(([name, value]) => `#define ${name} ${value}`);
  return [
    '/* Written from gate-layout.ts. */',
    '#include <stddef.h>',
    '#include <stdint.h>',
    ...constants,
    ...STRUCTS.flatMap(declare),
    '',
  ].join('\n');
}

/** Fields with their padding, and checks that the compiler put them where the table says. */
function declare(struct: GateStruct): string[] {
  const lines = [`struct ${struct.name} {`];
  const checks: string[] = [];
  let end = 0;
  const pad = (to: number): void => {
    if (to > end) lines.push(`  uint8_t padding${end}[${to - end}];`);
  };
  for (const [name, { type, count }] of Object.entries(struct.fields)) {
    const offset = struct.offset[name]!;
    pad(offset);
    lines.push(`  ${type} ${name}${count === 1 ? '' : `[${count}]`};`);
    checks.push(
      `_Static_assert(offsetof(struct ${struct.name}, ${name}) == ${offset}, "${name}");`,
    );
    end = offset + SIZES[type] * count;
  }
  pad(struct.size);
  lines.push('};');
  checks.push(`_Static_assert(sizeof(struct ${struct.name}) == ${struct.size}, "${struct.name}");`);
  return [...lines, ...checks];
}

const SIZES = { uint8_t: 1, uint32_t: 4, uint64_t: 8 } as const;
