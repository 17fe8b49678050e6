import { rm } from 'node:fs/promises';
import type {
  ConsoleImageQuery,
  Devices,
  RdpConnectionOptions,
} from '../../../hcs/schema/documents.ts';
import type { LiveMachine } from '../live-machine.ts';
import type { PlannedConsole } from '../machine-plan.ts';
import { readOwnFile } from '../own-file.ts';
import { requireSocketPath } from '../unix-sockets.ts';
import { readPpm, scaled, writePng } from './picture.ts';
import { cannotHonour, resourceFailure, wholeNumber } from './resource-failure.ts';

/** VideoMonitor, EnhancedModeVideo, Keyboard and Mouse of a document. */
export function planConsole(devices: Devices): PlannedConsole {
  const { VideoMonitor, EnhancedModeVideo, Keyboard, Mouse } = devices;
  const at = '$.VirtualMachine.Devices.VideoMonitor';
  if (EnhancedModeVideo !== undefined) {
    throw cannotHonour(
      '$.VirtualMachine.Devices.EnhancedModeVideo',
      'it needs a remote desktop in the guest; use VideoMonitor, which is served over VNC',
    );
  }
  return {
    monitor:
      VideoMonitor === undefined
        ? undefined
        : {
            socket: socketOf(`${at}.ConnectionOptions`, VideoMonitor.ConnectionOptions),
            width: VideoMonitor.HorizontalResolution,
            height: VideoMonitor.VerticalResolution,
          },
    keyboard: Keyboard !== undefined,
    mouse: Mouse !== undefined,
  };
}

function socketOf(at: string, options: RdpConnectionOptions = {}): string | undefined {
  const { AccessSids = [], NamedPipe } = options;
  if (AccessSids.length > 0) {
    throw cannotHonour(
      `${at}.AccessSids`,
      'the rights of the folder of the socket say who may connect',
    );
  }
  if (NamedPipe === undefined || NamedPipe === '') return undefined;
  requireSocketPath(`${at}.NamedPipe`, NamedPipe);
  return NamedPipe;
}

/** QEMU's arguments for it. @param socket where QEMU makes the monitor's */
export function consoleArguments(
  { monitor, keyboard, mouse }: PlannedConsole,
  socket: string | undefined = monitor?.socket,
): string[] {
  const size =
    monitor?.width === undefined || monitor.height === undefined
      ? {}
      : { xres: monitor.width, yres: monitor.height };
  const device = (properties: Readonly<Record<string, unknown>>): string[] => [
    '-device',
    JSON.stringify(properties),
  ];
  return [
    ...(monitor === undefined ? [] : device({ driver: 'VGA', id: 'video', ...size })),
    ...(socket === undefined ? [] : ['-vnc', `unix:${socket.replaceAll(',', ',,')}`]),
    ...(keyboard || mouse ? device({ driver: 'qemu-xhci', id: 'usb' }) : []),
    ...(keyboard ? device({ driver: 'usb-kbd', bus: 'usb.0' }) : []),
    ...(mouse ? device({ driver: 'usb-tablet', bus: 'usb.0' }) : []),
  ];
}

/** Pixels of a picture's longest side. */
const LARGEST_SIDE = 8192;

/**
 * ConsoleImage: what the monitor shows, as a PNG in base64.
 * @param query its size in pixels; by default that of the monitor, and in its proportions where one side is missing
 */
export async function consoleImage(
  machine: LiveMachine,
  { Width = 0, Height = 0 }: ConsoleImageQuery = {},
): Promise<{ readonly Image: string }> {
  if (machine.plan.console.monitor === undefined) {
    throw resourceFailure(
      'ERROR_NOT_SUPPORTED',
      'the machine has no monitor to take a picture of: write VirtualMachine.Devices.VideoMonitor in its document',
    );
  }
  const side = (name: string, value: number): number =>
    wholeNumber(`$.Queries.ConsoleImage.${name}`, value, LARGEST_SIDE, 0);
  const [askedWidth, askedHeight] = [side('Width', Width), side('Height', Height)];
  const path = machine.folder.file('screen.ppm');
  try {
    const { args } = await machine.files.lend(machine.qmp, { filename: path, format: 'ppm' });
    await machine.qmp.execute('screendump', args);
    const picture = readPpm(await readOwnFile(path));
    const { width, height } = picture;
    const wide = askedWidth || Math.max(1, Math.round((width * (askedHeight || height)) / height));
    const high = askedHeight || Math.max(1, Math.round((height * wide) / width));
    return { Image: writePng(scaled(picture, wide, high)).toString('base64') };
  } finally {
    await rm(path, { force: true });
  }
}
