import type { Attachment } from '../hdv/attachment.ts';
import type { DeviceHost } from '../hdv/device-host.ts';
import { presentFailure } from './failure.ts';
import { watchFile } from './watch-file.ts';

/** What {@link liveReload} works with. */
export interface LiveReloadOptions {
  readonly path: string;
  readonly devices: DeviceHost;
  readonly attachment: Attachment;
  readonly remark: (line: string) => void;
  /** Called when a new device is in place, before that is said. */
  readonly replaced?: () => Promise<void> | void;
}

/**
 * Puts the device of a file in the place of the running one whenever the file has been saved, with the registers of
 * the old one where it takes them. A file that is wrong leaves the old device where it is; the reason is shown.
 * @returns a function that ends the watch
 */
export function liveReload(options: LiveReloadOptions): () => void {
  const { path, remark } = options;
  return watchFile(path, () =>
    replace(options).catch((error) => {
      remark(presentFailure(error).text.trimEnd());
      remark('The old device goes on');
    }),
  );
}

async function replace({
  attachment,
  devices,
  remark,
  replaced,
}: LiveReloadOptions): Promise<void> {
  const { kept, reason } = await devices.restart(attachment, { keepState: true });
  await replaced?.();
  const because = reason === undefined ? '' : `: ${reason}`;
  const registers = kept ? 'has its registers' : `has its registers as after a reset${because}`;
  remark(`${attachment.name} took the place of the old one, and ${registers}`);
}
