import { failure } from '../compute/failure.ts';
import { Channel } from './channel.ts';
import {
  type ConnectServiceOptions,
  connectSocket,
  DEFAULT_GREETING_LIMIT_MS,
} from './connect-service.ts';
import type { ServiceNotices, StopAnswer } from './protocol.ts';
import { decodeFailure } from './wire-failure.ts';

/** How a service is asked to end. */
export interface StopServiceOptions extends Omit<ConnectServiceOptions, 'startOnDemand'> {
  /** Whether it is to end also where systems end with it. */
  readonly isSure: boolean;
}

/**
 * Asks the service of a socket to end, of whatever version it is, and waits until it has closed the connection.
 * @returns what it says of itself and of its systems; it goes on when they would end and the caller is not sure
 * @throws HcsError HCS_E_SERVICE_NOT_AVAILABLE when none listens or what listens does not answer; HCS_E_ACCESS_DENIED
 */
export async function stopService({
  isSure,
  greetingLimitMs: limitMs = DEFAULT_GREETING_LIMIT_MS,
  ...options
}: StopServiceOptions): Promise<StopAnswer> {
  const name = 'stop';
  const socket = await connectSocket(options, limitMs);
  let reason = '';
  let timer: NodeJS.Timeout | undefined;
  let over: () => void = () => {};
  const closed = new Promise<void>((resolve) => {
    over = resolve;
  });
  const channel = new Channel(socket, {
    request: () => null,
    notice: (method, params) => {
      if (method === 'starting') timer?.refresh();
      if (method === 'goodbye') ({ reason } = params as ServiceNotices['goodbye']);
    },
    closed: (why) => {
      reason ||= why;
      over();
    },
  });
  try {
    timer = setTimeout(() => channel.close(`it did not answer within ${limitMs} ms`), limitMs);
    const answer = (await channel.request('stop', { isSure })) as StopAnswer;
    if (answer.stops) await closed;
    return answer;
  } catch (error) {
    const { data } = error as { readonly data?: unknown };
    if (data !== undefined) throw decodeFailure(name, data);
    const message = `what listens there did not say that it ends: ${reason || (error as Error).message}`;
    throw failure(name, 'HCS_E_SERVICE_NOT_AVAILABLE', message, undefined, error);
  } finally {
    clearTimeout(timer);
    channel.close('it has answered');
  }
}
