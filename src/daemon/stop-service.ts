import { failure } from '../compute/failure.ts';
import type { HcsError } from '../hcs/hcs-error.ts';
import { Channel } from './channel.ts';
import {
  type ConnectServiceOptions,
  connectSocket,
  DEFAULT_GREETING_LIMIT_MS,
} from './connect-service.ts';
import { connectionFailure } from './connection-failure.ts';
import type { ServiceNotices, StopAnswer } from './protocol.ts';
import { decodeFailure } from './wire-failure.ts';

/** How a service is asked to end. */
export interface StopServiceOptions extends Omit<ConnectServiceOptions, 'startOnDemand'> {
  /** Whether it is to end also where systems end with it. */
  readonly isSure: boolean;
  /** Milliseconds for ending once it has said so, as it waits for calls that are on their way; 120,000. */
  readonly endingLimitMs?: number | undefined;
}

const NAME = 'stop';

const DEFAULT_ENDING_LIMIT_MS = 120_000;

/**
 * Asks the service of a socket to end, of whatever version it is, and waits until it has closed the connection.
 * @returns what it says of itself and of its systems; it goes on when they would end and the caller is not sure
 * @throws HcsError HCS_E_SERVICE_NOT_AVAILABLE when none listens or what listens does not answer; HCS_E_ACCESS_DENIED;
 * HCS_E_OPERATION_TIMEOUT when it has said that it ends and is there still
 */
export async function stopService({
  isSure,
  greetingLimitMs: limitMs = DEFAULT_GREETING_LIMIT_MS,
  endingLimitMs = DEFAULT_ENDING_LIMIT_MS,
  ...options
}: StopServiceOptions): Promise<StopAnswer> {
  const socket = await connectSocket(options, limitMs);
  let reason = '';
  let timer: NodeJS.Timeout | undefined;
  let over = (_inTime: boolean): void => {};
  const ended = new Promise<boolean>((resolve) => {
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
      over(true);
    },
  });
  try {
    timer = setTimeout(() => channel.close(`it did not answer within ${limitMs} ms`), limitMs);
    const answer = (await channel.request('stop', { isSure }).catch((error: unknown) => {
      throw refusal(error, reason);
    })) as StopAnswer;
    if (!answer.stops) return answer;
    clearTimeout(timer);
    timer = setTimeout(() => over(false), endingLimitMs);
    if (await ended) return answer;
    throw failure(
      NAME,
      'HCS_E_OPERATION_TIMEOUT',
      `process ${answer.pid} has said that it ends, and has not within ${endingLimitMs} ms: it waits for calls that are on their way`,
    );
  } finally {
    clearTimeout(timer);
    channel.close('it has answered');
  }
}

/** @param reason why the connection has ended, if it has */
function refusal(error: unknown, reason: string): HcsError {
  const { data } = error as { readonly data?: unknown };
  if (data !== undefined) return decodeFailure(NAME, data);
  const what = `what listens there did not say that it ends: ${reason || (error as Error).message}`;
  const remedy = 'ask again, or end its process';
  return connectionFailure('HCS_E_SERVICE_NOT_AVAILABLE', what, remedy, error, NAME);
}
