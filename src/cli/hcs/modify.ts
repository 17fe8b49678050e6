import type { ModifySettingRequest } from '../../hcs/schema/documents.ts';
import { withAbsolutePaths } from '../documents/absolute-paths.ts';
import { readDocument } from '../documents/read-document.ts';
import { printable } from '../printable.ts';
import { UsageError } from '../usage-error.ts';
import { type OutputOptions, tell } from './output.ts';
import { withPatience } from './patience.ts';
import type { HcsContext, ServiceOptions } from './service-host.ts';
import { withService } from './session.ts';
import { shownId } from './shown-id.ts';

/** What can be done to a resource, as the user says it and as the document does. */
export const MODIFICATIONS = { add: 'Add', remove: 'Remove', update: 'Update' } as const;

/** What the user says. */
export type Modification = keyof typeof MODIFICATIONS;

/** Changes one resource of a system. The service checks the settings, as their type follows from the path. */
export async function modify(
  context: HcsContext,
  id: string,
  path: string,
  modification: Modification,
  file: string | undefined,
  options: ServiceOptions & OutputOptions,
): Promise<void> {
  if (file === undefined && modification === 'update') {
    throw new UsageError(
      `Cannot update ${printable(path)} without settings`,
      'name the file that has them; - is standard input',
    );
  }
  const settings = file === undefined ? undefined : await readSettings(file);
  const request: ModifySettingRequest = {
    ResourcePath: path,
    RequestType: MODIFICATIONS[modification],
    ...(settings === undefined ? {} : { Settings: settings }),
  };
  await withService(context, options, async ({ open, signal }) => {
    const system = await open(id);
    const name = shownId(system.id);
    await withPatience(`Changing ${name}`, system.modify(request, { signal }));
    const done = { add: 'Added', remove: 'Removed', update: 'Updated' }[modification];
    tell(options, `${done} ${printable(path)} of ${name}`, {
      command: 'modify',
      id: system.id,
      path,
      request: request.RequestType,
    });
  });
}

async function readSettings(file: string): Promise<unknown> {
  const { problems, value } = await readDocument(file);
  const [problem] = problems;
  if (problem === undefined) return withAbsolutePaths(value as object);
  throw new UsageError(
    `Cannot use ${file} as settings: line ${problem.line}, column ${problem.column} ${problem.message}`,
    'write the settings as JSON; hcs schema shows the types',
  );
}
