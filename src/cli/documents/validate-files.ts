import type { ObjectType } from '../../hcs/schema/schema-types.ts';
import type { HostName } from '../../hosts/host.ts';
import { ExitCode, presentFailure } from '../failure.ts';
import { colors, print, remark } from '../terminal.ts';
import { UsageError } from '../usage-error.ts';
import { type PlacedProblem, placedProblems } from './document-problems.ts';
import type { OwnHost } from './host-problems.ts';
import { problemLines } from './problem-lines.ts';
import { readDocument, STANDARD_INPUT } from './read-document.ts';
import { objectTypeNamed } from './type-named.ts';

/** What `hdvkit validate` was given. */
export interface ValidateOptions {
  readonly type: string;
  readonly host?: HostName;
  readonly json?: boolean;
}

/** What was found in one file. */
interface Finding {
  readonly file: string;
  readonly problems: readonly PlacedProblem[];
}

/** Checks each file and says what is wrong; a file that cannot be read does not keep the others from being checked. */
export async function validateFiles(
  paths: readonly string[],
  { type: name, host, json = false }: ValidateOptions,
): Promise<void> {
  const type = objectTypeNamed(name);
  checkInput(paths, type, host);
  const findings: Finding[] = [];
  let code: number = ExitCode.DONE;
  for (const path of paths) {
    try {
      const finding = { file: path, problems: await check(path, type, host) };
      findings.push(finding);
      if (!json) show(finding, type, host);
      if (finding.problems.length > 0 && code === ExitCode.DONE) code = ExitCode.FAILED;
    } catch (error) {
      if (!(error instanceof UsageError)) throw error;
      process.stderr.write(presentFailure(error).text);
      code = ExitCode.BAD_INPUT;
    }
  }
  if (json) print(JSON.stringify(findings, null, 2));
  process.exitCode = code;
}

function checkInput(
  paths: readonly string[],
  type: ObjectType,
  host: HostName | undefined,
): asserts host is OwnHost | undefined {
  if (host === 'windows') {
    throw new UsageError(
      'Cannot ask the host windows about a document: its service checks one only when it creates the system',
      'leave out --host to check against the schema',
    );
  }
  if (host !== undefined && type !== 'ComputeSystem') {
    throw new UsageError(
      `Cannot ask the host ${host} about ${type} documents: its engine checks ComputeSystem documents`,
      'leave out --host, or --type',
    );
  }
  if (paths.filter((path) => path === STANDARD_INPUT).length > 1) {
    throw new UsageError('Cannot read standard input twice: - stands there more than once');
  }
}

async function check(
  path: string,
  type: ObjectType,
  host: OwnHost | undefined,
): Promise<readonly PlacedProblem[]> {
  const document = await readDocument(path);
  const problems = placedProblems(type, document);
  if (host === undefined || problems.length > 0) return problems;
  const { hostProblems } = await import('./host-problems.ts');
  return hostProblems(host, document);
}

function show({ file, problems }: Finding, type: ObjectType, host: HostName | undefined): void {
  const c = colors();
  const name = file === STANDARD_INPUT ? 'standard input' : file;
  for (const line of problemLines(name, problems, c)) print(line);
  if (problems.length === 0) {
    const by = host === undefined ? '' : `, and the host ${host} can honour it`;
    print(`${name}: ${c.green('fits')} the schema of ${type}${by}`);
  } else {
    remark(`${name}: ${problems.length} ${problems.length === 1 ? 'problem' : 'problems'}`);
  }
}
