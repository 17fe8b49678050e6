import { ended, type Workplace } from '../run-cli.ts';

/** A machine with what it needs at least. */
export const MACHINE = `{
  // Comments are allowed.
  "Owner": "tester",
  "VirtualMachine": { "ComputeTopology": { "Memory": { "SizeInMB": 16 } }, "Services": { "Shutdown": {} } },
}
`;

/** What one command said and ended with; standard error is that of all. */
export interface Turn {
  readonly stdout: string;
  readonly code: number;
}

/** Runs commands of `hcs` one after the other, with one service of the host `simulated`. */
export async function inTurn(
  place: Workplace,
  lines: readonly (readonly string[])[],
  host = 'simulated',
): Promise<{ readonly turns: readonly Turn[]; readonly stderr: string }> {
  const child = place.start([host, JSON.stringify(lines)], { program: 'hcsInTurn' });
  child.stdin.end();
  const { stdout, stderr, code } = await ended(child);
  if (code !== 0) throw new Error(`The commands ended with ${code}: ${stdout}${stderr}`);
  return { turns: turnsOf(stdout), stderr };
}

/** The turns in what was printed. */
export function turnsOf(text: string): readonly Turn[] {
  return text
    .replaceAll('\r\n', '\n')
    .split(/^\$ hcs .*\n/m)
    .slice(1)
    .map((part) => {
      const [, stdout = '', code = ''] = /^(.*?)\[exit (\d+)\]\n/s.exec(part) ?? [];
      return { stdout, code: Number(code) };
    });
}
