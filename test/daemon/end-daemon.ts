import { existsSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import { stopService } from '../../src/daemon/stop-service.ts';

/**
 * Ends the daemon of a socket, where there is one, before its folder is removed: one that is there still would make it anew. Of
 * one that is ending by itself the last files may go while the folder does.
 */
export async function endDaemon(socket: string): Promise<void> {
  const answer = await stopService({ socket, isSure: true }).catch(() => undefined);
  while (answer !== undefined && existsSync(`/proc/${answer.pid}`)) await delay(20);
}
