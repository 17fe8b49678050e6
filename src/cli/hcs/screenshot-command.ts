import { writeFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { STANDARD_INPUT } from '../documents/read-document.ts';
import { type ScreenshotSize, screenshot } from '../screenshot.ts';
import { UsageError } from '../usage-error.ts';
import { type OutputOptions, tell } from './output.ts';
import { withPatience } from './patience.ts';
import type { HcsContext, ServiceOptions } from './service-host.ts';
import { withService } from './session.ts';

/** What `hcs screenshot` was given. */
export interface ScreenshotOptions extends ServiceOptions, OutputOptions, ScreenshotSize {}

/** Writes what the display of a system shows to a file, or to standard output. */
export async function takeScreenshot(
  context: HcsContext,
  id: string,
  file: string,
  options: ScreenshotOptions,
): Promise<void> {
  const isOutput = file === STANDARD_INPUT;
  if (isOutput && process.stdout.isTTY) {
    throw new UsageError(
      'Cannot write a picture to a terminal',
      'name a file, or redirect the output',
    );
  }
  await withService(context, options, async ({ host, open }) => {
    const system = await open(id);
    const image = await withPatience('Taking the picture', screenshot(host.name, system, options));
    if (isOutput) {
      process.stdout.write(image);
      return;
    }
    const path = resolve(file);
    writeFileSync(path, image);
    tell(options, `Wrote ${file}`, { command: 'screenshot', id: system.id, file: path });
  });
}
