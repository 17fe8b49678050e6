import { writeFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { Command } from 'commander';
import type { System_PropertyType } from '../../hcs/schema/documents.ts';
import type { Attachment } from '../../hdv/attachment.ts';
import { findDeviceFile, loadFailure } from '../device-file.ts';
import { positiveInteger } from '../positive-integer.ts';
import { type ScreenshotSize, screenshot } from '../screenshot.ts';
import { UsageError } from '../usage-error.ts';
import { eventLines } from './machine-output.ts';
import { namedDevice, type RunningMachine } from './running-machine.ts';

/** What comes after a command: another one, the console, or the end of `hdvkit vm run`. */
export type Sequel = 'prompt' | 'console' | 'ended';

/** What the commands of the prompt work on. */
export interface PromptContext {
  readonly machine: RunningMachine;
  readonly hasConsole: boolean;
  say(text: string): void;
  /** Says what comes after the command. */
  goOn(sequel: Sequel): void;
}

/** The commands of the prompt. They throw what failed. */
export function promptCommands(context: PromptContext): Command {
  const { machine, say, goOn } = context;
  const { system } = machine;
  const prompt = new Command('prompt')
    .usage('COMMAND')
    .helpOption(false)
    .helpCommand(false)
    .exitOverride()
    .configureOutput({
      writeOut: (text) => say(text.trimEnd()),
      writeErr: (text) => say(text.trimEnd().replace(/^error: /, 'hdvkit: ')),
    });
  const add = (usage: string, summary: string): Command => {
    const command = prompt.command(usage).description(summary).helpOption(false);
    return command.exitOverride().copyInheritedSettings(prompt);
  };
  add('pause', 'stop the processors').action(() => system.pause());
  add('resume', 'let them run on').action(() => system.resume());
  add('save <file>', 'pause the machine and save it to a file').action(async (file: string) => {
    const path = resolve(file);
    const { State } = await system.properties();
    if (State !== 'Paused') await system.pause();
    try {
      await system.save({ SaveType: 'ToFile', SaveStateFilePath: path });
    } catch (error) {
      if (State !== 'Paused') await system.resume();
      throw error;
    }
    say(`Saved to ${path}; the machine is paused: resume lets it run on`);
  });
  add('crash', 'crash the guest by a non-maskable interrupt').action(() => system.crash());
  add('screenshot <file>', 'write what the display shows to a file')
    .option('--width <pixels>', 'width of the image', positiveInteger)
    .option('--height <pixels>', 'height of the image', positiveInteger)
    .action(async (file: string, size: ScreenshotSize) => {
      const path = resolve(file);
      writeFileSync(path, await screenshot(machine.host, machine.system, size));
      say(`Wrote ${path}`);
    });
  add('attach <file>', 'attach the device of a file; FILE#EXPORT names its class')
    .option('--export <name>', 'name of the device class, where the file exports several')
    .option('--configuration <text...>', 'configuration strings for the device', [])
    .action(async (file: string, options: AttachCommand) => {
      const { export: name, configuration } = options;
      const { path, exportName } =
        name === undefined ? namedDevice(file) : { path: file, exportName: name };
      const device = await findDeviceFile(path, exportName);
      // A file that never finishes loading must not take the machine with it.
      const attaching = machine.attach(device, { configuration, placement: 'worker' });
      const attachment = await attaching.catch((error: unknown) => {
        throw loadFailure(error, path);
      });
      say(`Attached ${attachment.name} as ${attachment.instanceId}`);
    });
  add('detach [device]', 'detach a device, by its number, name or instance id').action(
    async (which: string | undefined) => {
      const attachment = attachmentNamed(machine.attachments, which);
      await machine.detach(attachment);
      say(`Detached ${attachment.name}`);
    },
  );
  add('devices', 'list the attached devices').action(() => say(listed(machine.attachments)));
  add('properties [type...]', 'show the properties of the machine').action(
    async (types: readonly System_PropertyType[]) => {
      const query = types.length === 0 ? undefined : { PropertyTypes: types };
      say(JSON.stringify(await system.properties(query), null, 2));
    },
  );
  add('events', 'show what has happened so far').action(() => {
    const lines = machine.events.flatMap(({ time, event }) =>
      eventLines(event).map((line, at) => (at === 0 ? `${time.toISOString()} ${line}` : line)),
    );
    say(lines.length === 0 ? 'Nothing has happened yet' : lines.join('\n'));
  });
  add('shutdown', 'ask the guest to shut down').action(async () => {
    await system.shutDown();
    say('Asked the guest to shut down');
  });
  add('terminate', 'end the machine as if its power were cut').action(async () => {
    await machine.terminate();
    goOn('ended');
  });
  add('quit', 'shut down, terminate if need be, and leave').action(async () => {
    await machine.shutDown();
    goOn('ended');
  });
  if (context.hasConsole) {
    add('console', 'back to the console; so does an empty line').action(() => goOn('console'));
  }
  add('help', 'show this').action(() => say(helpOf(prompt)));
  return prompt;
}

interface AttachCommand {
  readonly export?: string;
  readonly configuration: readonly string[];
}

/** The attached device that the user means; the only one when nothing is said. */
function attachmentNamed(
  attachments: readonly Attachment[],
  which: string | undefined,
): Attachment {
  if (attachments.length === 0) throw new UsageError('Cannot detach: no device is attached');
  const found = attachments.filter(
    ({ name, instanceId }, index) =>
      which === undefined || which === String(index + 1) || which === name || which === instanceId,
  );
  const [attachment] = found;
  if (attachment !== undefined && found.length === 1) return attachment;
  throw new UsageError(
    `Cannot detach ${which ?? 'without a name'}: ${found.length === 0 ? 'no' : 'more than one'} attached device is meant`,
    'devices lists them; give the number',
  );
}

function listed(attachments: readonly Attachment[]): string {
  if (attachments.length === 0) return 'No device is attached';
  return attachments
    .map(({ name, instanceId, failure }, index) => {
      const state = failure === undefined ? '' : `  failed: ${failure.message}`;
      return `${index + 1}  ${name}  ${instanceId}${state}`;
    })
    .join('\n');
}

function helpOf(prompt: Command): string {
  const rows = prompt.commands.map((command) => {
    const usage = command.usage().replace('[options]', '').trim();
    const options = command.options.map(({ flags }) => `[${flags}]`).join(' ');
    return [
      `${command.name()} ${usage} ${options}`.trim().replace(/\s+/g, ' '),
      command.description(),
    ];
  });
  const width = Math.max(...rows.map(([usage = '']) => Math.min(usage.length, 24)));
  return rows.map(([usage = '', summary]) => `  ${usage.padEnd(width)}  ${summary}`).join('\n');
}
