import type { ComputeSystem } from '../hcs/compute-system.ts';
import type { ConsoleImage, ResultError } from '../hcs/schema/documents.ts';
import type { HostName } from '../hosts/host.ts';
import { deviceRemedy } from './device-remedy.ts';
import { UsageError } from './usage-error.ts';

/** Size of a picture in pixels; what is absent is that of a usual display. */
export interface ScreenshotSize {
  readonly width?: number;
  readonly height?: number;
}

/** What the display of a machine shows, as the host gives it. @throws UsageError where the host gives none */
export async function screenshot(
  host: HostName,
  system: ComputeSystem,
  { width = 1024, height = 768 }: ScreenshotSize,
): Promise<Buffer> {
  const { PropertyResponses } = await system.properties({
    Queries: { ConsoleImage: { Width: width, Height: height } },
  });
  const { Response, Error: refusal } = (PropertyResponses?.ConsoleImage ?? {}) as {
    readonly Response?: ConsoleImage;
    readonly Error?: ResultError;
  };
  if (Response?.Image !== undefined) return Buffer.from(Response.Image, 'base64');
  throw new UsageError(
    `Cannot take a screenshot: ${refusal?.ErrorMessage ?? 'the host gave no image'}`,
    deviceRemedy(host, 'display', '$.VirtualMachine.Devices.VideoMonitor'),
  );
}
